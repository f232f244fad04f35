"""The chart of a day: where its bars stand, and what each says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from ..jobs.day import Hour

#: Units from the lowest to the highest line of the picture …
HEIGHT = 120
#: … and those that a bar has at least.
_LEAST = 2.0
#: Steps of the scale, by powers of ten.
_STEPS = (1, 2, 3, 4, 6, 8, 10)
#: Hours between two that are named.
_NAMED = 6


@dataclass(frozen=True)
class Bar:
    """One hour.

    :param x: where it begins, in hundredths of the width.
    :param width: of it, in the same.
    :param done: height of what was done, in units.
    :param failed: height of what failed, which stands on it.
    """

    hour: Hour
    x: float
    width: float
    done: float
    failed: float

    @property
    def start(self) -> datetime:
        """When the hour begins, in UTC."""
        return datetime.fromtimestamp(self.hour.start, UTC)

    @property
    def is_named(self) -> bool:
        """Whether its hour is written below, where there is room to its right."""
        return self.start.hour % _NAMED == 0 and self.x < 90


@dataclass(frozen=True)
class Chart:
    """Jobs that were done and failed, hour by hour.

    :param hours: at least one.
    """

    hours: Sequence[Hour]

    @property
    def height(self) -> int:
        """Units from the lowest to the highest line."""
        return HEIGHT

    @property
    def done(self) -> int:
        """How many were done in all."""
        return sum(hour.done for hour in self.hours)

    @property
    def failed(self) -> int:
        """How many failed in all."""
        return sum(hour.failed for hour in self.hours)

    @cached_property
    def top(self) -> int:
        """What the highest line means: a round number that no bar is above."""
        most = max(hour.done + hour.failed for hour in self.hours)
        power = int("1".ljust(len(str(most)), "0"))
        return next(step * power for step in _STEPS if step * power >= most)

    @cached_property
    def bars(self) -> Sequence[Bar]:
        """The bars, from left to right."""
        step = 100 / len(self.hours)
        return [
            Bar(
                hour,
                round(step * place, 3),
                round(step * 0.8, 3),
                self._high(hour.done),
                self._high(hour.failed),
            )
            for place, hour in enumerate(self.hours)
        ]

    def _high(self, number: int) -> float:
        """Give the height of a number; what is there is seen."""
        if not number:
            return 0.0
        return max(_LEAST, round(number / self.top * HEIGHT, 2))
