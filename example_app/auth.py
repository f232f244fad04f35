"""Signing in and out."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import (
    Blueprint,
    Flask,
    abort,
    flash,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, current_user, login_user, logout_user
from sqlalchemy import select
from werkzeug.security import check_password_hash, generate_password_hash

from .forms import SignInForm
from .models import User, db
from .seed import DEMO_ACCOUNTS
from .web import wants_json

blueprint = Blueprint("auth", __name__)
login_manager = LoginManager()
login_manager.login_view = "auth.sign_in"

#: Compared with the password if the name is unknown: a refusal then takes the same
#: time, and does not reveal which names exist.
_NOBODY = generate_password_hash("")


def init_app(app: Flask) -> None:
    """Install signing in."""
    login_manager.init_app(app)
    app.register_blueprint(blueprint)


@login_manager.user_loader
def _load_user(user_id: str) -> User | None:
    return db.session.get(User, int(user_id))


@login_manager.unauthorized_handler
def _ask_to_sign_in() -> ResponseReturnValue:
    if wants_json():
        abort(401, "Your session has ended. Sign in again.")
    # A link can repeat a GET request, but not a form.
    target = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("auth.sign_in", next=target if target != "/" else None))


@blueprint.get("/")
def home() -> ResponseReturnValue:
    """Redirect to the user's own instance."""
    if not current_user.is_authenticated:
        return redirect(url_for("auth.sign_in"))
    return redirect(_home())


@blueprint.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> ResponseReturnValue:
    """Ask for name and password."""
    if current_user.is_authenticated:
        return redirect(_home())
    form = SignInForm()
    if not form.validate_on_submit():
        return _sign_in_page(form)
    user = _user_with(form.name.data or "", form.password.data or "")
    if user is None:
        form.form_errors.append("The name or the password is wrong.")
        return _sign_in_page(form), 401
    login_user(user)
    return redirect(local_path(request.args.get("next")) or _home())


@blueprint.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """End the session."""
    logout_user()
    flash("You are signed out.")
    return redirect(url_for("auth.sign_in"))


def local_path(target: str | None) -> str | None:
    """Return *target* if it is a path on this site, and ``None`` if it leads elsewhere.

    Browsers read a backslash as a slash and drop tabs and line breaks, so these are
    refused.
    """
    if not target or not target.startswith("/") or target.startswith("//"):
        return None
    if "\\" in target or not target.isprintable():
        return None
    parts = urlsplit(target)
    return None if parts.scheme or parts.netloc else target


def _sign_in_page(form: SignInForm) -> str:
    return render_template("sign_in.html", form=form, accounts=DEMO_ACCOUNTS)


def _user_with(name: str, password: str) -> User | None:
    statement = select(User).where(User.name == name.strip().lower())
    user = db.session.scalar(statement)
    if user is None:
        check_password_hash(_NOBODY, password)
        return None
    return user if user.has_password(password) else None


def _home() -> str:
    return url_for("photos.gallery", instance=current_user.home)
