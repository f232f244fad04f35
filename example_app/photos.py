"""The pages of an instance: gallery, photo, upload, delete."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from flask import (
    Blueprint,
    abort,
    current_app,
    flash,
    g,
    redirect,
    render_template,
    request,
    send_from_directory,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import select

from flask_autotag import TagCount

from . import library
from .auth import login_manager
from .forms import DeleteForm, UploadForm
from .library import MOST_TAGS, Refused, Shown
from .models import INSTANCES, PENDING, Photo, db
from .tagging import autotag
from .uploads import MIMETYPES
from .web import wants_json

#: Tags that the gallery offers to filter by, the most used ones.
OFFERED_TAGS = 40
#: Tags of the cloud, the most used ones.
CLOUD_TAGS = 200
#: Tags that are offered for what is typed into the search, and characters of it.
OFFERED_WORDS, MOST_CHARACTERS = 10, 100
#: Photos that one question about their tags may name.
MOST_IDS = 100

# Only the instances that exist, so that any other address is simply not found.
blueprint = Blueprint(
    "photos", __name__, url_prefix=f"/<any({', '.join(INSTANCES)}):instance>"
)


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
        abort(403, f"Your account is not for {g.instance.title}.")
    return None


@blueprint.get("/")
def gallery() -> ResponseReturnValue:
    """Show the photos of the instance, newest first."""
    tags = _chosen_tags()
    size = current_app.config["PHOTOS_PER_PAGE"]
    pagination = library.page_of(g.instance.key, tags, size)
    return render_template(
        "gallery.html",
        chosen=tags,
        counts=library.tag_counts(g.instance.key, tags, OFFERED_TAGS),
        pagination=pagination,
        shown=library.with_tags(pagination.items),
    )


@blueprint.get("/photos/tags")
def tags() -> ResponseReturnValue:
    """Tell how far the tagging of some photos is: asked by ``tags.js`` meanwhile."""
    photos = library.find(g.instance.key, _asked_ids())
    template = "_tag_field.html" if "field" in request.args else "_tag_chips.html"
    chosen = _chosen_tags()
    return {
        "photos": [_progress(one, template) for one in library.with_tags(photos)],
        "filters": render_template(
            "_filters.html",
            chosen=chosen,
            counts=library.tag_counts(g.instance.key, chosen, OFFERED_TAGS),
        ),
    }


@blueprint.get("/tags")
def cloud() -> ResponseReturnValue:
    """Show all tags, the more used ones larger."""
    counts = autotag.tag_counts(g.instance.key, limit=CLOUD_TAGS)
    counts.sort(key=lambda tag: tag.name.casefold())
    return render_template("cloud.html", counts=counts, sizes=_sizes(counts))


@blueprint.get("/words")
def words() -> ResponseReturnValue:
    """Offer tags that begin with what is typed: asked by ``search.js``."""
    text = request.args.get("q", "")[:MOST_CHARACTERS]
    found = autotag.complete(text, g.instance.key, OFFERED_WORDS)
    return {"words": [tag.name for tag in found]}


@blueprint.get("/photos/<int:photo_id>")
def photo(photo_id: int) -> ResponseReturnValue:
    """Show one photo."""
    found, chosen = _photo(photo_id), _chosen_tags()
    (shown,) = library.with_tags([found])
    return render_template(
        "photo.html",
        photo=found,
        tags=shown.tags,
        chosen=chosen,
        neighbours=library.neighbours(found, chosen),
        similar=library.similar(found, shown.tags),
        form=DeleteForm(),
    )


@blueprint.get("/files/<filename>")
def file(filename: str) -> ResponseReturnValue:
    """Serve the file of a photo."""
    statement = select(Photo).where(
        Photo.instance == g.instance.key, Photo.filename == filename
    )
    found = db.first_or_404(statement)
    return send_from_directory(
        current_app.config["UPLOAD_FOLDER"],
        found.filename,
        mimetype=MIMETYPES[found.extension],
        as_attachment=not found.is_shown_by_browsers,
        download_name=found.title,
        # A file never changes under its name.
        max_age=7 * 24 * 3600,
    )


@blueprint.route("/upload", methods=["GET", "POST"])
def upload() -> ResponseReturnValue:
    """Take photos: all at once from the form, or one by one from ``upload.js``."""
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
    """Delete a photo, once that is confirmed."""
    found, chosen, form = _photo(photo_id), _chosen_tags(), DeleteForm()
    if not form.validate_on_submit():
        return render_template("delete.html", photo=found, chosen=chosen, form=form)
    title = found.title
    library.delete_photo(found)
    flash(f"“{title}” was deleted.")
    return redirect(url_for(".gallery", tag=chosen))


def _uploaded(
    form: UploadForm, photos: list[Photo], refused: list[Refused]
) -> ResponseReturnValue:
    if wants_json():
        # What became of each file: an answer, and no error, also for refused ones.
        return {
            "photos": [
                _progress(one, "_tag_chips.html") for one in library.with_tags(photos)
            ],
            "refused": [{"name": one.name, "error": one.sentence} for one in refused],
        }
    if photos:
        number = "1 photo was" if len(photos) == 1 else f"{len(photos)} photos were"
        flash(f"{number} uploaded.")
    if refused:
        page = render_template("upload.html", form=form, refused=refused)
        return page, 200 if photos else 400
    return redirect(url_for(".gallery"))


def _progress(shown: Shown, template: str) -> dict[str, Any]:
    """Describe the tagging of a photo for the scripts; they insert the HTML."""
    photo, tags = shown.photo, shown.tags
    return {
        "id": photo.id,
        "url": url_for(".photo", photo_id=photo.id),
        "title": photo.title,
        "pending": photo.tagging == PENDING,
        "words": render_template("_tag_words.txt", photo=photo, tags=tags),
        "html": render_template(template, photo=photo, tags=tags),
    }


def _photo(photo_id: int) -> Photo:
    found = library.find(g.instance.key, [photo_id])
    if not found:
        abort(404, f"There is no such photo in {g.instance.title}. Was it deleted?")
    return found[0]


def _user() -> Any:
    # Behind current_user, a proxy, that SQLAlchemy would not know.
    return current_user._get_current_object()


def _chosen_tags() -> list[str]:
    """Give the tags that the address asks to filter by, each once."""
    names = (" ".join(name.split()) for name in request.args.getlist("tag"))
    chosen = {name.casefold(): name for name in names if name}
    return list(chosen.values())[:MOST_TAGS]


def _asked_ids() -> Iterable[int]:
    words = request.args.get("ids", "").split(",")[:MOST_IDS]
    # More digits are no key, and would not fit into the database's integers.
    return [int(word) for word in words if word.isdecimal() and len(word) < 10]


def _sizes(counts: Iterable[TagCount]) -> dict[str, int]:
    """Give the size of each tag in the cloud, from 1 to 5, by how often it is used.

    By the logarithm: the most used tag is on many times as many photos as most are.
    """
    logs = {tag.name: math.log(tag.count) for tag in counts}
    most = max(logs.values(), default=0) or 1
    return {name: 1 + round(4 * log / most) for name, log in logs.items()}
