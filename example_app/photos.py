"""The pages of an instance: gallery, photo, upload, delete."""

from __future__ import annotations

from typing import Any

from flask import (
    Blueprint,
    abort,
    current_app,
    flash,
    g,
    redirect,
    render_template,
    send_from_directory,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import Select

from . import (
    library,
    tagging,
)
from .auth import login_manager
from .forms import DeleteForm, UploadForm
from .library import Refused
from .models import INSTANCES, Photo, db
from .uploads import MIMETYPES
from .web import wants_json

# Only existing instances: any other URL is not found.
blueprint = Blueprint(
    "photos", __name__, url_prefix=f"/<any({', '.join(INSTANCES)}):instance>"
)
blueprint.register_blueprint(tagging.pages)


@blueprint.url_value_preprocessor
def _take_instance(_endpoint: str | None, values: dict[str, Any] | None) -> None:
    g.instance = INSTANCES[(values or {}).pop("instance")]


@blueprint.url_defaults
def _add_instance(_endpoint: str, values: dict[str, Any]) -> None:
    if "instance" in g:
        values.setdefault("instance", g.instance.key)


@blueprint.before_request
def _let_in() -> ResponseReturnValue | None:
    if not current_user.is_authenticated:
        return login_manager.unauthorized()  # type: ignore[no-any-return]
    if not current_user.may_use(g.instance.key):
        abort(403, f"Your account has no access to {g.instance.title}.")
    return None


@blueprint.get("/")
def gallery() -> ResponseReturnValue:
    """Show the photos of the instance, newest first."""
    size = current_app.config["PHOTOS_PER_PAGE"]
    pagination = library.page_of(_photos(), size)
    return render_template(
        "gallery.html",
        pagination=pagination,
        tagging=tagging.shown(pagination.items),
    )


@blueprint.get("/photos/<int:photo_id>")
def photo(photo_id: int) -> ResponseReturnValue:
    """Show one photo."""
    found = _photo(photo_id)
    return render_template(
        "photo.html",
        photo=found,
        neighbours=library.neighbours(found, _photos()),
        form=DeleteForm(),
        tagging=tagging.shown([found]),
    )


@blueprint.get("/files/<filename>")
def file(filename: str) -> ResponseReturnValue:
    """Serve the file of a photo."""
    photos = Photo.of(g.instance.key)
    found = db.first_or_404(photos.where(Photo.filename == filename))
    return send_from_directory(
        current_app.config["UPLOAD_FOLDER"],
        found.filename,
        mimetype=MIMETYPES[found.extension],
        as_attachment=not found.is_shown_by_browsers,
        download_name=found.title,
        # The file of a name never changes.
        max_age=7 * 24 * 3600,
    )


@blueprint.route("/upload", methods=["GET", "POST"])
def upload() -> ResponseReturnValue:
    """Accept photos: all at once from the form, or one by one from ``upload.js``."""
    form = UploadForm()
    if not form.validate_on_submit():
        return render_template("upload.html", form=form, refused=[])
    files = [one for one in form.photos.data or [] if one.filename]
    if not files:
        refused = [Refused("", "Choose at least one photo.")]
        return _uploaded(form, [], refused)
    return _uploaded(form, *library.add_photos(files, g.instance.key, _user()))


@blueprint.route("/photos/<int:photo_id>/delete", methods=["GET", "POST"])
def delete(photo_id: int) -> ResponseReturnValue:
    """Ask for confirmation, then delete a photo."""
    found, form = _photo(photo_id), DeleteForm()
    if not form.validate_on_submit():
        return render_template("delete.html", photo=found, form=form)
    title = found.title
    library.delete_photo(found)
    flash(f"“{title}” was deleted.")
    return redirect(url_for(".gallery"))


def _uploaded(
    form: UploadForm, photos: list[Photo], refused: list[Refused]
) -> ResponseReturnValue:
    if wants_json():
        # The result of each file. Refused files are no HTTP error either.
        return {
            "photos": [_described(one) for one in photos],
            "refused": [{"name": one.name, "error": one.sentence} for one in refused],
        }
    if photos:
        number = "1 photo was" if len(photos) == 1 else f"{len(photos)} photos were"
        flash(f"{number} uploaded.")
    if refused:
        page = render_template("upload.html", form=form, refused=refused)
        return page, 200 if photos else 400
    return redirect(url_for(".gallery"))


def _described(photo: Photo) -> dict[str, Any]:
    """Describe a photo for ``upload.js``."""
    return {
        "id": photo.id,
        "url": url_for(".photo", photo_id=photo.id),
        "title": photo.title,
        **tagging.described(photo),
    }


def _photos() -> Select[Any]:
    """Return a ``Select`` of the photos that the URL names."""
    photos = Photo.of(g.instance.key)
    photos = tagging.narrowed(photos, g.instance.key)
    return photos


def _photo(photo_id: int) -> Photo:
    photos = Photo.of(g.instance.key)
    found: Photo | None = db.session.scalar(photos.where(Photo.id == photo_id))
    if found is None:
        abort(404, f"There is no such photo in {g.instance.title}. Was it deleted?")
    return found


def _user() -> Any:
    # current_user is a proxy, which SQLAlchemy does not accept.
    return current_user._get_current_object()
