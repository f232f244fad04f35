from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import PIL
import pytest
from PIL import Image, ImageFile

from flask_autotag import ImageError
from flask_autotag.classification.decode import (
    DRAFT_MEGAPIXELS,
    FORMATS,
    MAX_SCANS,
    MEGAPIXEL,
    READABLE,
    decode,
)
from flask_autotag.errors import ImageTooComplex, ImageTooLarge, UnreadableImage

SIDE = 32
SIZE = (48, 32)
#: The largest difference of a colour after a lossy encoding.
TOLERANCE = 40

NO_IMAGE = (
    f"The file is not an image that can be read ({READABLE}), or its beginning is"
    " damaged."
)
ORIENTATION = 0x0112


def encode(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def picture(size: tuple[int, int] = SIZE) -> Image.Image:
    """Paint an image with one red corner, which shows its orientation."""
    image = Image.new("RGB", size, "blue")
    image.paste("red", (0, 0, size[0] // 2, size[1] // 2))
    return image


def noise(size: tuple[int, int] = SIZE) -> Image.Image:
    return Image.frombytes(
        "RGB", size, random.Random(1).randbytes(size[0] * size[1] * 3)
    )


def is_near(pixel: Any, color: tuple[int, int, int]) -> bool:
    return all(
        abs(value - wanted) <= TOLERANCE
        for value, wanted in zip(pixel, color, strict=True)
    )


def corners(image: Image.Image) -> str:
    """Return which corners are red, clockwise from the upper left."""
    right, bottom = image.width - 3, image.height - 3
    places = ((2, 2), (right, 2), (right, bottom), (2, bottom))
    return "".join(
        "R" if is_near(image.getpixel(place), (255, 0, 0)) else "B" for place in places
    )


def chunk(kind: bytes, data: bytes) -> bytes:
    """Make a part of a PNG file."""
    return (
        struct.pack(">I", len(data))
        + kind
        + data
        + struct.pack(">I", zlib.crc32(kind + data))
    )


def with_scans(jpeg: bytes, number: int) -> bytes:
    """Repeat the last scan of a JPEG until it has *number* of them."""
    last = jpeg.rindex(b"\xff\xda")
    more = number - jpeg.count(b"\xff\xda")
    return jpeg[:-2] + jpeg[last:-2] * more + jpeg[-2:]


#: Small files, made before any test keeps images from being made.
WHOLE = {
    form: encode(picture(), form, **({"lossless": True} if form == "WEBP" else {}))
    for form in FORMATS
}
PROGRESSIVE = encode(picture(), "JPEG", progressive=True)


def png_header(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"")


def with_jpeg_size(data: bytes, width: int, height: int) -> bytes:
    """Write another size into the frame header of a JPEG."""
    start = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2")) + 5
    return data[:start] + struct.pack(">HH", height, width) + data[start + 4 :]


def with_gif_size(width: int, height: int) -> bytes:
    data = bytearray(WHOLE["GIF"])
    data[6:10] = struct.pack("<HH", width, height)
    start = data.index(b"\x2c", 13 + 3 * 2 ** ((data[10] & 7) + 1))
    data[start + 5 : start + 9] = struct.pack("<HH", width, height)
    return bytes(data)


def with_bmp_size(width: int, height: int) -> bytes:
    data = bytearray(WHOLE["BMP"])
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def with_tiff_size(width: int, height: int) -> bytes:
    data = bytearray(WHOLE["TIFF"])
    (start,) = struct.unpack("<I", data[4:8])
    for entry in range(struct.unpack_from("<H", data, start)[0]):
        place = start + 2 + 12 * entry
        (tag,) = struct.unpack_from("<H", data, place)
        if tag in (256, 257):
            value = width if tag == 256 else height
            struct.pack_into("<HII", data, place + 2, 4, 1, value)
    return bytes(data)


def with_webp_size(width: int, height: int) -> bytes:
    """Make a lossless WebP whose header declares a size."""
    data = bytearray(WHOLE["WEBP"])
    start = data.index(b"VP8L") + 9
    (bits,) = struct.unpack_from("<I", data, start)
    bits = bits & ~0xFFFFFFF | (width - 1) | (height - 1) << 14
    struct.pack_into("<I", data, start, bits)
    return bytes(data)


def with_avif_size(width: int, height: int) -> bytes:
    data = bytearray(WHOLE["AVIF"])
    start = data.index(b"ispe") + 8
    struct.pack_into(">II", data, start, width, height)
    return bytes(data)


SIZED = {
    "PNG": png_header,
    "GIF": with_gif_size,
    "BMP": with_bmp_size,
    "TIFF": with_tiff_size,
    "WEBP": with_webp_size,
    "JPEG": lambda width, height: with_jpeg_size(PROGRESSIVE, width, height),
}


@pytest.fixture
def nothing_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test if pixels are decoded or memory is allocated for them."""

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("an image was decoded")

    Image.init()
    for kind in [ImageFile.ImageFile, *ImageFile.ImageFile.__subclasses__()]:
        monkeypatch.setattr(kind, "load", fail)
    monkeypatch.setattr(Image.core, "new", fail)
    monkeypatch.setattr(Image.core, "fill", fail)


@pytest.fixture
def as_in_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn Pillow's own limit off, as a child process does."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)


class TestFormats:
    @pytest.mark.parametrize("form", FORMATS)
    def test_every_format_is_read(self, form: str) -> None:
        options: dict[str, Any] = {"save_all": True} if form == "MPO" else {}
        if form == "MPO":
            options["append_images"] = [Image.new("RGB", SIZE)]
        data = encode(picture(), form, **options)
        assert Image.open(io.BytesIO(data)).format == form
        image = decode(data, SIDE)
        assert (image.mode, image.size) == ("RGB", SIZE)
        assert corners(image) == "RBBB"

    @pytest.mark.parametrize("form", ["PPM", "TGA", "ICO", "JPEG2000", "PCX", "DIB"])
    def test_no_other_format_is_read(self, form: str) -> None:
        with pytest.raises(UnreadableImage) as caught:
            decode(encode(picture(), form), SIDE)
        assert str(caught.value) == NO_IMAGE

    def test_the_message_names_what_is_read(self) -> None:
        assert READABLE.startswith("JPEG, PNG, GIF, BMP, TIFF, WebP")

    @pytest.mark.parametrize("options", [{"progressive": True}, {"quality": 1}])
    def test_other_kinds_of_jpeg(self, options: dict[str, Any]) -> None:
        assert corners(decode(encode(picture(), "JPEG", **options), SIDE)) == "RBBB"

    @pytest.mark.parametrize(
        "compression", ["raw", "tiff_lzw", "packbits", "tiff_adobe_deflate", "jpeg"]
    )
    def test_other_kinds_of_tiff(self, compression: str) -> None:
        data = encode(picture(), "TIFF", compression=compression)
        assert corners(decode(data, SIDE)) == "RBBB"

    def test_an_interlaced_palette_and_a_wide_png(self) -> None:
        wide = Image.new("RGB", (3000, 2), "red")
        assert decode(encode(wide), SIDE).size == (3000, 2)

    @pytest.mark.parametrize("size", [(1, 65535), (65535, 1), (1, 1)])
    @pytest.mark.parametrize("form", ["PNG", "JPEG"])
    def test_the_narrowest_images(self, size: tuple[int, int], form: str) -> None:
        image_size = (
            (min(size[0], 65500), min(size[1], 65500)) if form == "JPEG" else size
        )
        image = decode(encode(Image.new("RGB", image_size, "red"), form), SIDE)
        assert image.size == image_size
        assert is_near(image.getpixel((0, 0)), (255, 0, 0))


class TestColors:
    @pytest.mark.parametrize(
        ("mode", "options"),
        [
            ("L", {}),
            ("P", {}),
            ("1", {}),
            ("CMYK", {}),
            ("RGBX", {}),
            ("YCbCr", {"compression": "jpeg"}),
            pytest.param(
                *("YCbCr", {}),
                marks=pytest.mark.skipif(
                    int(PIL.__version__.split(".")[0]) < 13,
                    reason="Pillow before 13 does not read what it writes here",
                ),
            ),
        ],
    )
    @pytest.mark.parametrize("white", [True, False])
    def test_black_and_white_in_every_mode(
        self, mode: str, options: dict[str, str], white: bool
    ) -> None:
        color = (255, 255, 255) if white else (0, 0, 0)
        image = Image.new("RGB", SIZE, color).convert(mode)
        form = "PNG" if mode == "P" else "TIFF"
        decoded = decode(encode(image, form, **options), SIDE)
        assert decoded.mode == "RGB"
        assert is_near(decoded.getpixel((5, 5)), color)

    def test_cmyk_of_a_jpeg(self) -> None:
        data = encode(picture().convert("CMYK"), "JPEG")
        assert Image.open(io.BytesIO(data)).mode == "CMYK"
        assert corners(decode(data, SIDE)) == "RBBB"

    def test_a_palette(self) -> None:
        data = encode(picture().quantize(4))
        assert Image.open(io.BytesIO(data)).mode == "P"
        assert corners(decode(data, SIDE)) == "RBBB"

    @pytest.mark.parametrize("transparency", [0, bytes([0, 255])])
    def test_a_palette_with_transparency(self, transparency: int | bytes) -> None:
        image = Image.new("P", SIZE, 0)
        image.putpalette([0, 0, 0, 255, 0, 0])
        image.paste(1, (0, 0, 10, 10))
        decoded = decode(encode(image, transparency=transparency), SIDE)
        assert decoded.getpixel((2, 2)) == (255, 0, 0)
        assert decoded.getpixel((40, 20)) == (255, 255, 255)

    def test_a_transparent_color_of_rgb_and_of_grey(self) -> None:
        for mode, color in (("RGB", (0, 0, 0)), ("L", 0)):
            data = encode(Image.new(mode, SIZE, color), transparency=color)
            assert decode(data, SIDE).getpixel((2, 2)) == (255, 255, 255)

    @pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
    def test_transparent_pixels_become_white(self, form: str) -> None:
        image = Image.new("RGBA", SIZE, (0, 0, 0, 0))
        image.paste((255, 0, 0, 255), (0, 0, 20, 20))
        decoded = decode(encode(image, form), SIDE)
        assert is_near(decoded.getpixel((2, 2)), (255, 0, 0))
        assert is_near(decoded.getpixel((40, 28)), (255, 255, 255))

    def test_half_transparent_pixels_are_mixed_with_white(self) -> None:
        for mode, color in (("RGBA", (0, 0, 0, 128)), ("LA", (0, 128))):
            decoded = decode(encode(Image.new(mode, SIZE, color)), SIDE)
            assert decoded.getpixel((2, 2)) == (127, 127, 127)

    @pytest.mark.parametrize("form", ["PNG", "TIFF"])
    @pytest.mark.parametrize(("level", "grey"), [(0, 0), (32768, 127), (65535, 255)])
    def test_16_bit_greys(self, form: str, level: int, grey: int) -> None:
        data = encode(Image.new("I;16", SIZE, level), form)
        assert Image.open(io.BytesIO(data)).mode.startswith("I;16")
        value = decode(data, SIDE).getpixel((2, 2))
        assert is_near(value, (grey, grey, grey))

    def test_a_dark_16_bit_image_stays_dark(self) -> None:
        value = decode(encode(Image.new("I;16", SIZE, 300)), SIDE).getpixel((2, 2))
        assert is_near(value, (1, 1, 1))

    @pytest.mark.parametrize(
        ("mode", "white"),
        [("I", 255), ("I", 65535), ("F", 1.0), ("F", 255.0), ("F", 9e6)],
    )
    def test_32_bit_greys_of_any_range(self, mode: str, white: float) -> None:
        image = Image.new(mode, SIZE, white)
        image.paste(0, (0, 0, 20, 20))
        data = encode(image, "TIFF")
        assert Image.open(io.BytesIO(data)).mode == mode
        decoded = decode(data, SIDE)
        assert decoded.getpixel((40, 28)) == (255, 255, 255)
        assert decoded.getpixel((2, 2)) == (0, 0, 0)

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
    def test_a_tiff_of_strange_numbers_is_still_an_image(self, value: float) -> None:
        decoded = decode(encode(Image.new("F", SIZE, value), "TIFF"), SIDE)
        assert (decoded.mode, decoded.size) == ("RGB", SIZE)


class TestOrientation:
    @pytest.mark.parametrize(
        "form", ["JPEG", "PNG", "WEBP", "TIFF"] + ["AVIF"] * ("AVIF" in FORMATS)
    )
    @pytest.mark.parametrize(
        ("orientation", "stored"),
        [
            (1, None),
            (2, Image.Transpose.FLIP_LEFT_RIGHT),
            (3, Image.Transpose.ROTATE_180),
            (4, Image.Transpose.FLIP_TOP_BOTTOM),
            (5, Image.Transpose.TRANSPOSE),
            (6, Image.Transpose.ROTATE_90),
            (7, Image.Transpose.TRANSVERSE),
            (8, Image.Transpose.ROTATE_270),
        ],
    )
    def test_every_orientation_ends_upright(
        self, form: str, orientation: int, stored: Image.Transpose | None
    ) -> None:
        image = picture() if stored is None else picture().transpose(stored)
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        decoded = decode(encode(image, form, exif=exif), SIDE)
        assert decoded.size == SIZE
        assert corners(decoded) == "RBBB"

    @pytest.mark.parametrize("orientation", [0, 9, 65535])
    def test_an_orientation_that_does_not_exist_is_ignored(
        self, orientation: int
    ) -> None:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        assert corners(decode(encode(picture(), "JPEG", exif=exif), SIDE)) == "RBBB"

    def test_damaged_exif_data_does_not_matter(self) -> None:
        exif = Image.Exif()
        exif[ORIENTATION] = 6
        exif[0x010F] = "A maker of cameras"
        good = encode(picture(), "JPEG", exif=exif)
        start, length = good.index(b"Exif\0\0") + 6, len(exif.tobytes()) - 6
        random_ = random.Random(2)
        for _ in range(300):
            data = bytearray(good)
            for _ in range(random_.randint(1, 8)):
                data[start + random_.randrange(length)] = random_.randrange(256)
            assert decode(bytes(data), SIDE).mode == "RGB"


class TestAnimations:
    @pytest.mark.parametrize(
        "form", ["GIF", "WEBP", "PNG", "TIFF"] + ["AVIF"] * ("AVIF" in FORMATS)
    )
    def test_of_an_animation_the_first_frame_is_taken(self, form: str) -> None:
        others = [Image.new("RGB", SIZE, color) for color in ("lime", "black", "white")]
        data = encode(picture(), form, save_all=True, append_images=others)
        assert Image.open(io.BytesIO(data)).n_frames == 4  # type: ignore[attr-defined]
        assert corners(decode(data, SIDE)) == "RBBB"

    def test_later_frames_need_not_be_whole(self) -> None:
        others = [noise() for _ in range(20)]
        data = encode(picture(), "GIF", save_all=True, append_images=others)
        assert corners(decode(data[: len(data) // 2], SIDE)) == "RBBB"


class TestDraft:
    def test_a_large_jpeg_is_decoded_smaller_but_not_too_small(self) -> None:
        decoded = decode(encode(picture((1600, 1200)), "JPEG"), 256)
        assert decoded.size == (400, 300)
        assert corners(decoded) == "RBBB"

    @pytest.mark.parametrize(
        "size", [(2100, 300), (300, 2100), (2048, 2048), (257, 257)]
    )
    @pytest.mark.parametrize("side", [1, 37, 256])
    def test_the_shorter_side_is_never_below_what_is_needed(
        self, size: tuple[int, int], side: int
    ) -> None:
        decoded = decode(encode(picture(size), "JPEG"), side)
        assert min(decoded.size) >= min(side, *size)
        assert min(decoded.size) <= min(size)

    def test_a_turned_jpeg_is_decoded_smaller_too(self) -> None:
        exif = Image.Exif()
        exif[ORIENTATION] = 6
        stored = picture((1600, 1200)).transpose(Image.Transpose.ROTATE_90)
        decoded = decode(encode(stored, "JPEG", exif=exif), 256)
        assert decoded.size == (400, 300)
        assert corners(decoded) == "RBBB"

    def test_a_small_jpeg_keeps_its_size(self) -> None:
        assert decode(encode(picture((64, 48)), "JPEG"), 256).size == (64, 48)

    def test_a_grey_and_a_cmyk_jpeg_become_rgb_all_the_same(self) -> None:
        for mode in ("L", "CMYK"):
            image = Image.new("RGB", (800, 800), "white").convert(mode)
            decoded = decode(encode(image, "JPEG"), 100)
            assert (decoded.mode, decoded.size) == ("RGB", (100, 100))
            assert is_near(decoded.getpixel((50, 50)), (255, 255, 255))


class TestScans:
    def test_a_progressive_jpeg_of_as_many_scans_as_allowed_is_decoded(self) -> None:
        image = decode(with_scans(PROGRESSIVE, MAX_SCANS), SIDE)
        assert is_near(image.getpixel((2, 2)), (255, 0, 0))

    @pytest.mark.parametrize("progressive", [True, False])
    def test_a_jpeg_of_more_scans_is_refused(self, progressive: bool) -> None:
        jpeg = encode(picture(), "JPEG", progressive=progressive)
        with pytest.raises(ImageTooComplex) as caught:
            decode(with_scans(jpeg, MAX_SCANS + 1), SIDE)
        assert str(caught.value) == (
            "The JPEG image has more than 100 scans; save it again with a program for"
            " images."
        )

    def test_markers_inside_of_segments_are_no_scans(self) -> None:
        data = encode(picture(), "JPEG")
        comment = b"\xff\xda" * 500
        segment = b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment
        assert decode(data[:2] + segment + data[2:], SIDE)

    def test_what_follows_the_end_of_a_jpeg_is_no_scan(self) -> None:
        assert decode(encode(picture(), "JPEG") + b"\xff\xda" * 500, SIDE)

    def test_scans_behind_filling_and_rubbish_count(self) -> None:
        data = with_scans(PROGRESSIVE, MAX_SCANS + 1)
        last = data.rindex(b"\xff\xda")
        for between in (b"\xff\xff", b"\xff\x00", b"rubbish", b"\xff\xd0", b"\xff\x01"):
            with pytest.raises(ImageTooComplex):
                decode(between.join([data[:last], data[last:]]), SIDE)


@pytest.mark.usefixtures("nothing_is_decoded")
class TestLimits:
    @pytest.mark.usefixtures("as_in_a_child")
    @pytest.mark.parametrize("form", SIZED)
    def test_too_many_pixels_are_known_from_the_header(self, form: str) -> None:
        limit = FORMATS[form].megapixels
        width, height = 10_000, limit * MEGAPIXEL // 10_000 + 1
        data = SIZED[form](width, height)
        with pytest.raises(ImageTooLarge) as caught:
            decode(data, SIDE)
        assert str(caught.value) == (
            f"The image has {width} by {height} pixels; the limit for"
            f" {FORMATS[form].title} is {limit} megapixels."
        )

    @pytest.mark.parametrize("form", SIZED)
    def test_the_largest_image_is_let_through(self, form: str) -> None:
        data = SIZED[form](10_000, FORMATS[form].megapixels * MEGAPIXEL // 10_000)
        with pytest.raises(UnreadableImage, match="damaged or incomplete") as caught:
            decode(data, SIDE)
        assert "an image was decoded" in str(caught.value.__cause__)

    @pytest.mark.parametrize("form", SIZED)
    def test_a_small_file_of_a_huge_image_is_refused_by_the_header(
        self, form: str
    ) -> None:
        data = SIZED[form](16_000, 16_000)
        assert len(data) < 30_000
        with pytest.raises(ImageTooLarge) as caught:
            decode(data, SIDE)
        assert str(caught.value) == "The image has far more pixels than can be decoded."

    @pytest.mark.usefixtures("as_in_a_child")
    @pytest.mark.parametrize("form", SIZED)
    def test_it_is_refused_without_pillows_own_limit_too(self, form: str) -> None:
        with pytest.raises(ImageTooLarge, match="16000 by 16000 pixels; the limit for"):
            decode(SIZED[form](16_000, 16_000), SIDE)

    @pytest.mark.usefixtures("as_in_a_child")
    def test_a_baseline_jpeg_may_be_larger_for_it_is_decoded_smaller(self) -> None:
        data = WHOLE["JPEG"]
        height = DRAFT_MEGAPIXELS * MEGAPIXEL // 10_000
        with pytest.raises(UnreadableImage) as caught:
            decode(with_jpeg_size(data, 10_000, height), SIDE)
        assert "an image was decoded" in str(caught.value.__cause__)
        with pytest.raises(ImageTooLarge) as too_large:
            decode(with_jpeg_size(data, 10_000, height + 1), SIDE)
        assert str(too_large.value) == (
            "The image has 10000 by 20001 pixels; the limit for JPEG is 200 megapixels."
        )

    def test_of_a_progressive_jpeg_the_smaller_limit_counts(self) -> None:
        data = PROGRESSIVE
        with pytest.raises(ImageTooLarge) as caught:
            decode(with_jpeg_size(data, 10_000, 5_001), SIDE)
        assert str(caught.value) == (
            "The image has 10000 by 5001 pixels; the limit for JPEG is 50 megapixels."
        )

    @pytest.mark.skipif("AVIF" not in FORMATS, reason="Pillow has no AVIF here")
    def test_an_avif_that_declares_to_be_huge_is_refused(self) -> None:
        # The decoder compares the sizes in the file before anything else.
        with pytest.raises(ImageError):
            decode(with_avif_size(16_000, 16_000), SIDE)


def test_running_out_of_memory_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise MemoryError

    for place in ("load", "draft"):
        with monkeypatch.context() as patch:
            patch.setattr(ImageFile.ImageFile, place, fail)
            patch.setattr("PIL.JpegImagePlugin.JpegImageFile.draft", fail)
            with pytest.raises(ImageTooLarge) as caught:
                decode(encode(picture(), "JPEG"), SIDE)
        assert str(caught.value) == (
            "The image needs more memory to decode than AUTOTAG_MEMORY_LIMIT allows."
        )


def samples() -> Iterator[tuple[str, bytes]]:
    """Make one file of each format, with metadata."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    for form in FORMATS:
        options: dict[str, Any] = {}
        if form in ("MPO", "GIF", "WEBP", "PNG"):
            options = {"save_all": True, "append_images": [picture()]}
        if form not in ("GIF", "BMP"):
            options["exif"] = exif
        yield form, encode(noise(), form, **options)
    yield "progressive JPEG", encode(noise(), "JPEG", progressive=True)
    yield "palette PNG", encode(picture().quantize(4), transparency=0)
    yield (
        "16-bit TIFF",
        encode(Image.new("I;16", SIZE, 5), "TIFF", compression="tiff_lzw"),
    )


SAMPLES = dict(samples())


def outcome(data: bytes) -> str:
    """Decode a file that may be damaged; only these errors are allowed."""
    try:
        image = decode(data, SIDE)
    except (UnreadableImage, ImageTooLarge) as error:
        return type(error).__name__
    assert image.mode == "RGB"
    assert min(image.size) >= 1
    return "image"


class TestDamage:
    def test_an_empty_file(self) -> None:
        with pytest.raises(UnreadableImage) as caught:
            decode(b"", SIDE)
        assert str(caught.value) == "The file is empty."

    @pytest.mark.parametrize(
        "data",
        [
            b"\0",
            b"\0" * 5000,
            b"This is a text.\n" * 50,
            b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
            b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n",
            b"SIMPLE  =                    T" + b" " * 2850,
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 500,
            b"PK\x03\x04" + b"\0" * 100,
            b"<!DOCTYPE html><title>Not found</title>",
        ],
        ids=["NUL", "NULs", "text", "SVG", "EPS", "PDF", "FITS", "HEIC", "ZIP", "HTML"],
    )
    def test_what_is_no_image_of_a_format_that_is_read(self, data: bytes) -> None:
        with pytest.raises(UnreadableImage) as caught:
            decode(data, SIDE)
        assert str(caught.value) == NO_IMAGE

    @pytest.mark.parametrize(("name", "title"), [("JPEG", "JPEG"), ("PNG", "PNG")])
    def test_the_message_on_a_truncated_image_names_its_format(
        self, name: str, title: str
    ) -> None:
        data = SAMPLES[name]
        with pytest.raises(UnreadableImage) as caught:
            decode(data[: len(data) // 2], SIDE)
        assert str(caught.value) == f"The {title} image is damaged or incomplete."

    def test_metadata_that_blows_up_is_refused_with_its_image(self) -> None:
        text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 80_000_000, 9))
        data = encode(picture())
        end = data.index(b"IDAT") - 4
        with pytest.raises(UnreadableImage) as caught:
            decode(data[:end] + text + data[end:], SIDE)
        assert str(caught.value) == "The beginning of the image is damaged."

    @pytest.mark.parametrize("name", SAMPLES)
    def test_whole_samples_are_images(self, name: str) -> None:
        assert outcome(SAMPLES[name]) == "image"

    @pytest.mark.parametrize("name", SAMPLES)
    def test_truncated_anywhere(self, name: str) -> None:
        data = SAMPLES[name]
        lengths = {*range(0, min(len(data), 200)), *range(0, len(data), 97)}
        assert {outcome(data[:length]) for length in sorted(lengths)} <= {
            "UnreadableImage",
            "image",
        }
        assert outcome(data[: len(data) // 3]) == "UnreadableImage"

    @pytest.mark.parametrize("name", SAMPLES)
    def test_mutated_at_random(self, name: str) -> None:
        random_ = random.Random(name)
        for _ in range(150):
            data = bytearray(SAMPLES[name])
            # Damage to headers has the most effect.
            area = len(data) if random_.random() < 0.3 else min(len(data), 300)
            for _ in range(random_.randint(1, 12)):
                data[random_.randrange(area)] = random_.choice(
                    (0, 1, 127, 128, 255, random_.randrange(256))
                )
            outcome(bytes(data))

    @pytest.mark.parametrize("name", SAMPLES)
    def test_with_parts_taken_out_or_repeated(self, name: str) -> None:
        random_ = random.Random(name)
        data = SAMPLES[name]
        for _ in range(40):
            first, second = sorted(random_.sample(range(len(data)), 2))
            outcome(data[:first] + data[second:])
            outcome(data[:second] + data[first:])
