"""Output of a worker: one line on a terminal, otherwise log messages."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import IO, Any

import click

from ..characters import printable
from ..db.job_states import CANCELLED, DONE, FAILED, QUARANTINED, QUEUED
from ..runtime.tally import Tally

#: Seconds between two messages in a log.
LOG_INTERVAL = 60.0

#: Descriptions of states, in the order of the output.
_DESCRIPTIONS = {
    DONE: "tagged",
    QUEUED: "to be tried again",
    FAILED: "failed",
    QUARANTINED: "in quarantine",
    CANCELLED: "cancelled",
}


def summary(tally: Tally) -> str:
    """Return the counts as text, such as ``12 tagged, 1 failed``."""
    counts = tally.counts
    parts = [
        f"{counts[state]:,} {description}"
        for state, description in _DESCRIPTIONS.items()
        if counts[state] or state == DONE
    ]
    return ", ".join(parts)


class TerminalProgress:
    """A line on a terminal that is overwritten."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._width = 0

    def begin(self) -> None:
        """Start to measure the time."""
        self._started = time.monotonic()

    def show(self, tally: Tally) -> None:
        """Overwrite the line with the current counts."""
        seconds = max(0.1, time.monotonic() - self._started)
        rate = sum(tally.counts.values()) / seconds
        line = f"{summary(tally)} · {rate:.1f} images/s"
        click.echo(f"\r{line:<{self._width}}", nl=False)
        self._width = len(line)

    def end(self, tally: Tally) -> None:
        """Show the last counts and the end."""
        self.show(tally)
        click.echo("\nStopped.")


class LogProgress:
    """A log message once a minute, if the counts have changed."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("flask_autotag.worker")
        self._last = summary(Tally())
        self._next = time.monotonic() + LOG_INTERVAL

    def begin(self) -> None:
        """Log the start; from here on signals stop the worker in an orderly way."""
        self._logger.info("Tagging queued images.")

    def show(self, tally: Tally) -> None:
        """Log the counts if they have changed."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LOG_INTERVAL
        current = summary(tally)
        if current != self._last:
            self._last = current
            self._logger.info("%s.", current)

    def end(self, tally: Tally) -> None:
        """Log the last counts."""
        self._logger.info("Stopped: %s.", summary(tally))


class PlainFormatter(logging.Formatter):
    """Lines for people. Tracebacks are indented and free of control characters."""

    def formatException(self, ei: Any) -> str:
        """Format a traceback; its messages may contain untrusted names."""
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"    {printable(line)}" for line in lines)


class JSONFormatter(logging.Formatter):
    """One JSON object a line, for log collectors."""

    def format(self, record: logging.LogRecord) -> str:
        """Format time, level, logger, message and the traceback of an error."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry)


@contextlib.contextmanager
def logging_to(stream: IO[str], form: str = "plain") -> Iterator[None]:
    """Write the extension's log to *stream* during the block.

    :param form: ``"plain"`` or ``"json"``.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        JSONFormatter()
        if form == "json"
        else PlainFormatter("%(asctime)s %(levelname)s %(message)s")
    )
    logger = logging.getLogger("flask_autotag")
    logger.addHandler(handler)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
