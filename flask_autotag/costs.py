"""What images cost at a list price, in the form in which that was entered."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal

_CURRENCY = r"(?:(?P<{}>[^\w\s.,+-])|[A-Za-z]{{3}})"
#: A blank as it is typed, or of the kinds that keep words together.
_BLANK = "[ \u00a0\u202f]?"
#: A sign such as $ or €, or a code such as EUR; the number; the same behind it.
_PRICE = re.compile(
    f"(?P<before>{_CURRENCY.format('sign')}{_BLANK})?"
    r"(?P<amount>[0-9]{1,9}(?:\.[0-9]{1,6})?)"
    f"(?P<behind>{_BLANK}{_CURRENCY.format('sign_behind')})?"
)
_CENT = Decimal("0.01")


@dataclass(frozen=True)
class Price:
    """An amount of money, and how to write one.

    :param before: the currency before the number, with its blank; or empty.
    :param behind: the same behind it.
    """

    amount: Decimal
    before: str = ""
    behind: str = ""

    @property
    def currency(self) -> str:
        """Its sign or code, such as ``$`` or ``EUR``; empty without one."""
        return (self.before or self.behind).strip().upper()

    def write(self, amount: Decimal) -> str:
        """Write another amount of the same currency, such as ``$1,016.40``."""
        return f"{self.before}{amount:,.2f}{self.behind}"


def parse(text: str) -> Price:
    """Read a price such as ``$1.50``, ``1.50 €``, ``EUR 1.50`` or ``1.5``.

    :raises ValueError: if it is no number with one currency, or none, beside it.
    """
    found = _PRICE.fullmatch(text.strip())
    if found is None or (found["before"] and found["behind"]):
        raise ValueError("no price")
    for sign in (found["sign"], found["sign_behind"]):
        if sign is not None and unicodedata.category(sign) != "Sc":
            raise ValueError("no sign of a currency")
    return Price(Decimal(found["amount"]), found["before"] or "", found["behind"] or "")


def estimate(images: int, price: str | None) -> str | None:
    """Estimate what images cost, rounded up to a hundredth.

    :param price: of 1,000 images; ``None`` if nobody entered one.
    :return: such as ``$18.60``; ``None`` without a price.
    """
    if price is None:
        return None
    cost = total(images, price)
    return cost.write(cost.amount)


def is_less(images: int, price: str) -> bool:
    """Whether images cost something, but not even a hundredth."""
    return 0 < parse(price).amount * images / 1000 < _CENT


def total(images: int, price: str) -> Price:
    """Estimate the same as an amount.

    :param price: of 1,000 images.
    """
    unit = parse(price)
    amount = unit.amount * images / 1000
    return replace(unit, amount=amount.quantize(_CENT, ROUND_CEILING))
