"""Providers of other packages that misbehave, in a real child."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flask_autotag import AssetRef, image_uploaded
from flask_autotag.providers.registry import providers

from ...hosts import ESPRESSO, ESPRESSO_TAGS, Host, make_host

# A child that has started knows the packages of its time alone.
pytestmark = pytest.mark.usefixtures("own_pools")

PROVIDER = """
import math
from flask_autotag.providers.base import Label, LocalProvider
from flask_autotag.settings import checks
from flask_autotag.settings.fields import Field, Section


class Stranger(LocalProvider):
    name = "stranger"
    section = Section(
        "stranger",
        "Stranger",
        (
            Field("enabled", True, checks.boolean, "On", "Help."),
            Field("confidence_threshold", 0.5, checks.fraction, "Threshold", "Help."),
        ),
    )
    model = "1"
    side = 8

    @classmethod
    def options(cls, settings, machine):
        {options}

    def __init__(self, **options):
        {init}

    def classify(self, images):
        {classify}
"""
GOOD = {
    "options": "return {}",
    "init": "pass",
    "classify": "return [[Label('s1', 'strange', 0.9)] for _ in images]",
}

Announce = Callable[..., None]


@pytest.fixture
def announce(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Announce]:
    """Install a package with a provider for this process and its children."""
    folder = tmp_path / "packages"
    metadata = folder / "stranger-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Name: stranger\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(
        "[flask_autotag.providers]\nstranger = stranger_package:Stranger\n"
    )

    def install(**parts: str) -> None:
        source = PROVIDER
        for part, code in {**GOOD, **parts}.items():
            source = source.replace(f"{{{part}}}", code)
        (folder / "stranger_package.py").write_text(source)
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, "stranger_package", raising=False)
        providers.cache_clear()

    yield install
    providers.cache_clear()


def tag(host: Host) -> list[str]:
    """Upload a photo, and return the names of its tags."""
    image_uploaded.send(host.app, asset=AssetRef("photo", "1"), image=ESPRESSO)
    with host.app.app_context():
        return [tag.name for tag in host.autotag.tags_for(AssetRef("photo", "1"))]


def test_one_that_works(announce: Announce, sqlite_url: str) -> None:
    announce()
    with make_host(sqlite_url, AUTOTAG_RUNNER="inline") as host:
        assert set(tag(host)) == {"strange", *ESPRESSO_TAGS}
        assert [job.state for job in host.jobs()] == ["done"]


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        (
            {"classify": "raise RuntimeError('boom')"},
            "Classifying the image with stranger raised RuntimeError: boom"
            " (stranger_package.py, line 29)",
        ),
        (
            {"classify": "raise SystemExit"},
            "Classifying the image with stranger raised SystemExit: "
            " (stranger_package.py, line 29)",
        ),
        (
            {"classify": "return []"},
            "Classifying the image with stranger raised ValueError: 0 lists of labels"
            " for one image",
        ),
        (
            {"classify": "return [[Label('s', 'x', math.nan)]]"},
            "Classifying the image with stranger raised ValueError: a confidence"
            " must be a number from 0 to 1, not nan",
        ),
        (
            {"classify": "return [[Label('s', 7, 0.5)]]"},
            "Classifying the image with stranger raised TypeError: a label's name must"
            " be a string, not 7",
        ),
        (
            {"classify": "return [[('s', 'x', 0.5)]]"},
            "Classifying the image with stranger raised AttributeError: 'tuple' object"
            " has no attribute 'confidence'",
        ),
        (
            {"init": "self.side = 'x'"},
            "Classifying the image with stranger raised TypeError: side must be a"
            " number of pixels, not 'x'",
        ),
        (
            {"init": "raise RuntimeError('no weights')"},
            "Classifying the image with stranger raised RuntimeError: no weights"
            " (stranger_package.py, line 26)",
        ),
        (
            {"options": "raise RuntimeError('no folder')"},
            "The options of stranger raised RuntimeError: no folder",
        ),
        (
            {"options": "return {'a': {1}}"},
            "The options of stranger raised TypeError: Object of type set is not JSON"
            " serializable",
        ),
    ],
)
def test_what_one_fails_at_costs_the_others_nothing(
    announce: Announce, sqlite_url: str, parts: dict[str, str], sentence: str
) -> None:
    announce(**parts)
    with make_host(sqlite_url, AUTOTAG_RUNNER="inline") as host:
        assert set(tag(host)) == set(ESPRESSO_TAGS)
        [job] = host.jobs()
        # The error may be temporary: the job is retried.
        assert (job.state, job.failures, job.crashes) == ("queued", 1, 0)
        assert job.error_code == "classifier_failed"
        assert str(job.error_text).rstrip() == sentence.rstrip()
