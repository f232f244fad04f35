"""Estimates of the cost of images, from a list price and in its notation."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal

_DIGITS = "0123456789"
#: A blank as it is typed, and the no-break spaces that typesetting uses.
_BLANKS = " \u00a0\u202f"
_MOST_WHOLE_DIGITS, _MOST_DECIMALS = 9, 6
_CENT = Decimal("0.01")


@dataclass(frozen=True)
class Price:
    """An amount of money with its currency.

    :param before: the currency before the number, with its blank, or ``""``.
    :param behind: the same behind the number.
    """

    amount: Decimal
    before: str = ""
    behind: str = ""

    @property
    def currency(self) -> str:
        """The sign or upper-case code, such as ``$`` or ``EUR``; may be ``""``."""
        return (self.before or self.behind).strip().upper()

    def write(self, amount: Decimal) -> str:
        """Return another amount in the same notation, such as ``$1,016.40``."""
        return f"{self.before}{amount:,.2f}{self.behind}"


def parse(text: str) -> Price:
    """Return the price that a text such as ``$1.50``, ``1.50 €`` or ``1.5`` names.

    :raises ValueError: if it is not a decimal number with at most one currency.
    """
    text = text.strip()
    digits = [place for place, sign in enumerate(text) if sign in _DIGITS]
    if not digits:
        raise ValueError("a price has a number")
    start, end = digits[0], digits[-1] + 1
    before, behind = text[:start], text[end:]
    if before and behind:
        raise ValueError("a price has one currency")
    _check_currency(before or behind)
    return Price(_read_amount(text[start:end]), before, behind)


def _check_currency(text: str) -> None:
    """Accept a sign such as ``$`` or a code such as ``EUR``, or ``""``."""
    currency = text.strip(_BLANKS)
    is_code = len(currency) == 3 and currency.isascii() and currency.isalpha()
    is_sign = len(currency) == 1 and unicodedata.category(currency) == "Sc"
    if (text and not (is_code or is_sign)) or len(text) > len(currency) + 1:
        raise ValueError("not a currency")


def _read_amount(text: str) -> Decimal:
    # Decimal itself accepts exponents, underscores and the digits of any script.
    whole, _, decimals = text.partition(".")
    fits = len(whole) <= _MOST_WHOLE_DIGITS and len(decimals) <= _MOST_DECIMALS
    if not fits or not {*whole, *decimals} <= {*_DIGITS}:
        raise ValueError("not a decimal number")
    return Decimal(text)


def estimate(images: int, price: str | None) -> str | None:
    """Return the cost of images, rounded up to a hundredth, such as ``$18.60``.

    :param price: of 1,000 images; ``None`` if nobody entered one.
    :return: ``None`` without a price.
    """
    if price is None:
        return None
    cost = total(images, price)
    return cost.write(cost.amount)


def is_below_a_cent(images: int, price: str) -> bool:
    """Return whether images cost something, but less than a hundredth."""
    return 0 < parse(price).amount * images / 1000 < _CENT


def total(images: int, price: str) -> Price:
    """Return the cost of images, rounded up to a hundredth.

    :param price: of 1,000 images.
    """
    unit = parse(price)
    amount = unit.amount * images / 1000
    return replace(unit, amount=amount.quantize(_CENT, ROUND_CEILING))
