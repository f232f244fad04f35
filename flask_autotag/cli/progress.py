"""Progress of a command: a bar on a terminal, otherwise log messages."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from ..jobs.worker_output import LOG_INTERVAL, logging_to
from ..tags.batches import Advance

logger = logging.getLogger(__name__)


@contextmanager
def progress(label: str, length: int | None = None) -> Iterator[Advance]:
    """Show the progress of the block on standard error.

    The block calls the yielded function with the number of items it has done since the
    last call.

    :param label: the action, such as "Queueing images".
    :param length: total number of items; ``None`` if it is not known.
    """
    if not sys.stderr.isatty():
        with logging_to(sys.stderr):
            yield _Log(label, length).advance
    elif length is None:
        yield from _counter(label)
    else:
        with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
            yield bar.update


def _counter(label: str) -> Iterator[Advance]:
    done = 0

    def advance(number: int) -> None:
        nonlocal done
        done += number
        click.echo(f"\r{label}  {done:,}", nl=False, err=True)

    yield advance
    click.echo(err=True)


class _Log:
    """Logs one line a minute."""

    def __init__(self, label: str, length: int | None) -> None:
        self._label = label
        self._total = "" if length is None else f" of {length:,}"
        self._done = 0
        self._next = time.monotonic() + LOG_INTERVAL

    def advance(self, number: int) -> None:
        """Add *number* to the count; log the count once a minute."""
        self._done += number
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LOG_INTERVAL
            logger.info("%s: %s%s.", self._label, f"{self._done:,}", self._total)
