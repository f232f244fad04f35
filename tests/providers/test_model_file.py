from __future__ import annotations

from pathlib import Path

import pytest

from flask_autotag import ModelError
from flask_autotag.providers.model_file import (
    BUNDLED,
    DESCRIPTION,
    LITERT,
    SOFTMAX,
    OutputSpec,
    available,
    find,
)
from flask_autotag.providers.tensorflow import DEFAULT_MODEL

from .models import LABELS, NETWORK, make_model


def message_of_find(name: str, model_dir: Path | None) -> str:
    with pytest.raises(ModelError) as caught:
        find(name, str(model_dir) if model_dir else None)
    return str(caught.value)


def test_the_bundled_model_is_there_and_whole() -> None:
    model = find(DEFAULT_MODEL, None)
    model.check()
    assert (model.name, model.format) == (DEFAULT_MODEL, LITERT)
    assert (model.input.size, model.input.crop) == (224, 0.875)
    assert (model.input.mean, model.input.scale) == ((127.0,) * 3, (128.0,) * 3)
    assert model.output == OutputSpec(None, SOFTMAX, 1000, frozenset())
    assert model.version


def test_its_labels_are_a_thousand_names_that_a_person_would_type() -> None:
    labels = find(DEFAULT_MODEL, None).labels
    ids = [label_id for label_id, _ in labels]
    assert len(labels) == len(set(ids)) == 1000
    assert ids == sorted(ids)
    assert all(len(each) == 9 and each[0] == "n" and each[1:].isdigit() for each in ids)
    for _, name in labels:
        assert name == " ".join(name.split())
        assert name
        assert name.isprintable()
        assert not set(name) & set("_()[]")


def test_its_licence_travels_with_it() -> None:
    assert list((BUNDLED / DEFAULT_MODEL).glob("LICENSE*"))


def test_models_of_a_folder_are_found_beside_the_bundled_ones(tmp_path: Path) -> None:
    make_model(tmp_path, "mine")
    (tmp_path / "no-model").mkdir()
    (tmp_path / "file").touch()
    assert available(str(tmp_path)) == sorted([DEFAULT_MODEL, "mine"])
    model = find("mine", str(tmp_path))
    model.check()
    assert model.name == "mine"
    assert model.network == tmp_path / "mine" / NETWORK
    assert model.labels == find(DEFAULT_MODEL, None).labels


def test_without_a_folder_only_the_bundled_ones_are_found() -> None:
    assert available(None) == [DEFAULT_MODEL]


def test_a_folder_cannot_replace_a_bundled_model(tmp_path: Path) -> None:
    make_model(tmp_path, DEFAULT_MODEL, labels="wordnet_id,name\n")
    model = find(DEFAULT_MODEL, str(tmp_path))
    assert model.network.parent == BUNDLED / DEFAULT_MODEL


def test_a_model_that_is_not_there_is_named_with_those_that_are(
    tmp_path: Path,
) -> None:
    make_model(tmp_path, "mine")
    assert message_of_find("your", tmp_path) == (
        f"There is no model 'your'; there are: {DEFAULT_MODEL}, mine."
    )


@pytest.mark.parametrize(
    "name",
    ["../outside", "inside/../../outside", "inside/deep", "..", ".", "", "in\0side"],
)
def test_a_name_cannot_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    root = tmp_path / "models"
    root.mkdir()
    make_model(tmp_path, "outside")
    make_model(make_model(root, "inside"), "deep")
    assert message_of_find(name, root).startswith(f"There is no model {name!r};")


def test_an_absolute_name_is_refused(tmp_path: Path) -> None:
    folder = make_model(tmp_path, "mine")
    assert message_of_find(str(folder), tmp_path).startswith("There is no model ")


def test_a_damaged_description(tmp_path: Path) -> None:
    (make_model(tmp_path) / DESCRIPTION).write_text("name = \n")
    assert message_of_find("other", tmp_path) == (
        "The model other cannot be read: Invalid value (at line 1, column 8)."
    )


@pytest.mark.parametrize("file", [DESCRIPTION, LABELS])
def test_a_file_that_is_no_text(tmp_path: Path, file: str) -> None:
    (make_model(tmp_path) / file).write_bytes(b"\xff\xfe\0\0")
    assert message_of_find("other", tmp_path).startswith(
        "The model other cannot be read: 'utf-8' codec can't decode"
    )


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (("version =", "other ="), "'version'"),
        (("sha256 =", "other ="), "'sha256'"),
        (("labels =", "other ="), "'labels'"),
        (("[input]", "[other]"), "'input'"),
        (("scale =", "other ="), "'scale'"),
    ],
)
def test_a_key_that_is_missing_is_named(
    tmp_path: Path, change: tuple[str, str], missing: str
) -> None:
    changes = (("labels_sha256", "unread"), ("weights_sha256", "unused"), change)
    make_model(tmp_path, changes=changes)
    assert message_of_find("other", tmp_path) == (
        f"The model.toml of the model other has no {missing}."
    )


@pytest.mark.parametrize(
    "change",
    [
        ("size = 224", "size = 0"),
        ("crop = 0.875", "crop = 0"),
        ("crop = 0.875", "crop = 1.5"),
        ("crop = 0.875", "crop = nan"),
        ("scale = 128.0", "scale = 0"),
    ],
)
def test_a_value_that_is_out_of_range(tmp_path: Path, change: tuple[str, str]) -> None:
    make_model(tmp_path, changes=(change,))
    assert message_of_find("other", tmp_path) == (
        "The model.toml of the model other is wrong: size, crop or scale of the input"
        " is out of range."
    )


@pytest.mark.parametrize(
    "change", [("size = 224", "size = 'big'"), ("[input]", "input = 5\n[other]")]
)
def test_a_value_of_the_wrong_type(tmp_path: Path, change: tuple[str, str]) -> None:
    make_model(tmp_path, changes=(change,))
    assert message_of_find("other", tmp_path).startswith(
        "The model.toml of the model other is wrong: "
    )


def test_labels_that_are_not_there(tmp_path: Path) -> None:
    (make_model(tmp_path) / LABELS).unlink()
    message = message_of_find("other", tmp_path)
    assert message.startswith("The model other cannot be read: ")
    assert LABELS in message


@pytest.mark.parametrize(
    "labels",
    [
        "wordnet_id,name\nn1\n",
        "wordnet_id,name\nn1,\n",
        "wordnet_id,name\n,dog\n",
        "number,name\nn1,dog\n",
    ],
)
def test_a_label_without_an_id_or_a_name(tmp_path: Path, labels: str) -> None:
    make_model(tmp_path, labels=labels)
    assert message_of_find("other", tmp_path) == (
        "The model other cannot be read: a row of labels.csv has no wordnet_id or no"
        " name."
    )


def test_a_damaged_network_is_named(tmp_path: Path) -> None:
    folder = make_model(tmp_path)
    (folder / NETWORK).write_bytes(b"damaged")
    with pytest.raises(ModelError) as caught:
        find("other", str(tmp_path)).check()
    assert str(caught.value) == (
        "The file model.tflite of the model other is damaged: its SHA-256 is not the"
        " one in model.toml. Install it again."
    )


def test_a_network_that_is_not_there(tmp_path: Path) -> None:
    (make_model(tmp_path) / NETWORK).unlink()
    with pytest.raises(ModelError, match=r"^The model other cannot be read: .*tflite"):
        find("other", str(tmp_path)).check()
