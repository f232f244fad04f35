"""Running commands as from a shell."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import Result

from ..hosts import Host


def run(host: Host, *arguments: str, **more: Any) -> Result:
    """Run ``flask autotag`` without a terminal."""
    return host.app.test_cli_runner().invoke(args=["autotag", *arguments], **more)


def run_command(host: Host, *arguments: str) -> tuple[int, str]:
    """Run a command; return its exit code and its output."""
    result = run(host, *arguments)
    return result.exit_code, result.output


def told(host: Host, *arguments: str, **more: Any) -> list[str]:
    """Run a command that succeeds; return the lines of its output."""
    result = run(host, *arguments, **more)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def refused(host: Host, *arguments: str, **more: Any) -> str:
    """Run a command that fails; return its last line."""
    result = run(host, *arguments, **more)
    assert result.exit_code in (1, 2), result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.output.strip().splitlines()[-1]


def sit_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make commands ask questions."""
    monkeypatch.setattr("flask_autotag.cli.confirm.is_terminal", lambda: True)
