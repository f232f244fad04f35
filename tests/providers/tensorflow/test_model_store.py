"""Models that are added, downloaded and removed."""

from __future__ import annotations

import os
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from flask_autotag.errors import ModelError
from flask_autotag.providers.tensorflow import model_store
from flask_autotag.providers.tensorflow.model_file import DESCRIPTION, available, find
from flask_autotag.providers.tensorflow.model_store import (
    add_download,
    add_folder,
    remove,
)

from .models import LABELS, NETWORK, make_model, sha256

PINNED = {
    "file": "tensorflow_inception_graph.pb",
    "sha256": "a39b08b826c9d5a5532ff424c03a3a11a202967544e389aca4b06c2bd8aef63f",
    "labels": "imagenet_comp_graph_label_strings.txt",
    "labels_sha256": "da2a31ecfe9f212ae8dd07379b11a74cb2d7a110eba12c5fc8c862a65b8e6606",
    "archive": "d13569f6a98159de37e92e9c8ec4dae8f674fbf475f69fe6199b514f756d4364",
}
URL = "https://storage.googleapis.com/download.tensorflow.org/models/inception5h.zip"
NAME = "inception5h"


@dataclass
class FileServer:
    """Serves one file, with ranges, and can break off."""

    url: str = ""
    data: bytes = b""
    #: Bytes after which each answer breaks off.
    most: int | None = None
    ranges: bool = True
    status: int = 200
    requested: list[str | None] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[FileServer]:
    served = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            served.requested.append(wanted)
            start = 0
            if wanted and served.ranges:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(served.data):
                self.send_response(416)
                self.end_headers()
                return
            part = served.data[start:]
            self.send_response(206 if start else served.status)
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            self.wfile.write(part[: served.most])

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        served.url = f"http://127.0.0.1:{listening.server_port}/inception5h.zip"
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield served
        listening.shutdown()
        thread.join()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Make an archive with the files of Inception5h's, of random content."""
    path = tmp_path / "got.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(PINNED["file"], bytes(range(256)) * 4000)
        file.writestr(PINNED["labels"], "dummy\nkit fox\n")
        file.writestr("LICENSE", "Apache")
        file.writestr("../outside", "never unpacked")
    return path


@pytest.fixture
def pinned(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    archive: Path,
    server: FileServer,
) -> None:
    """Pin that archive instead of the real one."""
    pin(tmp_path, monkeypatch, archive, server.url)
    server.data = archive.read_bytes()


def pin(folder: Path, monkeypatch: pytest.MonkeyPatch, archive: Path, url: str) -> None:
    text = (model_store.DOWNLOADS / NAME / DESCRIPTION).read_text()
    with zipfile.ZipFile(archive) as file:
        graph, labels = (file.read(PINNED[name]) for name in ("file", "labels"))
    for old, new in (
        (PINNED["sha256"], sha256(graph)),
        (PINNED["labels_sha256"], sha256(labels)),
        (PINNED["archive"], sha256(archive.read_bytes())),
        (URL, url),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "catalogue" / NAME).mkdir(parents=True)
    (folder / "catalogue" / NAME / DESCRIPTION).write_text(text)
    monkeypatch.setattr(model_store, "DOWNLOADS", folder / "catalogue")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


class Told(list[tuple[int, int | None]]):
    """Records reported progress."""

    def __call__(self, done: int, whole: int | None) -> None:
        self.append((done, whole))


def failed_download(store: Path, archive: Path | None = None) -> str:
    with pytest.raises(ModelError) as caught:
        add_download(NAME, str(store), archive, Told())
    assert available(str(store)) == available(None)
    return str(caught.value)


def test_what_can_be_downloaded_is_pinned() -> None:
    assert model_store.downloadable() == [NAME]
    text = (model_store.DOWNLOADS / NAME / DESCRIPTION).read_text()
    for pin in (*PINNED.values(), URL):
        assert pin in text


