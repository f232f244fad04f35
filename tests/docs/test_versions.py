"""The documented versions and platforms are those of the package's metadata."""

from __future__ import annotations

import re
import tomllib

from packaging.requirements import Requirement

from .documents import ROOT, TEXTS

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
DEPENDENCIES = {
    requirement.name: requirement
    for requirement in map(Requirement, PROJECT["dependencies"])
}


def test_the_lowest_versions() -> None:
    rows = re.findall(r"^([A-Z][\w-]+|blinker) +(\d[\d.]+)", TEXTS["versions"], re.M)
    assert len(rows) == 8
    for name, lowest in rows:
        assert str(DEPENDENCIES[name.lower()].specifier) == f">={lowest}"


def test_litert_is_left_out_on_intel_macs_only() -> None:
    marker = DEPENDENCIES["ai-edge-litert"].marker
    assert marker is not None
    for platform, machine, there in (
        ("darwin", "x86_64", False),
        ("darwin", "arm64", True),
        ("linux", "x86_64", True),
        ("win32", "AMD64", True),
    ):
        environment = {"sys_platform": platform, "platform_machine": machine}
        assert marker.evaluate(environment) is there
