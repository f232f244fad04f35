"""Folders of models for tests, made from the bundled one."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

from flask_autotag.providers.tensorflow.model_file import BUNDLED, DESCRIPTION
from flask_autotag.providers.tensorflow.provider import DEFAULT_MODEL

NETWORK = "model.tflite"
LABELS = "labels.csv"
HEADS = ("heads.csv", "heads.npz", "gates.csv")


def make_model(
    root: Path,
    name: str = "other",
    *,
    network: bytes | None = None,
    labels: str | None = None,
    heads: bool = False,
    changes: tuple[tuple[str, str], ...] = (),
) -> Path:
    """Copy the bundled model to a folder below *root*, with other parts.

    :param network: the network; its checksum is written too.
    :param labels: the text of the labels.
    :param heads: whether the copy has the heads, too.
    :param changes: texts in the description, and what to put there instead.
    """
    bundled, folder = BUNDLED / DEFAULT_MODEL, root / name
    folder.mkdir()
    original = (bundled / NETWORK).read_bytes()
    description = (bundled / DESCRIPTION).read_text(encoding="utf-8")
    if heads:
        for part in HEADS:
            shutil.copy(bundled / part, folder)
    else:
        description = re.sub(r"(?s)\[heads\].*?\n(?=\[)", "", description)
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


def make_detector(
    root: Path, name: str = "seer", allowed: str = "espresso = 0.5"
) -> Path:
    """Copy the bundled network to a folder below *root*, as a detector.

    :param allowed: the lines of ``[detector.allowed]``.
    """
    changes = (
        ('activation = "softmax"', 'activation = "sigmoid"'),
        ("crop = 0.875", "letterbox = 114"),
        ("[build]", f"[detector.allowed]\n{allowed}\n\n[build]"),
    )
    return make_model(root, name, changes=changes)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
