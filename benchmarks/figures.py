"""Figures of judged tags, and 95 % intervals of shares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import sqrt

from judges import Judgement

#: The judgements that count as wrong.
WRONG = (Judgement.WRONG, Judgement.LAUGHABLE, Judgement.UNJUDGED)
#: Standard deviations on each side of 95 % of a normal distribution.
DEVIATIONS = 1.959964


@dataclass(frozen=True)
class Share:
    """A share of a whole, which may be empty."""

    part: int
    whole: int

    def __str__(self) -> str:
        return f"{self.part / self.whole:.3f}" if self.whole else "-"

    def interval(self) -> tuple[float, float]:
        """Return Wilson's 95 % interval; from 0 to 1 if the whole is empty."""
        if not self.whole:
            return 0.0, 1.0
        share, spread = self.part / self.whole, DEVIATIONS**2 / self.whole
        middle = share + spread / 2
        half = sqrt(spread * (share * (1 - share) + spread / 4))
        low, high = ((middle + each) / (1 + spread) for each in (-half, half))
        return max(0.0, low), min(1.0, high)


@dataclass(frozen=True)
class Figures:
    """The quality of the tags of some photos.

    :param untagged: the share of photos without a tag.
    :param found: the share of photos with a right tag.
    :param mistagged: the share of photos with a wrong tag.
    :param judged: the number of tags of each judgement.
    """

    untagged: Share
    found: Share
    mistagged: Share
    judged: Counter[Judgement]

    @property
    def photos(self) -> int:
        """The number of photos."""
        return self.untagged.whole

    @property
    def tags(self) -> float:
        """The tags per photo."""
        return self.judged.total() / max(1, self.photos)

    @property
    def strict(self) -> Share:
        """The share of right tags among those that are decided."""
        return self._precision(Judgement.RIGHT)

    @property
    def accepted(self) -> Share:
        """The share of right or acceptable tags among those that are decided."""
        return self._precision(Judgement.RIGHT, Judgement.ACCEPTABLE)

    def _precision(self, *good: Judgement) -> Share:
        decided = self.judged.total() - self.judged[Judgement.UNDECIDED]
        return Share(sum(self.judged[each] for each in good), decided)


def count(photos: Iterable[Sequence[Judgement]]) -> Figures:
    """Count the judged tags of photos."""
    judged = list(photos)

    def share(matches: Callable[[Sequence[Judgement]], bool]) -> Share:
        return Share(sum(map(matches, judged)), len(judged))

    return Figures(
        untagged=share(lambda tags: not tags),
        found=share(lambda tags: Judgement.RIGHT in tags),
        mistagged=share(lambda tags: any(each in WRONG for each in tags)),
        judged=Counter(each for tags in judged for each in tags),
    )
