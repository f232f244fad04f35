"""Untrusted bytes → pixels, inside limits.

Runs in a child process (see ``sandbox/``): the limits here keep good images cheap
and bad ones from costing much; the process's own limits catch the rest.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

from PIL import Image, ImageOps, UnidentifiedImageError, features

from .errors import ImageTooLarge, UnreadableImage

MEGAPIXEL = 1_000_000


@dataclass(frozen=True)
class Format:
    """What is read of one file format.

    :param title: what people call it.
    :param megapixels: the largest image that is decoded. Measured with Pillow: PNG
        and its like take up to 4 bytes a pixel; the WebP and AVIF decoders three to
        four times as much.
    """

    title: str
    megapixels: int


#: By Pillow's names. MPO is the JPEG that many phones and cameras write.
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

#: A baseline JPEG is decoded at an eighth of its size or so by ``draft``; a
#: progressive one is held in memory whole all the same.
DRAFT_MEGAPIXELS = 200

#: What Pillow is asked to open. It has no opener for MPO: JPEG's finds out.
_OPENERS = tuple(name for name in FORMATS if name != "MPO")

#: Of a JPEG that is sent elsewhere; labels do not change above it.
_QUALITY = 85

READABLE = ", ".join(dict.fromkeys(form.title for form in FORMATS.values()))


def decode(data: bytes, side: int) -> Image.Image:
    """Decode an image to RGB, upright, and no larger than needed.

    Of an animation the first frame is taken; transparent pixels become white.

    :param data: the whole file.
    :param side: pixels that the shorter side needs at least; a JPEG may be decoded
        smaller than it is, down to that.
    :return: an image of mode ``RGB``.
    :raises UnreadableImage: if it is no image that is read here, or is damaged.
    :raises ImageTooLarge: if it has more pixels than its format's limit. That is
        known from its header, before anything is decoded.
    """
    try:
        with warnings.catch_warnings():
            # The limits here replace Pillow's, and metadata may be as bad as it likes.
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
    try:
        image.draft("RGB", _draft_size(image, side))
        image.load()
        return _to_rgb(ImageOps.exif_transpose(image))
    except MemoryError:
        raise
    except Exception as error:
        # Pillow's decoders raise nearly anything on damaged data.
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


def _is_baseline_jpeg(image: Image.Image) -> bool:
    return image.format in ("JPEG", "MPO") and not image.info.get("progressive")


def _title(image: Image.Image) -> str:
    return FORMATS[str(image.format)].title


def _draft_size(image: Image.Image, side: int) -> tuple[int, int]:
    """Choose the size to ask of ``draft``, which takes the next larger one.

    ``draft`` holds the *smaller* ratio to the size asked for, so both sides are
    asked for in the image's own proportions.
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
    """Bring 16- and 32-bit greys to 8 bits; Pillow would clip them to white."""
    wide = image.convert("F")
    scale = 255.0 / _white_level(image.mode, float(wide.getextrema()[1]))  # type: ignore[arg-type]
    return wide.point(lambda value: value * scale + 0.0).convert("L")


def _white_level(mode: str, highest: float) -> float:
    """Find the value that means white: the least usual one that holds all values."""
    levels = (65535.0,) if mode.startswith("I;16") else (1.0, 255.0, 65535.0)
    return next((level for level in levels if highest <= level), highest)


def reduced(image: Image.Image, longest: int) -> Image.Image:
    """Make the image that providers elsewhere get: small, and pixels alone.

    :param image: as :func:`decode` gives it.
    :param longest: pixels of its longer side at most.
    """
    small = image.copy()
    small.thumbnail((longest, longest), Image.Resampling.BICUBIC)
    return small


def to_jpeg(image: Image.Image) -> bytes:
    """Make a JPEG without metadata: neither place, nor camera, nor thumbnail."""
    # Pillow writes what a file said of itself, unless it is gone.
    image.info = {}
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def sample_image() -> bytes:
    """Make a small image to try a classifier with."""
    file = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(file, "PNG")
    return file.getvalue()
