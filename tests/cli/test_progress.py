"""Progress of long commands."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from flask_autotag.cli import progress as module
from flask_autotag.cli.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress("Queueing images", 1000) as advance:
        advance(500)
    assert "Queueing images" in terminal.getvalue()
    assert "50%" in terminal.getvalue()


def test_a_count_where_the_number_is_not_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress("Looking for images") as advance:
        advance(500)
        advance(734)
    assert terminal.getvalue() == (
        "\rLooking for images  500\rLooking for images  1,234\n"
    )


def test_a_line_a_minute_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOG_INTERVAL", 0.0)
    with progress("Queueing images", 2000) as advance:
        advance(500)
        advance(700)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("INFO ")[1] for line in lines] == [
        "Queueing images: 500 of 2,000.",
        "Queueing images: 1,200 of 2,000.",
    ]
    assert logging.getLogger("flask_autotag").handlers == []


def test_a_short_command_logs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Queueing images", 2000) as advance:
        advance(2000)
    assert capsys.readouterr().err == ""
