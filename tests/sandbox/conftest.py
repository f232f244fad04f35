from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from PIL import Image

from flask_autotag.providers.base import Machine, Prediction
from flask_autotag.providers.registry import enabled_here, sections
from flask_autotag.sandbox import pool as pool_module
from flask_autotag.sandbox.pool import Pool, Question
from flask_autotag.sandbox.process import ChildProcess
from flask_autotag.settings.resolution import read_settings

#: Far more seconds than an image takes, also on a busy machine.
PATIENCE = 60.0

SETTINGS = read_settings(sections(), {})


class Tracked(ChildProcess):
    """A child that the test can find."""

    started: list[Tracked]

    def __init__(self, memory_limit: int, timeout: float) -> None:
        super().__init__(memory_limit, timeout)
        self.started.append(self)

    @property
    def pid(self) -> int:
        return self._process.pid

    def await_end(self) -> None:
        self._process.wait(PATIENCE)


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Tracked]]:
    """List the children that pools start, oldest first; end them after the test."""
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
    (prediction,) = pool.classify(asked(data)).predictions
    return prediction


def asked(data: bytes) -> Question:
    """Ask the default providers with the default settings."""
    return Question(data, enabled_here(SETTINGS), SETTINGS, Machine())


def request(**options: Any) -> dict[str, Any]:
    """Make the message that asks a child for the bundled model."""
    [provider] = enabled_here(SETTINGS)
    made = provider.options(SETTINGS[provider.section.name], Machine())
    return {"providers": [{"name": provider.name, "options": {**made, **options}}]}


def encode(image: Image.Image, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()
