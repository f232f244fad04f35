"""Reads the image that a host passes: a path, bytes, a file or a function."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any, cast

from ..errors import ImageMissing, ImageTooLarge, UnreadableImage
from .assets import ImageSource
from .regular_files import NotRegular, open_regular, refuse_other_kinds


@dataclass(frozen=True)
class Captured:
    """The part of an image that its job keeps.

    :param path: the absolute path at which a worker finds it.
    :param data: its bytes, if a worker would not find it again.
    :param content: a text that is the same for the same content of the same asset;
        ``None`` if finding out would take longer than a request may.
    """

    path: str | None = None
    data: bytes | None = field(default=None, repr=False)
    content: str | None = None


def capture(image: ImageSource | None, *, loadable: bool, most: int) -> Captured:
    """Keep the image, or its bytes if they would be gone after the request.

    :param loadable: whether a worker can load the asset's image again by itself;
        then nothing is read here.
    :param most: bytes that are read at most.
    :raises ImageMissing: if there is no image, and no way to load it later.
    :raises ImageTooLarge: if it has more than *most* bytes.
    :raises UnreadableImage: if *image* cannot be read.
    """
    if isinstance(image, str | os.PathLike):
        return _capture_path(os.path.abspath(os.fspath(image)), loadable)
    if loadable:
        return Captured(content=_digest(image) if _is_bytes(image) else None)
    if image is None:
        raise ImageMissing(
            "The signal came without an image, and the application has no"
            " image_loader that could find it."
        )
    data = read(image, most)
    return Captured(data=data, content=_digest(data))


def read(image: Any, most: int) -> bytes:
    """Read the whole of an image.

    A seekable file is read from its beginning and its position restored; any other
    file is consumed. The result of a function is read and, if it is a file or another
    context manager, closed.

    :param image: see :data:`.ImageSource`.
    :param most: bytes that it may have.
    :raises ImageMissing: if there is no such file, or the path leads to a folder, a
        pipe, a socket or a device.
    :raises ImageTooLarge: if it has more than *most* bytes.
    :raises UnreadableImage: if it cannot be read.
    """
    if _is_bytes(image):
        return _refuse_large(bytes(image), most)
    if isinstance(image, str | os.PathLike):
        return _read_path(os.fspath(image), most)
    if hasattr(image, "read"):
        return _read_file(cast("IO[bytes]", image), most)
    if callable(image):
        opened = image()
        # Paths and memoryviews are context managers in some versions of Python.
        if isinstance(opened, os.PathLike | memoryview) or not hasattr(
            opened, "__exit__"
        ):
            return read(opened, most)
        with opened as file:
            return read(file, most)
    raise UnreadableImage(
        "An image is a path, bytes, a binary file or a function that returns one of"
        f" these, not {type(image).__name__}."
    )


def _capture_path(path: str, loadable: bool) -> Captured:
    try:
        status = os.stat(path)
        refuse_other_kinds(path, status)
    except (OSError, ValueError) as error:
        if loadable:
            return Captured()
        raise _missing(path, error) from None
    return Captured(path=path, content=f"{path}:{status.st_size}:{status.st_mtime_ns}")


def _read_path(path: str, most: int) -> bytes:
    try:
        with open_regular(path) as file:
            # A read allocates all of its argument before it knows the size.
            size = min(most, os.fstat(file.fileno()).st_size or most)
            return _refuse_large(file.read(size + 1), most)
    except (OSError, ValueError) as error:
        raise _missing(path, error) from None


def _read_file(file: IO[bytes], most: int) -> bytes:
    try:
        position = _tell(file)
        if position is not None:
            file.seek(0)
        data = b"".join(_parts(file, most + 1))
        if position is not None:
            file.seek(position)
    except UnicodeDecodeError:
        raise _opened_as_text() from None
    except (OSError, ValueError):
        raise UnreadableImage(
            "The image's file cannot be read: is it closed, or open for writing only?"
        ) from None
    return _refuse_large(data, most)


def _parts(file: IO[bytes], most: int) -> Iterator[bytes]:
    """Read up to *most* bytes; a raw file or a socket returns them in parts."""
    left = most
    while left > 0:
        part: Any = file.read(left)
        if isinstance(part, str):
            raise _opened_as_text()
        if not part:
            return
        yield part
        left -= len(part)


def _tell(file: IO[bytes]) -> int | None:
    try:
        return file.tell() if file.seekable() else None
    except (AttributeError, OSError):
        return None


def _refuse_large(data: bytes, most: int) -> bytes:
    if len(data) > most:
        raise ImageTooLarge(
            f"The image's file has more than {most:,} bytes, the limit that"
            " AUTOTAG_MAX_IMAGE_BYTES sets."
        )
    return data


def _opened_as_text() -> UnreadableImage:
    return UnreadableImage("The image's file was opened as text; open it as 'rb'.")


def _missing(path: str, error: Exception) -> ImageMissing:
    reason = f": it is {error.kind}" if isinstance(error, NotRegular) else ""
    return ImageMissing(
        f"There is no readable file {os.path.basename(path)!r} where the upload was"
        f" said to be{reason}.",
        # A relative path leads elsewhere in a worker with another working directory.
        os.path.abspath(os.fsdecode(path)),
    )


def _is_bytes(image: Any) -> bool:
    return isinstance(image, bytes | bytearray | memoryview)


def _digest(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()
