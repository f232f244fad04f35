from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_autotag.errors import ModelError
from flask_autotag.providers.tensorflow.model_file import (
    BUNDLED,
    DESCRIPTION,
    LITERT,
    available,
    find,
    read,
)
from flask_autotag.providers.tensorflow.provider import DEFAULT_MODEL
from flask_autotag.providers.tensorflow.tensors_file import SOFTMAX, OutputSpec

from .models import LABELS, NETWORK, make_model

SIZE = "input.size must be a whole number from 1 to 4,096"
CROP = 'input.crop must be "none", or above 0 and at most 1'
MEAN, SCALE = (
    f"input.{key} must be one number of at most 1,000,000, or a list of one for each"
    " channel"
    for key in ("mean", "scale")
)
ACTIVATION = "output.activation must be one of softmax, sigmoid, none"
WIDTH = "output.width must be a whole number from 1 to 1,000,000"
VERSION = "version must be a text of 1 to 60 characters"


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
        "The model other cannot be read: model.toml is not TOML: Invalid value (at line"
        " 1, column 8): name =."
    )


@pytest.mark.parametrize("file", [DESCRIPTION, LABELS])
def test_a_file_that_is_no_text(tmp_path: Path, file: str) -> None:
    (make_model(tmp_path) / file).write_bytes(b"\xff\xfe\0\0")
    assert message_of_find("other", tmp_path) == (
        f"The model other cannot be read: {file} is not UTF-8: its byte 1 is wrong."
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
    ("change", "sentence"),
    [
        (("size = 224", f"size = {value}"), f"{SIZE}, not {shown}")
        for value, shown in [
            ("0", "0"),
            ("-224", "-224"),
            ("inf", "inf"),
            ("nan", "nan"),
            ("224.5", "224.5"),
            ("true", "True"),
            ("4097", "4097"),
            ("1e300", "1e+300"),
            (f"0x{'f' * 5000}", "a number of thousands of digits"),
            ("'big'", "'big'"),
            ("[224, 224]", "[224, 224]"),
        ]
    ]
    + [
        (("crop = 0.875", f"crop = {value}"), f"{CROP}, not {shown}")
        for value, shown in [("0", "0"), ("1.5", "1.5"), ("nan", "nan"), ("''", "''")]
    ]
    + [
        (("scale = 128.0", "scale = 0"), "input.scale must be above 0, not 0"),
        (("scale = 128.0", "scale = [1, 2]"), f"{SCALE}, not [1, 2]"),
        (("scale = 128.0", "scale = inf"), f"{SCALE}, not inf"),
        (("mean = 127.0", "mean = 'x'"), f"{MEAN}, not 'x'"),
        (("mean = 127.0", "mean = nan"), f"{MEAN}, not nan"),
        (('"softmax"', "[]"), f"{ACTIVATION}, not []"),
        (('"softmax"', "'none'\nwidth = inf"), f"{WIDTH}, not inf"),
        (
            ('"softmax"', "'none'\nignore = 'x'"),
            "output.ignore must be a list of texts, not 'x'",
        ),
        (('version = "2"', 'version = ""'), f"{VERSION}, not ''"),
        (('version = "2"', "version = 1979-05-27"), f"{VERSION}, not datetime.date"),
        (
            ('title = "', 'title = "\\u001b'),
            "title must be a text of one line, without control characters, not",
        ),
        (
            ('sha256 = "927c', 'sha256 = "eef'),
            "sha256 must be a text of 64 hexadecimal digits, not 'eef",
        ),
        (("[input]", "input = 5\n[other]"), "input must be a table, [input], not 5"),
    ],
)
def test_a_value_that_is_wrong(
    tmp_path: Path, change: tuple[str, str], sentence: str
) -> None:
    make_model(tmp_path, changes=(change,))
    assert message_of_find("other", tmp_path).startswith(
        f"The model.toml of the model other is wrong: {sentence}"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"a = {'[' * 5000}", "model.toml is nested too deeply"),
        (f"a = {'{b=' * 5000}", "model.toml is nested too deeply"),
        (f"a = {'9' * 5000}", "model.toml is not TOML: Exceeds the limit"),
        (
            'version = "1"\nversion = "2"',
            "model.toml is not TOML: Cannot overwrite a value (at end of document):"
            ' version = "2"',
        ),
        (
            'version = "1"\nversion = "2"\n\n[input]',
            "model.toml is not TOML: Cannot overwrite a value (at line 2, column 14):"
            ' version = "2"',
        ),
        ("#" * 70_000, "model.toml has more than 65,536 bytes"),
        ("a = '\x00'", "model.toml is not TOML: Found invalid character '\\x00'"),
    ],
)
def test_a_description_that_cannot_be_read(
    tmp_path: Path, text: str, sentence: str
) -> None:
    (make_model(tmp_path) / DESCRIPTION).write_text(text)
    assert message_of_find("other", tmp_path).startswith(
        f"The model other cannot be read: {sentence}"
    )


