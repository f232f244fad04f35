from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from PIL import Image

from flask_autotag.classification.sandbox import pool as pool_module
from flask_autotag.classification.sandbox.child_process import ChildProcess
from flask_autotag.classification.sandbox.pool import Pool
from flask_autotag.classification.sandbox.question import Question
from flask_autotag.providers.base import Prediction
from flask_autotag.providers.registry import local_enabled, sections
from flask_autotag.settings.machine import Machine
from flask_autotag.settings.resolution import read_settings

#: Far more seconds than an image takes, also on a busy machine.
PATIENCE = 60.0

SETTINGS = read_settings(sections(), {})


class Tracked(ChildProcess):
    """A child that tests can inspect."""

    started: list[Tracked]

    def __init__(self, memory_limit: int, timeout: float) -> None:
        super().__init__(memory_limit, timeout)
        self.started.append(self)

    def await_end(self) -> None:
        self._process.wait(PATIENCE)

    @property
    def program(self) -> int:
        """The pid of the program that forks."""
        return self._process.pid


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Tracked]]:
    """The children that pools start, oldest first; they end after the test."""
    started: list[Tracked] = []
    monkeypatch.setattr(Tracked, "started", started, raising=False)
    monkeypatch.setattr(pool_module, "ChildProcess", Tracked)
    yield started
    for child in started:
        child.close()


@pytest.fixture
def make_pool(children: list[Tracked]) -> Callable[..., Pool]:
    """Make a pool whose children are tracked."""

    def make(
        size: int = 1, timeout: float = PATIENCE, memory_limit: int = 2048
    ) -> Pool:
        return Pool(size, timeout, memory_limit)

    return make


def classify(pool: Pool, data: bytes) -> Prediction:
    """Let the pool classify an image with the default settings."""
    (prediction,) = pool.classify(default_question(data)).predictions
    return prediction


def default_question(data: bytes) -> Question:
    """Return a question to the default providers with the default settings."""
    return Question(data, local_enabled(SETTINGS), SETTINGS, Machine())


def ask(
    child: ChildProcess, choices: list[dict[str, Any]], data: bytes
) -> dict[str, Any]:
    """Send one image to a child and return its answer."""
    if not child.serves("", choices):
        child.begin("", choices)
    child.send(data, None)
    return child.receive()[0]


def choices(**options: Any) -> list[dict[str, Any]]:
    """Return the choice of the bundled model."""
    [provider] = local_enabled(SETTINGS)
    made = provider.options(SETTINGS[provider.section.name], Machine())
    return [{"name": provider.name, "options": {**made, **options}}]


def encode(image: Image.Image, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()
