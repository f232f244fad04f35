"""What a host hands over as an image → a path, or its bytes."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any, cast

from .assets import ImageSource
from .errors import ImageMissing, ImageTooLarge, UnreadableImage


@dataclass(frozen=True)
class Captured:
    """What a job keeps of an image.

    :param path: where a worker finds it, absolute.
    :param data: its bytes, where a worker would not find it again.
    :param content: a text that is the same for the same content of the same asset,
        as far as could be told in the time of a request; ``None`` if it could not.
    """

    path: str | None = None
    data: bytes | None = field(default=None, repr=False)
    content: str | None = None


def capture(image: ImageSource | None, *, loadable: bool, most: int) -> Captured:
    """Take from *image* what the request's end would take away.

    :param loadable: whether a worker can load the asset's image again by itself;
        then nothing is read here.
    :param most: bytes that are read at most.
    :raises ImageMissing: if there is no image, and no way to load it later.
    :raises ImageTooLarge: if it has more than *most* bytes.
    :raises UnreadableImage: if *image* is nothing that can be read.
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

    A file that can seek is read from its beginning and left where it was; another
    one is consumed. What a function returns is read and, if it is a file or another
    context manager, closed.

    :param image: see :data:`.ImageSource`.
    :param most: bytes that it may have.
    :raises ImageMissing: if there is no such file.
    :raises ImageTooLarge: if it has more than *most* bytes.
    :raises UnreadableImage: if it is nothing that can be read.
    """
    if _is_bytes(image):
        return _refuse_large(bytes(image), most)
    if isinstance(image, str | os.PathLike):
        return _read_path(os.fspath(image), most)
    if hasattr(image, "read"):
        return _read_file(cast("IO[bytes]", image), most)
    if callable(image):
        opened = image()
        # Some paths and memoryviews can be entered too, to no good.
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
    except (OSError, ValueError):
        status = None
    if status is None or stat.S_ISDIR(status.st_mode):
        if loadable:
            return Captured()
        raise _missing(path)
    return Captured(path=path, content=f"{path}:{status.st_size}:{status.st_mtime_ns}")


def _read_path(path: str, most: int) -> bytes:
    try:
        with open(path, "rb") as file:
            # A read makes room for all that it may give, before it knows the size.
            size = min(most, os.fstat(file.fileno()).st_size or most)
            return _refuse_large(file.read(size + 1), most)
    except (OSError, ValueError):
        raise _missing(path) from None


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
    """Read up to *most* bytes; a raw file or a socket gives them in parts."""
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


def _missing(path: str) -> ImageMissing:
    return ImageMissing(
        f"There is no readable file {os.path.basename(path)!r} where the upload was"
        " said to be."
    )


def _is_bytes(image: Any) -> bool:
    return isinstance(image, bytes | bytearray | memoryview)


def _digest(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()
