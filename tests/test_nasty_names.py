"""Names of assets cannot forge lines of a log or control a terminal."""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_autotag import (
    AssetError,
    AssetRef,
    AutoTagError,
    image_uploaded,
    tagging_failed,
)
from flask_autotag.characters import printable
from flask_autotag.jobs.worker import Worker
from flask_autotag.jobs.worker_output import logging_to

from .cli.terminals import refused, run
from .hosts import Host, store_labels

NASTY = {
    "line": "a\n2026-01-01 ERROR forged",
    "carriage return": "a\r\nERROR forged",
    "escape": "a\x1b[2J\x1b]0;title\x07",
    "C1 control": "a\x9b31mred",
    "next line": "a\x85ERROR forged",
    "line separator": "a\u2028ERROR\u2029forged",
    "direction": "a\u202egpj.exe\u202c\u2066\u2069",
    "unseen": "a\u200b\u2060\ufeff\U000e0041",
    "backspace": "ab\x08\x08cd\x7f",
    "vertical": "a\x0b\x0cb",
}
SURROGATE = "a\udcff"


@pytest.fixture(params=NASTY.values(), ids=list(NASTY))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Collect logs and signals, and check after the test that they are harmless."""
    caplog.set_level(logging.DEBUG, "flask_autotag")
    messages: list[str] = []

    def receive(_: Flask, message: str, **__: Any) -> None:
        messages.append(message)

    with tagging_failed.connected_to(receive):
        yield messages
    messages += [record.getMessage() for record in caplog.records]
    assert messages
    for message in messages:
        assert message.isprintable(), ascii(message)


def written(host: Host, *arguments: str) -> str:
    """Run a command, and check that its output is harmless."""
    output = run(host, *arguments).output
    for line in output.split("\n"):
        # A terminal shows emoji with joiners.
        assert line.isprintable(), ascii(line)
    return output


def test_a_name_is_written_as_one_line() -> None:
    for nasty in (*NASTY.values(), SURROGATE, "\ud800"):
        line = printable(nasty)
        assert line.isprintable()
        line.encode()
    assert printable("a\n\x1b\u202e\udcff") == r"a\n\x1b\u202e\udcff"
    assert printable("Straße 犬 🐕.jpg") == "Straße 犬 🐕.jpg"


def test_an_upload_that_cannot_be_queued(
    host: Host, name: str, said: list[str]
) -> None:
    with host.app.app_context():
        image_uploaded.send(host.app, asset=AssetRef("photo", name), image=5)
        image_uploaded.send(host.app, asset=AssetRef(name, "1"), image="/none\n/x")
        long = AssetRef("photo", "1")
        image_uploaded.send(host.app, asset=long, image=b"x", instance=name * 20)
        image_uploaded.send(host.app, asset=long, image=b"x", **{name: 1})
    assert len(said) >= 2


def test_images_that_cannot_be_tagged(
    host: Host, said: list[str], tmp_path: Path
) -> None:
    with host.app.app_context():
        for name in NASTY.values():
            for number, image in enumerate((b"no image", str(tmp_path / name))):
                image_uploaded.send(
                    host.app,
                    asset=AssetRef("photo", f"{number}{name}"),
                    image=image,
                    instance=name,
                )
    state = host.autotag.state_of(host.app)
    Worker(host.app, state).drain()
    state.pool.close()
    assert len(said) == 2 * len(NASTY)
    assert "failed" in written(host, "status")
    for name in NASTY.values():
        assert "It could not be" in written(host, "explain", "photo", f"0{name}")
        written(host, "explain", "photo", f"none{name}")
        written(host, "retry", "--instance", name)


def test_a_loader_that_raises(host: Host, said: list[str]) -> None:
    @host.autotag.image_loader
    def load(asset: AssetRef) -> bytes:
        raise (LookupError if asset.type == "gone" else ValueError)(asset.id)

    with host.app.app_context():
        for name in NASTY.values():
            for kind in ("photo", "gone"):
                image_uploaded.send(host.app, asset=AssetRef(kind, name))
    Worker(host.app, host.autotag.state_of(host.app)).drain()
    written(host, "status")
    assert "\\" in written(host, "doctor")


def test_commands_that_name_images(host: Host, name: str) -> None:
    asset = AssetRef("photo", name)
    with host.app.app_context():
        for instance in (name, "other"):
            store_labels(host, asset, [("dog", 0.9), ("wolf", 0.2)], instance)
            host.autotag.reject_tag(asset, "cat", instance=instance, person=name)
    assert "Several instances have" in written(host, "explain", "photo", name)
    assert "rejected by" in written(
        host, "explain", "photo", name, "--instance", "other"
    )
    written(host, "explain", "photo", name, "--instance", name)
    run(host, "settings", "set", "tensorflow.confidence_threshold", "0.1")
    written(host, "retag", "--dry-run")
    written(host, "retag", "--dry-run", "--summary")
    written(host, "settings", "set", "enabled", "yes", "--instance", name)
    written(host, "settings", "unset", "enabled", "--instance", name)
    host.autotag.instance_lister(lambda: [name])
    written(host, "settings", "show", "--instance", "none")


def test_commands_that_name_files(host: Host, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in (*NASTY.values(), SURROGATE)]
    for path in paths:
        path.write_bytes(b"no image")
        written(host, "vocabulary", "import", str(path))
    missing = [path.with_name(f"{path.name}-none") for path in paths]
    lines = written(host, "try", *map(str, (*paths, *missing))).splitlines()
    assert len(lines) == 2 * len(paths)
    assert all(line.startswith(str(tmp_path)) for line in lines)


def test_a_backlog_that_cannot_be_read(host: Host, name: str) -> None:
    host.autotag.asset_lister(lambda: [(AssetRef("photo", name), name)])
    assert "1 image could not be read:" in written(host, "tag-untagged", "--yes")


@pytest.mark.parametrize("form", ["plain", "json"])
def test_a_traceback_in_the_log_of_a_worker(name: str, form: str) -> None:
    stream = io.StringIO(newline="")
    with logging_to(stream, form):
        try:
            raise ValueError(name)
        except ValueError:
            logging.getLogger("flask_autotag").exception("Tagging failed.")
    first, *further = stream.getvalue().rstrip("\n").split("\n")
    assert "Tagging failed." in first
    assert all(line.startswith("    ") for line in further)
    assert all(line.isprintable() for line in (first, *further))


def test_errors_are_one_line(name: str) -> None:
    assert str(AutoTagError(f"The file {name} is missing.")).isprintable()
    assert str(AssetRef("photo", name)).isprintable()
    assert AssetRef("photo", name).id == name


class TestLoneSurrogates:
    """Databases cannot store them, but names of files may contain them."""

    def test_nul_is_refused_alike(self, host: Host) -> None:
        with host.app.app_context(), pytest.raises(AssetError, match="must have no"):
            host.autotag.tags_for(AssetRef("photo", "a\0"))

    def sentence(self, subject: str) -> str:
        return (
            f"{subject} must have no NUL and no lone surrogates, which databases do not"
            " store, unlike 'a\\udcff'. Decode a file's name with os.fsencode(name)"
            ".decode('utf-8', 'backslashreplace')."
        )

    def test_what_is_asked_of_an_asset(self, host: Host) -> None:
        with host.app.app_context():
            for asset in (AssetRef("photo", SURROGATE), AssetRef(SURROGATE, "1")):
                for ask in (
                    host.autotag.tags_for,
                    host.autotag.forget,
                    host.autotag.explain,
                    host.autotag.retag,
                    lambda asset: host.autotag.add_tag(asset, "dog"),
                ):
                    with pytest.raises(AssetError) as caught:
                        ask(asset)
                    assert str(caught.value) == self.sentence("The name of an asset")

    def test_the_sentence_tells_how(self) -> None:
        name = os.fsencode(SURROGATE).decode("utf-8", "backslashreplace")
        assert name == "a\\xff"

    def test_an_upload(self, host: Host, said: list[str]) -> None:
        with host.app.app_context():
            asset = AssetRef("photo", SURROGATE)
            image_uploaded.send(host.app, asset=asset, image=b"x")
            image_uploaded.send(
                host.app, asset=AssetRef("photo", "1"), image=b"x", instance=SURROGATE
            )
        assert said == [
            self.sentence("The name of an asset"),
            self.sentence("The name of an instance"),
        ]

    def test_a_lister(self, host: Host) -> None:
        host.autotag.asset_lister(lambda: [(AssetRef("photo", SURROGATE), "shop")])
        assert refused(host, "tag-untagged", "--dry-run").startswith(
            "Error: Item 1 of the asset_lister is not an image of the"
            " application: The name of an asset must have no NUL"
        )

    def test_a_file_of_settings(self, host: Host, tmp_path: Path) -> None:
        file = tmp_path / "settings.json"
        run(host, "settings", "export", str(file))
        content = json.loads(file.read_text())
        content["instances"] = {SURROGATE: {"enabled": True}}
        file.write_text(json.dumps(content))
        assert refused(host, "settings", "import", str(file)) == (
            "Error: " + self.sentence("The name of an instance")
        )

    @pytest.mark.parametrize(
        "arguments",
        [
            ["models", "add", SURROGATE],
            ["models", "remove", SURROGATE],
            ["models", "check", SURROGATE],
            ["settings", "set", SURROGATE, "1"],
            ["settings", "set", "tensorflow.model", SURROGATE],
            ["settings", "unset", SURROGATE],
            ["settings", "import", SURROGATE],
            ["vocabulary", "import", SURROGATE],
        ],
    )
    def test_commands(self, host: Host, arguments: list[str]) -> None:
        result = run(host, *arguments)
        assert result.exit_code in (1, 2)
        assert isinstance(result.exception, SystemExit), result.exception
        result.output.encode()
