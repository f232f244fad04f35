"""The chart of a day: the position and height of its bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from ....monitoring.hourly import Hour
from ..filters import utc

#: Units from the lowest to the highest line of the chart.
HEIGHT = 120
#: The height of the lowest bar that is not zero, in the same units.
_LEAST = 2.0
#: The highest lines of the scale, to be multiplied by powers of ten.
_STEPS = (1, 2, 3, 4, 6, 8, 10)
#: Hours between two labels of the time axis.
_NAMED = 6


@dataclass(frozen=True)
class Bar:
    """One hour.

    :param x: the left edge, in hundredths of the chart's width.
    :param width: in the same unit.
    :param done: the height for done jobs, in units of :data:`HEIGHT`.
    :param failed: the height for failed jobs, which are drawn on top.
    """

    hour: Hour
    x: float
    width: float
    done: float
    failed: float

    @property
    def start(self) -> datetime:
        """The beginning of the hour, in UTC."""
        return utc(self.hour.start)

    @property
    def is_named(self) -> bool:
        """Whether the hour is written below; the right edge has no room for it."""
        return self.start.hour % _NAMED == 0 and self.x < 90


@dataclass(frozen=True)
class Chart:
    """Done and failed jobs by hour.

    :param hours: at least one.
    """

    hours: Sequence[Hour]

    @property
    def height(self) -> int:
        """See :data:`HEIGHT`."""
        return HEIGHT

    @property
    def done(self) -> int:
        """The number of done jobs."""
        return sum(hour.done for hour in self.hours)

    @property
    def failed(self) -> int:
        """The number of failed jobs."""
        return sum(hour.failed for hour in self.hours)

    @cached_property
    def top(self) -> int:
        """The value of the highest line: a round number that no bar exceeds."""
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
        """Return the height of a bar; small numbers stay visible."""
        if not number:
            return 0.0
        return max(_LEAST, round(number / self.top * HEIGHT, 2))
