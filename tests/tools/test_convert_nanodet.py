"""The conversion of NanoDet, without TensorFlow: constants, layout and labels."""

from __future__ import annotations

import csv
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from convert_nanodet import (
    CLASSES,
    GRAPH,
    LABELS,
    OPERATIONS,
    WEIGHTS,
    Graph,
    Network,
    describe,
    read_constants,
    read_graph,
)

from flask_autotag.providers.concept_hierarchy import hierarchy
from flask_autotag.providers.tensorflow import kinds, model_file

SQUARE = {"name": "square", "shape": [2, 2], "dtype": "int32"}
HALF = {
    "name": "half",
    "shape": [3],
    "dtype": "float32",
    "quantization": {"dtype": "float16", "original_dtype": "float32"},
}


def test_constants_lie_one_after_the_other() -> None:
    data = np.arange(4, dtype=np.int32).tobytes() + np.full(3, 0.5, "f2").tobytes()
    found = read_constants([{"weights": [SQUARE, HALF]}], data)
    assert found["square"].tolist() == [[0, 1], [2, 3]]
    assert found["half"].tolist() == [0.5] * 3
    assert found["half"].dtype == np.float32


def test_bytes_that_nothing_describes() -> None:
    with pytest.raises(ValueError, match="20 bytes of weights, but 16 described"):
        read_constants([{"weights": [SQUARE]}], bytes(20))


def test_another_package(tmp_path: Path) -> None:
    path = tmp_path / "package.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name in (GRAPH, WEIGHTS):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(ValueError, match=r"nanodet\.json is not the one of"):
        read_graph(path)


def test_nodes_are_run_with_channels_last() -> None:
    """A transposition is skipped, and a constant is added to each channel."""
    nodes: dict[str, Any] = {
        "image": {"op": "Placeholder"},
        "first": {"op": "Transpose", "attr": {}, "input": ["image", "order"]},
        "second": {"op": "Add", "attr": {}, "input": ["first", "bias"]},
    }
    constants = {
        "order": np.array([0, 2, 3, 1]),
        "bias": np.array([1, 2, 3], np.float32),
    }
    network = Network(Graph(nodes, constants), np.zeros((1, 4, 4, 3), np.float32))
    assert (network.tensor("second")[0, 0, 0] == [1, 2, 3]).all()


@pytest.mark.parametrize(
    ("operation", "inputs", "message"),
    [
        ("Transpose", [None, np.array([0, 2, 1])], "more than a change of layout"),
        ("ConcatV2", [None, None, 2], "joined along the axis 2, not the channels"),
        ("SplitV", [None, np.array([4, 80]), 1], "an output is split into"),
    ],
)
def test_a_graph_of_another_form(
    operation: str, inputs: list[Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        OPERATIONS[operation]({}, *inputs)


def test_labels_have_the_names_that_other_parts_of_the_model_give() -> None:
    with LABELS.open(encoding="utf-8", newline="") as file:
        rows = [(row["wordnet_id"], row["name"]) for row in csv.DictReader(file)]
    assert len(dict(rows)) == len({name for _, name in rows}) == CLASSES
    bundled = model_file.find("efficientnet-lite0", None)
    known = {**hierarchy().names, **dict(bundled.labels)}
    assert {(each, known.get(each, name)) for each, name in rows} == set(rows)


def test_the_description_is_that_of_a_detector(tmp_path: Path) -> None:
    folder = tmp_path / "nanodet"
    folder.mkdir()
    (folder / "labels.csv").write_bytes(LABELS.read_bytes())
    (folder / "model.toml").write_text(describe(b"network", "2.21.0"))
    found = kinds.find_detector("nanodet", str(tmp_path))
    assert found is not None
    assert found.detector is not None
    assert found.detector.allowed == {0: 0.5}
    assert found.labels[0] == ("n00007846", "person")
    assert found.input.letterbox == (114, 114, 114)
