"""The configuration keys and extras in the documentation exist."""

from __future__ import annotations

import re
import tomllib

import pytest

from flask_autotag.providers.registry import sections
from flask_autotag.settings.config import KEYS

from .documents import ROOT, TEXTS

KNOWN = {*KEYS, *(key for section in sections() for key in section.config_keys())}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.mark.parametrize(
    ("name", "key"),
    sorted(
        {
            (name, key)
            for name, text in TEXTS.items()
            for key in re.findall(r"\bAUTOTAG_[A-Z_]*[A-Z]\b", text)
        }
    ),
)
def test_a_key_exists(name: str, key: str) -> None:
    assert key in KNOWN


@pytest.mark.parametrize(
    ("name", "extra"),
    sorted(
        {
            (name, extra)
            for name, text in TEXTS.items()
            for extra in re.findall(r"(?:flask-autotag|\.)\[([a-z-]+)\]", text)
        }
    ),
)
def test_an_extra_exists(name: str, extra: str) -> None:
    assert extra in PROJECT["optional-dependencies"]
