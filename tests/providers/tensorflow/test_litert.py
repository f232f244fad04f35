"""The runtime of ``.tflite`` networks, also where LiteRT has no wheels."""

from __future__ import annotations

import subprocess
import sys

import pytest

from flask_autotag.errors import ModelError
from flask_autotag.providers.tensorflow.model_file import find
from flask_autotag.providers.tensorflow.network import open_network
from flask_autotag.providers.tensorflow.provider import (
    DEFAULT_MODEL,
    TensorFlowProvider,
)

from ...hosts import ESPRESSO

#: Classifies a photo and prints its best label and the runtimes that are imported.
PROGRAM = """
import sys
from PIL import Image
from flask_autotag.providers.tensorflow.provider import TensorFlowProvider

sys.modules["ai_edge_litert"] = None
provider = TensorFlowProvider()
[labels] = provider.classify([Image.open(sys.argv[1])])
best = max(labels, key=lambda label: label.confidence)
print(best.name, provider.forkable, "tensorflow" in sys.modules)
"""


def test_tensorflow_itself_runs_the_file_without_litert() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, ESPRESSO], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "drink False True\n"


def test_without_any_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    assert TensorFlowProvider().forkable
    for module in ("ai_edge_litert", "tensorflow"):
        monkeypatch.setitem(sys.modules, module, None)
    assert not TensorFlowProvider().forkable
    with pytest.raises(
        ModelError, match=r"pip install ai-edge-litert, or .* 'flask-autotag\[tensorf"
    ):
        open_network(find(DEFAULT_MODEL, None), 1, None)
