from __future__ import annotations

import contextlib
import hashlib
import io
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from werkzeug.datastructures import FileStorage

from flask_autotag.errors import ImageMissing, ImageTooLarge, UnreadableImage
from flask_autotag.host.image_source import Captured, capture, read

IMAGE = bytes(range(256)) * 40
HASH = hashlib.sha256(IMAGE).hexdigest()
MOST = len(IMAGE)
TOO_LARGE = (
    "The image's file has more than 10,239 bytes, the limit that"
    " AUTOTAG_MAX_IMAGE_BYTES sets."
)
AS_TEXT = "The image's file was opened as text; open it as 'rb'."
NOT_READABLE = (
    "The image's file cannot be read: is it closed, or open for writing only?"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "photo.jpg"
    file.write_bytes(IMAGE)
    return file


class Unseekable(io.RawIOBase):
    """A stream like a socket: it returns small parts, and only once."""

    def __init__(self, data: bytes = IMAGE, part: int = 1000) -> None:
        self._data = data
        self._part = part

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._data[: min(self._part, len(buffer))]
        buffer[: len(part)] = part
        self._data = self._data[len(part) :]
        return len(part)


class Untouchable:
    """Fails the test if it is read, called or asked for anything."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was used")

    def read(self, size: int = -1) -> bytes:
        raise AssertionError("it was read")

    def __call__(self) -> bytes:
        raise AssertionError("it was called")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as file:
        yield file


class TestRead:
    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_bytes_in_any_form(self, kind: Any) -> None:
        data = read(kind(IMAGE), MOST)
        assert data == IMAGE
        assert type(data) is bytes

    def test_a_path(self, path: Path) -> None:
        assert read(path, MOST) == IMAGE
        assert read(str(path), MOST) == IMAGE

    def test_a_file_is_read_from_its_beginning_and_left_where_it_was(self) -> None:
        file = io.BytesIO(IMAGE)
        for position in (0, 17, MOST, MOST + 5):
            file.seek(position)
            assert read(file, MOST) == IMAGE
            assert file.tell() == position

    def test_a_file_that_is_too_large_is_left_where_it_was_too(self) -> None:
        file = io.BytesIO(IMAGE)
        file.seek(17)
        with pytest.raises(ImageTooLarge):
            read(file, MOST - 1)
        assert file.tell() == 17

    def test_an_upload_before_and_after_it_was_saved(self, tmp_path: Path) -> None:
        upload = FileStorage(io.BytesIO(IMAGE), "photo.jpg")
        assert read(upload, MOST) == IMAGE
        assert upload.tell() == 0
        upload.save(tmp_path / "saved.jpg")
        assert (tmp_path / "saved.jpg").read_bytes() == IMAGE
        assert read(upload, MOST) == IMAGE
        assert upload.tell() == MOST

    def test_a_stream_that_cannot_seek_is_consumed(self) -> None:
        stream = Unseekable()
        assert read(stream, MOST) == IMAGE
        assert stream.read(1) == b""

    def test_a_pipe_is_read_to_its_end(self) -> None:
        reader, writer = os.pipe()

        def write() -> None:
            with open(writer, "wb", buffering=0) as file:
                file.write(IMAGE[:100])
                file.write(IMAGE[100:])

        thread = threading.Thread(target=write)
        with open(reader, "rb", buffering=0) as file:
            thread.start()
            assert read(file, MOST) == IMAGE
        thread.join()

    def test_a_file_of_which_only_read_is_known(self) -> None:
        class Minimal:
            read = io.BytesIO(IMAGE).read

        assert read(Minimal(), MOST) == IMAGE

    def test_a_function_may_return_a_path_or_bytes(self, path: Path) -> None:
        assert read(lambda: path, MOST) == IMAGE
        assert read(lambda: str(path), MOST) == IMAGE
        assert read(lambda: IMAGE, MOST) == IMAGE
        assert read(lambda: lambda: memoryview(IMAGE), MOST) == IMAGE

    def test_a_file_that_a_function_returns_is_closed(self, path: Path) -> None:
        file = path.open("rb")
        assert read(lambda: file, MOST) == IMAGE
        assert file.closed

    def test_a_file_that_a_function_returns_is_closed_on_errors_too(
        self, path: Path
    ) -> None:
        file = path.open("rb")
        with pytest.raises(ImageTooLarge):
            read(lambda: file, 1)
        assert file.closed

    def test_a_file_that_was_handed_over_stays_open(self, path: Path) -> None:
        with path.open("rb") as file:
            read(file, MOST)
            assert not file.closed

    def test_a_function_may_return_a_context_manager(self, path: Path) -> None:
        assert read(lambda: opened(path), MOST) == IMAGE
        assert read(lambda: contextlib.nullcontext(IMAGE), MOST) == IMAGE

    def test_what_a_function_raises_comes_through(self) -> None:
        def gone() -> bytes:
            raise LookupError("gone")

        with pytest.raises(LookupError, match="gone"):
            read(gone, MOST)

    def test_no_more_than_allowed_is_read(self, path: Path) -> None:
        sources: list[Any] = [
            IMAGE,
            path,
            io.BytesIO(IMAGE),
            Unseekable(),
            lambda: IMAGE,
        ]
        for source in sources:
            with pytest.raises(ImageTooLarge) as caught:
                read(source, MOST - 1)
            assert str(caught.value) == TOO_LARGE

    def test_an_endless_stream_is_given_up(self) -> None:
        with pytest.raises(ImageTooLarge), open("/dev/zero", "rb") as file:
            read(file, MOST)

    @pytest.mark.parametrize("name", ["missing.jpg", "", "nul\0.jpg", "n" * 5000])
    def test_a_path_without_a_file(self, tmp_path: Path, name: str) -> None:
        missing = f"{tmp_path}/folder/{name}"
        with pytest.raises(ImageMissing) as caught:
            read(missing, MOST)
        assert str(caught.value) == (
            f"There is no readable file {name!r} where the upload was said to be."
        )

    def test_only_the_log_names_the_folder_of_a_missing_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ImageMissing) as caught:
            read("gone.jpg", MOST)
        assert caught.value.path == f"{tmp_path}/gone.jpg"
        assert str(tmp_path) not in str(caught.value)
        assert caught.value.log_text == (
            f"{caught.value} Its path is '{tmp_path}/gone.jpg'."
        )

    def test_a_folder_is_no_image(self, tmp_path: Path) -> None:
        with pytest.raises(ImageMissing, match=f"'{tmp_path.name}'"):
            read(tmp_path, MOST)

    @pytest.mark.parametrize("text", ["text", "\ufffd" * 5])
    def test_a_file_that_was_opened_as_text(self, tmp_path: Path, text: str) -> None:
        file = io.StringIO(text)
        with pytest.raises(UnreadableImage) as caught:
            read(file, MOST)
        assert str(caught.value) == AS_TEXT

    def test_an_image_that_was_opened_as_text(self, path: Path) -> None:
        with (
            path.open(encoding="utf-8") as file,
            pytest.raises(UnreadableImage) as caught,
        ):
            read(file, MOST)
        assert str(caught.value) == AS_TEXT

    def test_a_file_that_is_closed_or_for_writing_only(self, path: Path) -> None:
        closed = FileStorage(io.BytesIO(IMAGE))
        closed.close()
        with path.open("ab") as for_writing:
            for file in (closed, for_writing):
                with pytest.raises(UnreadableImage) as caught:
                    read(file, MOST)
                assert str(caught.value) == NOT_READABLE

    @pytest.mark.parametrize(
        ("image", "name"), [(5, "int"), ([IMAGE], "list"), (None, "NoneType")]
    )
    def test_anything_else_is_refused(self, image: Any, name: str) -> None:
        message = (
            "An image is a path, bytes, a binary file or a function that returns one"
            f" of these, not {name}."
        )
        for source in (image, lambda: image):
            with pytest.raises(UnreadableImage) as caught:
                read(source, MOST)
            assert str(caught.value) == message


class TestCapture:
    @pytest.mark.parametrize("loadable", [True, False])
    def test_of_a_path_only_the_path_is_kept(self, path: Path, loadable: bool) -> None:
        captured = capture(path, loadable=loadable, most=1)
        assert captured.path == str(path)
        assert captured.data is None

    def test_a_relative_path_becomes_absolute(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(path.parent)
        captured = capture("photo.jpg", loadable=False, most=MOST)
        assert captured == capture(path, loadable=False, most=MOST)
        assert captured.path == str(path)

    def test_the_content_of_a_path_changes_with_the_file(self, path: Path) -> None:
        before = capture(path, loadable=False, most=MOST).content
        assert capture(path, loadable=False, most=MOST).content == before
        os.utime(path, (1, 1))
        touched = capture(path, loadable=False, most=MOST).content
        path.write_bytes(IMAGE[1:])
        os.utime(path, (1, 1))
        shorter = capture(path, loadable=False, most=MOST).content
        assert len({before, touched, shorter}) == 3

    @pytest.mark.parametrize("name", ["missing.jpg", "nul\0", "."])
    def test_a_path_without_a_file_is_missing_at_once(
        self, tmp_path: Path, name: str
    ) -> None:
        with pytest.raises(ImageMissing, match="where the upload was said to be"):
            capture(f"{tmp_path}/{name}", loadable=False, most=MOST)

    @pytest.mark.parametrize("name", ["missing.jpg", "nul\0", "."])
    def test_a_path_without_a_file_is_left_to_the_loader(
        self, tmp_path: Path, name: str
    ) -> None:
        captured = capture(f"{tmp_path}/{name}", loadable=True, most=MOST)
        assert captured == Captured()

    @pytest.mark.parametrize(
        "make",
        [
            bytes,
            bytearray,
            memoryview,
            io.BytesIO,
            Unseekable,
            lambda data: FileStorage(io.BytesIO(data)),
            lambda data: lambda: data,
        ],
    )
    def test_what_a_worker_would_not_find_again_is_kept(self, make: Any) -> None:
        captured = capture(make(IMAGE), loadable=False, most=MOST)
        assert captured == Captured(data=IMAGE, content=HASH)

    def test_what_is_too_large_is_not_kept(self) -> None:
        with pytest.raises(ImageTooLarge) as caught:
            capture(IMAGE, loadable=False, most=MOST - 1)
        assert str(caught.value) == TOO_LARGE

    def test_nothing_is_read_of_what_can_be_loaded_again(self) -> None:
        captured = capture(Untouchable(), loadable=True, most=MOST)  # type: ignore[arg-type]
        assert captured == Captured()
        assert capture(None, loadable=True, most=MOST) == Captured()

    def test_bytes_that_can_be_loaded_again_still_tell_their_content(self) -> None:
        for image in (IMAGE, bytearray(IMAGE), memoryview(IMAGE)):
            captured = capture(image, loadable=True, most=1)
            assert captured == Captured(content=HASH)

    def test_no_image_and_no_loader(self) -> None:
        with pytest.raises(ImageMissing) as caught:
            capture(None, loadable=False, most=MOST)
        assert str(caught.value) == (
            "The signal came without an image, and the application has no"
            " image_loader that could find it."
        )

    def test_the_bytes_are_not_shown(self) -> None:
        assert "data" not in repr(Captured(data=b"pixels"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
class TestOtherKinds:
    """Only regular files are read: from others a read may never return."""

    @pytest.fixture(params=["pipe", "folder", "socket", "device", "link to a pipe"])
    def other(
        self, request: pytest.FixtureRequest, tmp_path: Path
    ) -> Iterator[tuple[Path, str]]:
        path = tmp_path / "photo.jpg"
        with contextlib.ExitStack() as stack:
            if request.param == "pipe":
                os.mkfifo(path)
            elif request.param == "folder":
                path.mkdir()
            elif request.param == "socket":
                listening = stack.enter_context(socket.socket(socket.AF_UNIX))
                with contextlib.chdir(tmp_path):  # The name must be short.
                    listening.bind(path.name)
            elif request.param == "device":
                path.symlink_to("/dev/zero")
            else:
                os.mkfifo(tmp_path / "pipe")
                path.symlink_to(tmp_path / "pipe")
            words = {"pipe": "named pipe", "link to a pipe": "named pipe"}
            yield path, f"a {words.get(request.param, request.param)}"

    def test_reading(self, other: tuple[Path, str]) -> None:
        path, kind = other
        with pytest.raises(ImageMissing) as caught:
            read(path, MOST)
        assert str(caught.value) == (
            "There is no readable file 'photo.jpg' where the upload was said to be: it"
            f" is {kind}."
        )

    def test_capturing(self, other: tuple[Path, str]) -> None:
        path, kind = other
        with pytest.raises(ImageMissing, match=f"said to be: it is {kind}\\.$"):
            capture(path, loadable=False, most=MOST)
        assert capture(path, loadable=True, most=MOST) == Captured()

    def test_a_pipe_that_takes_a_files_place_between_two_looks(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        status = path.stat()
        path.unlink()
        os.mkfifo(path)
        monkeypatch.setattr(
            "flask_autotag.host.regular_files.os.stat", lambda _: status
        )
        with pytest.raises(ImageMissing, match=r"it is a named pipe\.$"):
            read(path, MOST)
