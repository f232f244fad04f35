"""Decodes untrusted images within limits.

This code runs in a child process (see ``sandbox/``). The limits here bound the cost of
an image; the limits of the process catch the rest.
"""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import dataclass

from PIL import Image, ImageOps, UnidentifiedImageError, features

from ..errors import ImageTooComplex, ImageTooLarge, UnreadableImage

MEGAPIXEL = 1_000_000


@dataclass(frozen=True)
class Format:
    """A file format that can be decoded.

    :param title: the name that people see.
    :param megapixels: the largest image that is decoded. Measured with Pillow: PNG and
        similar formats take up to 4 bytes a pixel, the WebP and AVIF decoders three to
        four times as much.
    """

    title: str
    megapixels: int


#: Formats by Pillow's names. Many phones and cameras write JPEG files as MPO.
FORMATS = {
    "JPEG": Format("JPEG", 50),
    "MPO": Format("JPEG", 50),
    "PNG": Format("PNG", 50),
    "GIF": Format("GIF", 50),
    "BMP": Format("BMP", 50),
    "TIFF": Format("TIFF", 50),
    "WEBP": Format("WebP", 25),
}
if features.check("avif"):
    FORMATS["AVIF"] = Format("AVIF", 25)

#: The limit for baseline JPEG files, which ``draft`` decodes at a reduced size. A
#: progressive JPEG is held in memory at its full size.
DRAFT_MEGAPIXELS = 200

#: Scans in a JPEG file. A scan takes a few bytes of the file, and the time to process
#: all pixels (libjpeg-turbo: "Two Issues with the JPEG Standard", LJT-01-003). Encoders
#: write about ten; the tests of libjpeg-turbo allow 100, too.
MAX_SCANS = 100
#: A JPEG marker, except stuffed zeros, restarts and fill bytes (ITU-T T.81, B.1.1).
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_START_OF_IMAGE, _END_OF_IMAGE, _START_OF_SCAN = b"\xd8", b"\xd9", b"\xda"
#: Markers without a segment: TEM and SOI.
_STANDALONE = (b"\x01", _START_OF_IMAGE)

#: The formats that Pillow tries. Its opener for JPEG also recognises MPO.
_OPENERS = tuple(name for name in FORMATS if name != "MPO")

#: JPEG quality of reduced images. A higher quality does not change the labels.
_QUALITY = 85

READABLE = ", ".join(dict.fromkeys(form.title for form in FORMATS.values()))


def decode(data: bytes, side: int) -> Image.Image:
    """Decode an image to RGB, upright, and not larger than needed.

    The first frame of an animation is used, and transparent pixels become white.

    :param data: the whole file.
    :param side: pixels that the shorter side needs. A larger JPEG may be decoded at a
        reduced size, down to this one.
    :return: an image of mode ``RGB``.
    :raises UnreadableImage: if the file is damaged, or not an image of one of
        :data:`FORMATS`.
    :raises ImageTooLarge: if it has more pixels than the limit of its format, according
        to the header, or needs more memory than the process has.
    :raises ImageTooComplex: if it is a JPEG with more than :data:`MAX_SCANS` scans.
    """
    try:
        with warnings.catch_warnings():
            # The limits here replace Pillow's, and damaged metadata does not matter.
            warnings.simplefilter("ignore")
            return _decode(data, side)
    except MemoryError:
        raise ImageTooLarge(
            "The image needs more memory to decode than AUTOTAG_MEMORY_LIMIT allows."
        ) from None


def _decode(data: bytes, side: int) -> Image.Image:
    image = _open(data)
    _refuse_pixels(image)
    name = _title(image)
    if name == "JPEG":
        _refuse_scans(data)
    try:
        image.draft("RGB", _draft_size(image, side))
        image.load()
        return _to_rgb(ImageOps.exif_transpose(image))
    except MemoryError:
        raise
    except Exception as error:
        # Pillow's decoders raise almost any exception for damaged data.
        raise UnreadableImage(f"The {name} image is damaged or incomplete.") from error


def _open(data: bytes) -> Image.Image:
    if not data:
        raise UnreadableImage("The file is empty.")
    try:
        return Image.open(io.BytesIO(data), formats=_OPENERS)
    except UnidentifiedImageError:
        raise UnreadableImage(
            f"The file is not an image that can be read ({READABLE}), or its"
            " beginning is damaged."
        ) from None
    except Image.DecompressionBombError:
        raise ImageTooLarge(
            "The image has far more pixels than can be decoded."
        ) from None
    except MemoryError:
        raise
    except Exception as error:
        raise UnreadableImage("The beginning of the image is damaged.") from error


def _refuse_pixels(image: Image.Image) -> None:
    limit = FORMATS[str(image.format)].megapixels
    if _is_baseline_jpeg(image):
        limit = DRAFT_MEGAPIXELS
    pixels = image.width * image.height
    if pixels > limit * MEGAPIXEL:
        raise ImageTooLarge(
            f"The image has {image.width} by {image.height} pixels; the limit for"
            f" {_title(image)} is {limit} megapixels."
        )


def _refuse_scans(data: bytes) -> None:
    scans = place = 0
    while (marker := _MARKER.search(data, place)) and marker[1] != _END_OF_IMAGE:
        place = marker.end()
        if marker[1] in _STANDALONE:
            continue
        scans += marker[1] == _START_OF_SCAN
        if scans > MAX_SCANS:
            raise ImageTooComplex(
                f"The JPEG image has more than {MAX_SCANS} scans; save it again with a"
                " program for images."
            )
        # The length of a segment includes its own two bytes. The data of a scan follow.
        place += int.from_bytes(data[place : place + 2], "big")


def _is_baseline_jpeg(image: Image.Image) -> bool:
    return image.format in ("JPEG", "MPO") and not image.info.get("progressive")


def _title(image: Image.Image) -> str:
    return FORMATS[str(image.format)].title


def _draft_size(image: Image.Image, side: int) -> tuple[int, int]:
    """Return the size to request from ``draft``, which uses the next larger one.

    ``draft`` reduces by the smaller of both sides' ratios, so the size has the
    proportions of the image.
    """
    scale = side / min(image.size)
    return max(1, int(image.width * scale)), max(1, int(image.height * scale))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        image = _to_8_bit(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Scale 16- and 32-bit greys to 8 bits. Pillow would clip them to white."""
    wide = image.convert("F")
    scale = 255.0 / _white_level(image.mode, float(wide.getextrema()[1]))  # type: ignore[arg-type]
    return wide.point(lambda value: value * scale + 0.0).convert("L")


def _white_level(mode: str, highest: float) -> float:
    """Return the value of white: the smallest usual maximum that fits all values."""
    levels = (65535.0,) if mode.startswith("I;16") else (1.0, 255.0, 65535.0)
    return next((level for level in levels if highest <= level), highest)


def reduced(image: Image.Image, longest: int) -> Image.Image:
    """Return a copy of an image that is reduced for remote providers.

    :param image: an image from :func:`decode`.
    :param longest: pixels of the longer side of the copy. A smaller image keeps its
        size.
    """
    small = image.copy()
    small.thumbnail((longest, longest), Image.Resampling.BICUBIC)
    return small


def to_jpeg(image: Image.Image) -> bytes:
    """Encode an image as JPEG without metadata: no place, camera or thumbnail.

    The image's ``info`` is cleared.
    """
    # Pillow would write the metadata in ``info``.
    image.info = {}
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def sample_image() -> bytes:
    """Return a small PNG file to try a classifier with."""
    file = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(file, "PNG")
    return file.getvalue()
