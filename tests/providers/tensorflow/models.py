"""Folders of models for tests, made from the bundled one."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import pytest

from flask_autotag.providers.tensorflow.model_file import BUNDLED, DESCRIPTION
from flask_autotag.providers.tensorflow.provider import DEFAULT_MODEL

NETWORK = "model.tflite"
LABELS = "labels.csv"


def make_model(
    root: Path,
    name: str = "other",
    *,
    network: bytes | None = None,
    labels: str | None = None,
    changes: tuple[tuple[str, str], ...] = (),
) -> Path:
    """Copy the bundled model to a folder below *root*, with other parts.

    :param network: the network; its checksum is written too.
    :param labels: the text of the labels.
    :param changes: texts in the description, and what to put there instead.
    """
    bundled, folder = BUNDLED / DEFAULT_MODEL, root / name
    folder.mkdir()
    original = (bundled / NETWORK).read_bytes()
    description = (bundled / DESCRIPTION).read_text(encoding="utf-8")
    if network is not None:
        description = description.replace(sha256(original), sha256(network))
    for old, new in changes:
        assert old in description
        description = description.replace(old, new)
    (folder / DESCRIPTION).write_text(description, encoding="utf-8")
    (folder / NETWORK).write_bytes(original if network is None else network)
    if labels is None:
        labels = (bundled / LABELS).read_text(encoding="utf-8")
    (folder / LABELS).write_text(labels, encoding="utf-8")
    return folder


def with_embedding(network: bytes) -> bytes:
    """Add the embedding to the outputs of the bundled network; skip without it."""
    pytest.importorskip("flatbuffers", reason="flatbuffers is not installed.")
    path = Path(__file__).parents[3] / "tools" / "embedding_output.py"
    found = importlib.util.spec_from_file_location("embedding_output", path)
    assert found is not None
    assert found.loader is not None
    tool = importlib.util.module_from_spec(found)
    found.loader.exec_module(tool)
    changed: bytes = tool.with_embedding(network)
    return changed


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