def test_labels_of_too_many_bytes(tmp_path: Path) -> None:
    make_model(tmp_path, labels="x" * (2**24 + 1))
    assert message_of_find("other", tmp_path) == (
        "The model other cannot be read: labels.csv has more than 16,777,216 bytes."
    )


def test_labels_that_a_spreadsheet_saved(tmp_path: Path) -> None:
    make_model(tmp_path, labels="\ufeffid,name\r\n1,dog\r\n")
    assert find("other", str(tmp_path)).labels == (("1", "dog"),)


#: Values as TOML writes them: any type, and what is extreme of it.
SCALARS = (
    st.integers().map(str)
    | st.floats().map(lambda number: repr(number).replace("e+", "e"))
    | st.sampled_from(["true", "1979-05-27", "07:32:00", "-0.0", f"0x{'f' * 5000}"])
    | st.text(st.characters(codec="utf-8", exclude_characters="\x7f")).map(json.dumps)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda all: f"[{', '.join(all)}]")
        | inner.map(lambda one: f"{{ name = {one} }}")
    ),
    max_leaves=5,
)
INPUT = ["name", "size", "resize", "crop", "mean", "scale", "channels"]
KEYS = ["title", "version", "file", "sha256", "labels", "input", "output"]
KEYS += [f"input.{key}" for key in INPUT]
KEYS += [f"output.{key}" for key in ("name", "activation", "width", "ignore")]


@given(st.sampled_from(KEYS), VALUES)
def test_every_value_is_accepted_or_told(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: str
) -> None:
    folder = tmp_path_factory.mktemp("model")
    (folder / "labels.txt").write_text("dog")
    (folder / "network.tflite").write_bytes(b"")
    lines = {
        "version": '"1"',
        "file": '"network.tflite"',
        "sha256": f'"{"0" * 64}"',
        "labels": '"labels.txt"',
        "input.size": "224",
        "input.mean": "0",
        "input.scale": "1",
    }
    if key in ("input", "output"):
        lines = {one: each for one, each in lines.items() if not one.startswith(key)}
    lines[key] = value
    text = "\n".join(f"{one} = {each}" for one, each in lines.items())
    (folder / DESCRIPTION).write_text(text, encoding="utf-8")
    try:
        model = read(folder)
    except ModelError as error:
        sentence = str(error)
        assert sentence.startswith("The model")
        assert len(sentence) < 400
        assert DESCRIPTION in sentence or "network" in sentence or "labels" in sentence
    else:
        assert 1 <= model.input.size <= 4096
        assert all(map(math.isfinite, (*model.input.mean, *model.input.scale)))
        assert len(model.full_name) <= 128


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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
@pytest.mark.parametrize("file", [DESCRIPTION, LABELS])
def test_a_pipe_in_the_place_of_a_file_keeps_nobody_waiting(
    tmp_path: Path, file: str
) -> None:
    path = make_model(tmp_path) / file
    path.unlink()
    os.mkfifo(path)
    assert message_of_find("other", tmp_path) == (
        "The model other cannot be read: [Errno 22] it is a named pipe, not a file:"
        f" {str(path)!r}."
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_network_that_is_a_pipe(tmp_path: Path) -> None:
    make_model(tmp_path)
    network = find("other", str(tmp_path)).network
    network.unlink(missing_ok=True)
    os.mkfifo(network)
    with pytest.raises(ModelError, match=r"a named pipe, not a file: '.*tflite'\.$"):
        find("other", str(tmp_path)).check()
