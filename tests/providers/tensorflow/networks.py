"""The models of ``build_networks.py``, made once for all tests that a process runs."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from ...services import missing

PROGRAM = Path(__file__).with_name("build_networks.py")
ROOT = Path(__file__).parents[3]


def networks() -> Path:
    """Return the folder of the models; skip the test without TensorFlow."""
    if importlib.util.find_spec("tensorflow") is None:
        missing("TensorFlow is not installed (extra tensorflow)")
    return _networks()


@cache
def _networks() -> Path:
    folder = Path(mkdtemp(prefix="flask-autotag-networks-"))
    subprocess.run(
        [sys.executable, str(PROGRAM), str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"},
        check=True,
        capture_output=True,
    )
    return folder


def copy_model(name: str, root: Path, *changes: tuple[str, str]) -> Path:
    """Copy a model below *root*, with texts in its description replaced."""
    folder = root / name
    shutil.copytree(networks() / name, folder)
    description = folder / "model.toml"
    text = description.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    description.write_text(text)
    return folder