@pytest.mark.usefixtures("pinned")
class TestDownload:
    def test_it_is_installed_and_the_archive_goes(
        self, store: Path, server: FileServer
    ) -> None:
        told = Told()
        model = add_download(NAME, str(store), None, told)
        model.check()
        assert find(NAME, str(store)) == model
        assert model.labels == (("dummy", "dummy"), ("kit fox", "kit fox"))
        assert told[-1] == (len(server.data), len(server.data))
        assert [path.name for path in store.iterdir()] == [NAME]
        assert (store / NAME / "LICENSE").read_text() == "Apache"
        assert not (store.parent / "outside").exists()

    def test_it_goes_on_where_it_was_cut_off(
        self, store: Path, server: FileServer
    ) -> None:
        server.most = 600_000
        assert failed_download(store) == (
            f"{server.url} cannot be downloaded (ChunkedEncodingError). Run the command"
            " again to resume, or get the file in another way and pass it with --from."
        )
        server.most = None
        told = Told()
        add_download(NAME, str(store), None, told)
        assert server.requested == [None, "bytes=524288-"]
        assert told[-1] == (len(server.data), len(server.data))

    def test_a_server_without_ranges_begins_again(
        self, store: Path, server: FileServer
    ) -> None:
        server.most, server.ranges = 1000, False
        failed_download(store)
        server.most = None
        add_download(NAME, str(store), None, Told())
        assert len(server.requested) == 2

    def test_another_file_is_deleted(self, store: Path, server: FileServer) -> None:
        server.data = b"another file"
        assert failed_download(store) == (
            f"{server.url} returned another file than expected: its SHA-256 differs."
            " The file was deleted."
        )
        assert list(store.iterdir()) == []

    def test_a_rest_of_another_file_is_deleted(
        self, store: Path, server: FileServer
    ) -> None:
        (store / ".inception5h.zip.part").write_bytes(b"x" * (len(server.data) + 1))
        assert "SHA-256 differs" in failed_download(store)
        assert list(store.iterdir()) == []

    def test_a_server_that_fails(self, store: Path, server: FileServer) -> None:
        server.status = 503
        assert "cannot be downloaded (HTTPError)" in failed_download(store)

    def test_from_a_file(self, store: Path, archive: Path, server: FileServer) -> None:
        add_download(NAME, str(store), archive, Told())
        assert server.requested == []
        assert archive.exists()

    def test_from_another_file(self, store: Path, tmp_path: Path) -> None:
        (tmp_path / "x.zip").write_bytes(b"x")
        assert failed_download(store, tmp_path / "x.zip").startswith(
            f"{tmp_path / 'x.zip'} is not the expected file: its SHA-256 is "
        )


@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_an_archive_that_is_no_regular_file(
    tmp_path: Path, store: Path, kind: str
) -> None:
    path = tmp_path / "got"
    os.mkfifo(path) if kind == "fifo" else path.mkdir()
    kind = {"fifo": "a named pipe", "folder": "a folder"}[kind]
    assert failed_download(store, path) == (
        f"{path} cannot be read: it is {kind}, not a file."
    )


