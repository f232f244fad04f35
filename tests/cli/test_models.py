"""``flask autotag models …``."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result

from ..hosts import Host, make_host
from ..providers.tensorflow.models import make_detector, make_model
from ..providers.tensorflow.networks import networks
from ..providers.tensorflow.test_model_store import PINNED, pin
from ..settings.desk import Desk

MODEL, DETECTOR = ("tensorflow", "model"), ("tensorflow", "detector")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def host(sqlite_url: str, store: Path) -> Iterator[Host]:
    with make_host(
        sqlite_url, AUTOTAG_MODEL_DIR=str(store), AUTOTAG_TIMEOUT=120
    ) as host:
        yield host


def run(host: Host, *arguments: str) -> Result:
    return host.app.test_cli_runner().invoke(args=["autotag", "models", *arguments])


def told(host: Host, *arguments: str) -> str:
    result = run(host, *arguments)
    assert result.exit_code == 0, result.output
    return result.output


def refused(host: Host, *arguments: str) -> str:
    result = run(host, *arguments)
    assert result.exit_code == 1
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.output.strip().splitlines()[-1]


def remove_chosen(host: Host, name: str, field: tuple[str, str], other: str) -> None:
    """Choose a model in an instance, and remove it once another one is chosen."""
    desk = Desk(host)
    desk.save({field: name}, "shop")
    assert refused(host, "remove", name) == (
        f"Error: The model {name} is chosen in shop. Choose another model there first."
    )
    desk.save({field: other}, "shop")
    assert told(host, "remove", name) == f"The model {name} is deleted.\n"


def test_a_folder_is_added_listed_checked_chosen_and_removed(
    host: Host, tmp_path: Path
) -> None:
    source = make_model(tmp_path, "mine")
    assert "mine: mine 2, 1,000 labels; the first image took" in told(
        host, "add", str(source)
    )
    assert told(host, "list").splitlines() == [
        "efficientnet-lite0: EfficientNet-Lite0 (ImageNet, int8); tflite, bundled",
        "mine: EfficientNet-Lite0 (ImageNet, int8); tflite, added",
        "inception5h: 'flask autotag models add inception5h' downloads it",
    ]
    lines = told(host, "check").splitlines()
    assert [line.partition(":")[0] for line in lines] == ["efficientnet-lite0", "mine"]

    remove_chosen(host, "mine", MODEL, "efficientnet-lite0")
    assert "mine:" not in told(host, "list")


def test_inception5h_is_added_from_its_archive_and_chosen(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "inception5h.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(networks() / "graph.pb", PINNED["file"])
        file.write(networks() / "strings.txt", PINNED["labels"])
    pin(tmp_path, monkeypatch, archive, "https://unreachable.invalid/inception5h.zip")
    output = told(host, "add", "inception5h", "--from", str(archive))
    assert "inception5h: inception5h 1, 1,001 labels; the first image took" in output
    assert "settings set tensorflow.model inception5h'" in output
    Desk(host).save({MODEL: "inception5h"})


def test_a_model_that_lies_is_not_kept(host: Host, tmp_path: Path) -> None:
    source = make_model(tmp_path, "liar", changes=(("size = 224", "size = 192"),))
    assert refused(host, "add", str(source)) == (
        "Error: The input of the model liar has the shape [1, 224, 224, 3], but its"
        " description and labels make it [1, 192, 192, 3]."
    )
    assert "liar" not in told(host, "list")


def test_a_model_that_was_damaged_since(host: Host, store: Path) -> None:
    (make_model(store, "mine") / "model.toml").write_text("version = 1")
    assert "mine: The model.toml of the model mine has no 'file'." in told(host, "list")
    assert refused(host, "check", "mine") == (
        "mine: The model.toml of the model mine has no 'file'."
    )


def test_what_is_no_model(host: Host) -> None:
    assert refused(host, "add", "resnet") == (
        "Error: 'resnet' is neither a folder with a model.toml nor one of: inception5h."
    )


def test_without_a_folder_for_models(sqlite_url: str, tmp_path: Path) -> None:
    with make_host(sqlite_url) as host:
        assert refused(host, "add", str(make_model(tmp_path))) == (
            "Error: Set AUTOTAG_MODEL_DIR to an existing folder for models first."
        )


def test_a_detector_is_added_beside_the_model(host: Host, tmp_path: Path) -> None:
    output = told(host, "add", str(make_detector(tmp_path)))
    assert (
        "seer: efficientnet-lite0 2 + seer 2, 1 of 1,000 labels allowed; the first"
        " image took"
    ) in output
    assert "settings set tensorflow.detector seer'" in output
    assert (
        "seer: EfficientNet-Lite0 (ImageNet, int8); tflite, added, a detector"
    ) in told(host, "list")
    remove_chosen(host, "seer", DETECTOR, "none")


def test_a_name_that_stands_for_no_detector(host: Host, tmp_path: Path) -> None:
    source = str(make_detector(tmp_path))
    assert refused(host, "add", source, "--name", "none") == (
        "Error: 'none' stands for no detector. Pass another name with --name."
    )
