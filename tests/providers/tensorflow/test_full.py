"""Models in every format.

Each kind of runtime also runs in a child process, as the product does.
"""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from flask_autotag.classification.sandbox.pool import Pool
from flask_autotag.classification.sandbox.question import Question
from flask_autotag.errors import ClassifierError, ModelError
from flask_autotag.providers.base import Label
from flask_autotag.providers.registry import sections
from flask_autotag.providers.tensorflow import full
from flask_autotag.providers.tensorflow.model_file import sha256_of
from flask_autotag.providers.tensorflow.provider import TensorFlowProvider
from flask_autotag.settings.machine import Machine
from flask_autotag.settings.resolution import read_settings

from .networks import copy_model, networks
from .one_process import OneProcess, one_process

FORMATS = ("saved_model", "keras", "h5", "tflite", "quantised", "sigmoid", "chances")
#: The softmax of the logits 8, 0 and 0, for the first.
SURE = 1 / (1 + 2 * math.exp(-8))
DIRECTORY = Path(__file__).parents[3] / "flask_autotag" / "data"


@pytest.fixture(scope="module")
def runtime() -> Iterator[OneProcess]:
    with one_process() as runtime:
        yield runtime


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(1, 120.0, 4096)
    yield pool
    pool.close()


def picture(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(file, "PNG")
    return file.getvalue()


def classify_in_child(pool: Pool, root: Path, model: str, data: bytes) -> list[Label]:
    settings = read_settings(sections(), {"AUTOTAG_TENSORFLOW_MODEL": model})
    question = Question(data, [TensorFlowProvider], settings, Machine(str(root)))
    [prediction] = pool.classify(question).predictions
    return list(prediction.labels)


def refused(runtime: OneProcess, root: Path, model: str) -> str:
    with pytest.raises(ModelError) as caught:
        runtime.classify(root, model, picture("red"))
    return str(caught.value)


@pytest.mark.parametrize("model", ["saved_model", "keras"])
def test_a_child_runs_it(pool: Pool, model: str) -> None:
    [first, *_] = classify_in_child(pool, networks(), model, picture("red"))
    assert first.name == "red"
    assert "tensorflow" not in sys.modules
    assert "keras" not in sys.modules


@pytest.mark.parametrize("model", FORMATS)
def test_every_format_is_run(runtime: OneProcess, model: str) -> None:
    for colour in ("red", "lime", "blue"):
        [first, *_] = runtime.classify(networks(), model, picture(colour))
        assert first.name == {"lime": "green"}.get(colour, colour)
        assert first.id == first.name
        assert first.confidence > 0.95


def test_confidences_are_those_of_the_description(
    runtime: OneProcess, tmp_path: Path
) -> None:
    def of_white(model: str) -> list[float]:
        labels = runtime.classify(networks(), model, picture("white"))
        return [label.confidence for label in labels]

    [red] = runtime.classify(networks(), "saved_model", picture("red"))
    assert math.isclose(red.confidence, SURE, rel_tol=1e-4)
    # Softmax shares among classes that exclude each other; sigmoid does not.
    assert of_white("saved_model") == pytest.approx([1 / 3] * 3, abs=1e-4)
    assert of_white("sigmoid") == pytest.approx([1 / (1 + math.exp(-8))] * 3, abs=1e-4)
    assert of_white("chances") == pytest.approx([1 / (1 + math.exp(-4))] * 3, abs=1e-4)


def test_channels_mean_scale_and_ignored_labels(
    runtime: OneProcess, tmp_path: Path
) -> None:
    copy_model("keras", tmp_path, ("mean = 0", 'mean = 0\nchannels = "bgr"'))
    assert runtime.classify(tmp_path, "keras", picture("red"))[0].name == "blue"
    # 255 minus 255 is 0: only blue is left of white.
    copy_model("h5", tmp_path, ("mean = 0", "mean = [255, 255, 0]"))
    assert runtime.classify(tmp_path, "h5", picture("white"))[0].name == "blue"
    copy_model("tflite", tmp_path, ("[output]", '[output]\nignore = ["red"]'))
    assert "red" not in [
        label.name for label in runtime.classify(tmp_path, "tflite", picture("white"))
    ]


def test_the_whole_image_or_its_middle(runtime: OneProcess, tmp_path: Path) -> None:
    wide = Image.new("RGB", (90, 30), "red")
    wide.paste("blue", (30, 0, 60, 30))
    file = io.BytesIO()
    wide.save(file, "PNG")
    copy_model("keras", tmp_path, ("size = 16", 'size = 16\ncrop = "none"'))
    assert runtime.classify(networks(), "keras", file.getvalue())[0].name == "blue"
    assert runtime.classify(tmp_path, "keras", file.getvalue())[0].name == "red"


def install_graph(root: Path, *changes: tuple[str, str]) -> None:
    """Install the small GoogLeNet with Inception5h's own description."""
    folder, source = root / "graph", networks()
    folder.mkdir()
    text = (DIRECTORY / "downloads" / "inception5h" / "model.toml").read_text()
    for name, file in (
        ("tensorflow_inception_graph.pb", "graph.pb"),
        ("imagenet_comp_graph_label_strings.txt", "strings.txt"),
    ):
        (folder / name).write_bytes((source / file).read_bytes())
    pinned = "a39b08b826c9d5a5532ff424c03a3a11a202967544e389aca4b06c2bd8aef63f"
    for old, new in ((pinned, sha256_of(source / "graph.pb")), *changes):
        assert old in text
        text = text.replace(old, new)
    (folder / "model.toml").write_text(text)


def test_a_graph_like_inception5h_says_what_tensorflow_says(
    runtime: OneProcess, tmp_path: Path
) -> None:
    install_graph(tmp_path)
    found = runtime.classify(tmp_path, "graph", (networks() / "noise.png").read_bytes())
    said = json.loads((networks() / "said.json").read_text())
    expected = [(name, share) for share, name in said if name != "dummy"]
    for label, (name, share) in zip(found[:5], expected, strict=False):
        assert label.name == name
        assert math.isclose(label.confidence, share, rel_tol=1e-3)
    assert len(found) > 5


@pytest.mark.parametrize(
    ("model", "change", "message"),
    [
        (
            "saved_model",
            ("size = 16", "size = 32"),
            "The input of the model saved_model has the shape [None, 16, 16, 3], but"
            " its description and labels make it [1, 32, 32, 3].",
        ),
        (
            "keras",
            ("[output]", "[output]\nwidth = 4"),
            "The output of the model keras has the shape [None, 3], but its description"
            " and labels make it [1, 4].",
        ),
        (
            "tflite",
            ("[output]", "[output]\nwidth = 4"),
            "The output of the model tflite has the shape [None, 3], but its"
            " description and labels make it [1, 4].",
        ),
        (
            "saved_model",
            ('name = "logits"', 'name = "scores"'),
            "The model saved_model has no output 'scores'; there are: chances, logits.",
        ),
        (
            "saved_model",
            ('name = "logits"', ""),
            "The model.toml of the model saved_model has to name one output as"
            " output.name; there are: chances, logits.",
        ),
        (
            "keras",
            ("[output]", '[output]\nactivation = "none"'),
            "The model keras returned numbers from 0 to 8, which are not confidences:"
            " its output.activation is not 'none'.",
        ),
    ],
)
def test_a_model_that_lies_is_refused(
    runtime: OneProcess,
    tmp_path: Path,
    model: str,
    change: tuple[str, str],
    message: str,
) -> None:
    copy_model(model, tmp_path, change)
    assert refused(runtime, tmp_path, model) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ('name = "input"', 'name = "image"'),
            "The model graph has no input 'image'; there are: input.",
        ),
        (
            ("width = 1008", "width = 1001"),
            "The output of the model graph has the shape [None, 1008], but its"
            " description and labels make it [1, 1001].",
        ),
    ],
)
def test_a_graph_that_lies_is_refused(
    runtime: OneProcess, tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    install_graph(tmp_path, change)
    assert refused(runtime, tmp_path, "graph") == message


@pytest.mark.parametrize("model", ["keras", "h5", "tflite", "saved_model"])
def test_a_network_that_is_none(
    runtime: OneProcess, tmp_path: Path, model: str
) -> None:
    folder = copy_model(model, tmp_path)
    network = next(path for path in folder.iterdir() if path.stem in "colours served")
    target = network / "saved_model.pb" if network.is_dir() else network
    target.write_bytes(b"no network")
    description = folder / "model.toml"
    lines = description.read_text().splitlines()
    lines[2] = f'sha256 = "{sha256_of(network)}"'
    description.write_text("\n".join(lines))
    assert model in refused(runtime, tmp_path, model)


def test_a_changed_file_in_a_saved_model_is_noticed(
    runtime: OneProcess, tmp_path: Path
) -> None:
    with (copy_model("chances", tmp_path) / "served" / "more").open("w") as file:
        file.write("more")
    assert refused(runtime, tmp_path, "chances").startswith(
        "The file served of the model chances is damaged: "
    )


def test_the_device_is_passed_on(runtime: OneProcess) -> None:
    red = picture("red")
    assert runtime.classify(networks(), "keras", red, "CPU:0")[0].name == "red"
    with pytest.raises(ModelError) as caught:
        runtime.classify(networks(), "keras", red, "TPU:7")
    assert str(caught.value).startswith(
        "AUTOTAG_TENSORFLOW_DEVICE is TPU:7, which TensorFlow does not find; there are:"
        " CPU:0"
    )


def test_without_tensorflow_the_fix_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ClassifierError) as caught:
        full._tensorflow.__wrapped__(1)
    assert str(caught.value) == (
        "This model needs TensorFlow itself: pip install 'flask-autotag[tensorflow]'"
        " (tensorflow is not installed)."
    )
