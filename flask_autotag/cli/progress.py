"""How a command tells how far it is: a bar on a terminal, a log elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from ..jobs.progress import REPORT, logging_to
from ..portions import Advance

logger = logging.getLogger(__name__)


@contextmanager
def progress(label: str, length: int | None = None) -> Iterator[Advance]:
    """Show how far the block is.

    :param label: what it does, such as "Queueing images".
    :param length: how many there are in all, if that is known.
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
    """A line a minute."""

    def __init__(self, label: str, length: int | None) -> None:
        self._label = label
        self._of = "" if length is None else f" of {length:,}"
        self._done = 0
        self._next = time.monotonic() + REPORT

    def advance(self, number: int) -> None:
        """Count, and log the count when it is time."""
        self._done += number
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + REPORT
            logger.info("%s: %s%s.", self._label, f"{self._done:,}", self._of)
