"""Files: which are accepted as photos, and where they are stored.

No image is decoded here, because a hostile file could attack the decoder.
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path, PurePosixPath

from flask import current_app
from werkzeug.datastructures import FileStorage

from .models import TITLE_LENGTH

#: Accepted extensions, and the content type of each; the upload's own is ignored.
MIMETYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
}


class UploadError(Exception):
    """A file is refused; the message is for the user."""


def keep_upload(file: FileStorage) -> str:
    """Save an uploaded file under a new random name.

    :return: the name.
    :raises UploadError: if it cannot be a photo.
    """
    name = title_of_upload(file)
    extension = PurePosixPath(name).suffix.lower()
    if extension not in MIMETYPES:
        raise UploadError(
            "This kind of file is not accepted. Choose a JPEG, PNG, GIF, WebP, AVIF,"
            " BMP or TIFF photo."
        )
    size = file.stream.seek(0, os.SEEK_END)
    file.stream.seek(0)
    if size == 0:
        raise UploadError("The file is empty.")
    most = current_app.config["MAX_PHOTO_BYTES"]
    if size > most:
        raise UploadError(f"The file is larger than {most // 2**20} MB.")
    path = _new_path(extension)
    file.save(path)
    return path.name


def keep_copy(source: Path) -> str:
    """Copy one of the example's files to the folder of uploads.

    :return: its new random name.
    """
    path = _new_path(source.suffix.lower())
    shutil.copyfile(source, path)
    return path.name


def discard(filename: str) -> None:
    """Delete a file, if it exists."""
    (_folder() / filename).unlink(missing_ok=True)


def title_of_upload(file: FileStorage) -> str:
    """Return the user's name of the file, without folders."""
    name = (file.filename or "").replace("\\", "/").rsplit("/", 1)[-1]
    name = " ".join("".join(c for c in name if c.isprintable()).split())
    if len(name) > TITLE_LENGTH:
        suffix = PurePosixPath(name).suffix[-10:]
        name = name[: TITLE_LENGTH - len(suffix) - 1] + "…" + suffix
    return name or "Untitled"


def _new_path(extension: str) -> Path:
    return _folder() / f"{secrets.token_hex(16)}{extension}"


def _folder() -> Path:
    return Path(current_app.config["UPLOAD_FOLDER"])