class TestFolder:
    def failed(self, source: Path, store: Path, name: str = "mine") -> str:
        with pytest.raises(ModelError) as caught:
            add_folder(source, name, str(store))
        assert list(store.iterdir()) == []
        return str(caught.value)

    def test_it_is_copied_with_its_checksum(self, tmp_path: Path, store: Path) -> None:
        source = make_model(tmp_path)
        text = (source / DESCRIPTION).read_text()
        lines = [line for line in text.splitlines() if not line.startswith("sha256")]
        (source / DESCRIPTION).write_text("\n".join(lines))
        (source / "LICENSE.txt").write_text("free")
        (source / "notes.txt").write_text("not of the model")
        add_folder(source, "mine", str(store)).check()
        assert sorted(path.name for path in (store / "mine").iterdir()) == sorted(
            ["LICENSE.txt", LABELS, DESCRIPTION, NETWORK]
        )

    def test_a_wrong_checksum_is_refused(self, tmp_path: Path, store: Path) -> None:
        source = make_model(tmp_path)
        (source / NETWORK).write_bytes(b"other")
        assert "is damaged" in self.failed(source, store)

    def test_an_incomplete_folder(self, tmp_path: Path, store: Path) -> None:
        assert "cannot be read: [Errno 2]" in self.failed(tmp_path, store)
        source = make_model(tmp_path, changes=(("labels =", "other ="),))
        (source / DESCRIPTION).write_text('file = "model.tflite"\n')
        assert self.failed(source, store) == (
            "The model.toml of the model mine has no 'labels'."
        )

    @pytest.mark.parametrize("file", ["../secret", "/etc/passwd", ".."])
    def test_files_of_elsewhere_are_refused(
        self, tmp_path: Path, store: Path, file: str
    ) -> None:
        source = make_model(tmp_path, changes=(("model.tflite", file),))
        assert self.failed(source, store) == (
            f"The model.toml of the model mine is wrong: {file!r} is not a file in the"
            " model's folder."
        )

    @pytest.mark.parametrize("file", [NETWORK, LABELS, DESCRIPTION, "LICENSE.txt"])
    def test_a_link_that_leads_elsewhere_is_refused(
        self, tmp_path: Path, store: Path, file: str
    ) -> None:
        source, secret = make_model(tmp_path), tmp_path / "secret"
        if (source / file).exists():
            (source / file).rename(secret)
        else:
            secret.write_text("secret")
        (source / file).symlink_to(secret)
        assert self.failed(source, store).endswith(
            f"{file!r} is not a file in the model's folder: a symbolic link leads"
            " out of it."
        )

    @pytest.mark.parametrize("link", ["inner", "inner/deep"])
    def test_a_link_within_a_saved_model(
        self, tmp_path: Path, store: Path, link: str
    ) -> None:
        source = make_model(tmp_path, changes=((NETWORK, "saved"),))
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "secret").write_text("secret")
        (source / "saved" / "inner").mkdir(parents=True)
        (source / "saved" / link).parent.mkdir(exist_ok=True)
        if (source / "saved" / link).exists():
            (source / "saved" / link).rmdir()
        (source / "saved" / link).symlink_to(tmp_path / "elsewhere")
        assert f"'saved/{link}' is not a file in the model's folder" in self.failed(
            source, store
        )

    def test_a_link_that_leads_to_a_file_of_the_model(
        self, tmp_path: Path, store: Path
    ) -> None:
        source = make_model(tmp_path)
        (source / LABELS).rename(source / "all.csv")
        (source / LABELS).symlink_to("all.csv")
        add_folder(source, "mine", str(store))
        assert not (store / "mine" / LABELS).is_symlink()

    @pytest.mark.parametrize("file", [NETWORK, LABELS, DESCRIPTION])
    def test_what_is_no_regular_file_is_refused(
        self, tmp_path: Path, store: Path, file: str
    ) -> None:
        source = make_model(tmp_path)
        (source / file).unlink()
        os.mkfifo(source / file)
        assert self.failed(source, store).endswith(
            f"it is a named pipe, not a file: {str(source / file)!r}."
        )

    def test_a_loop_of_links(self, tmp_path: Path, store: Path) -> None:
        source = make_model(tmp_path)
        (source / LABELS).unlink()
        (source / LABELS).symlink_to(LABELS)
        assert self.failed(source, store).startswith("The model mine cannot be read: ")

    def test_labels_that_are_a_folder(self, tmp_path: Path, store: Path) -> None:
        source = make_model(tmp_path)
        (source / LABELS).unlink()
        (source / LABELS).mkdir()
        assert self.failed(source, store).endswith(
            "labels must be a file, and labels.csv is a folder."
        )

    @pytest.mark.parametrize("name", ["../up", "Big", "", ".hidden", "a b"])
    def test_a_name_that_is_no_folder(
        self, tmp_path: Path, store: Path, name: str
    ) -> None:
        assert self.failed(make_model(tmp_path), store, name).startswith(
            f"{name!r} cannot be a model's name: "
        )

    def test_a_name_that_is_taken(self, tmp_path: Path, store: Path) -> None:
        assert self.failed(make_model(tmp_path), store, "efficientnet-lite0") == (
            "There already is a model efficientnet-lite0. Remove it first, or pass"
            " another name with --name."
        )


def test_a_model_is_removed(tmp_path: Path, store: Path) -> None:
    add_folder(make_model(tmp_path), "mine", str(store))
    remove("mine", str(store))
    assert list(store.iterdir()) == []
    with pytest.raises(ModelError, match=r"^There is no model 'mine' in "):
        remove("mine", str(store))
    with pytest.raises(
        ModelError, match="is part of the package and cannot be removed"
    ):
        remove("efficientnet-lite0", str(store))
