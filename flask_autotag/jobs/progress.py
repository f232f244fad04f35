"""How a worker tells what it does: one line on a terminal, a log elsewhere."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import IO

import click

from ..tally import Tally
from .queue import CANCELLED, DONE, FAILED, QUARANTINED, QUEUED

#: Seconds between two reports in a log.
REPORT = 60.0

#: What people read for a state, in this order.
_WORDS = {
    DONE: "tagged",
    QUEUED: "to be tried again",
    FAILED: "failed",
    QUARANTINED: "in quarantine",
    CANCELLED: "not wanted any more",
}


def summary(tally: Tally) -> str:
    """Put the counts in words, such as ``12 tagged, 1 failed``."""
    counts = tally.counts
    words = [
        f"{counts[state]:,} {word}"
        for state, word in _WORDS.items()
        if counts[state] or state == DONE
    ]
    return ", ".join(words)


class TerminalProgress:
    """One line that is written over again and again."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._width = 0

    def begin(self) -> None:
        """Count the time from now."""
        self._started = time.monotonic()

    def show(self, tally: Tally) -> None:
        """Write the line."""
        seconds = max(0.1, time.monotonic() - self._started)
        rate = sum(tally.counts.values()) / seconds
        line = f"{summary(tally)} · {rate:.1f} images/s"
        click.echo(f"\r{line:<{self._width}}", nl=False)
        self._width = len(line)

    def end(self, tally: Tally) -> None:
        """Leave the line, and say that this was all."""
        self.show(tally)
        click.echo("\nStopped.")


class LogProgress:
    """A line now and then, if there is something to tell."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("flask_autotag.worker")
        self._told = summary(Tally())
        self._next = time.monotonic() + REPORT

    def begin(self) -> None:
        """Say that signals are heeded from now on."""
        self._logger.info("Tagging queued images.")

    def show(self, tally: Tally) -> None:
        """Log the counts, if they have changed."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + REPORT
        now = summary(tally)
        if now != self._told:
            self._told = now
            self._logger.info("%s.", now)

    def end(self, tally: Tally) -> None:
        """Log the last counts."""
        self._logger.info("Stopped: %s.", summary(tally))


class JSONFormatter(logging.Formatter):
    """One JSON object a line, for those who collect logs."""

    def format(self, record: logging.LogRecord) -> str:
        """Write time, level, logger, message and, of an error, its traceback."""
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
    """Send what the extension logs during the block to *stream*.

    :param form: ``"plain"`` or ``"json"``.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        JSONFormatter()
        if form == "json"
        else logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    )
    logger = logging.getLogger("flask_autotag")
    logger.addHandler(handler)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
