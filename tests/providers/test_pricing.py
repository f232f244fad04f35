from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_autotag.providers.pricing import estimate, is_below_a_cent, parse, total


@pytest.mark.parametrize(
    ("price", "images", "written"),
    [
        ("$1.50", 12_400, "$18.60"),
        ("$1.50", 1_240, "$1.86"),
        ("1.50 €", 12_400, "18.60 €"),
        ("1.50\u202f€", 12_400, "18.60\u202f€"),
        ("EUR 1.50", 12_400, "EUR 18.60"),
        ("1.5usd", 12_400, "18.60usd"),
        ("1.5", 12_400, "18.60"),
        ("¥150", 10_000_000, "¥1,500,000.00"),
        ("0", 1_000_000, "0.00"),
        ("$1.50", 0, "$0.00"),
        # Rounded up, so that a cost is never shown as 0.
        ("$1.50", 1, "$0.01"),
        (None, 12_400, None),
    ],
)
def test_what_images_cost(price: str | None, images: int, written: str | None) -> None:
    assert estimate(images, price) == written


@pytest.mark.parametrize(
    ("price", "images", "less"),
    [("$1.50", 2, True), ("$1.50", 7, False), ("$10", 1, False), ("$1.50", 0, False)],
)
def test_less_than_a_hundredth(price: str, images: int, less: bool) -> None:
    assert is_below_a_cent(images, price) is less


@pytest.mark.parametrize(
    "text",
    [
        "",
        "$",
        "free",
        "-1",
        "$-1",
        "1,50 €",
        "1.",
        ".5",
        "$1.50 USD",
        "$$1",
        "US$1",
        "#1",
        "EURO 1",
        "1e3",
        "nan",
        "1 2",
        "1_000",
        "1.2.3",
        "1.1234567",
        "EUR  1",
        "1\u00a0\u00a0€",
        "1\n€",
        "<b>1",
        "1234567890",
        "٣",
    ],
)
def test_what_is_no_price(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)


@given(
    amount=st.decimals(0, 999_999, places=4),
    currency=st.sampled_from(["", "$", "€ ", "EUR ", "CHF"]),
    images=st.integers(0, 10**9),
)
def test_an_estimate_is_no_less_than_the_price_and_a_price_itself(
    amount: Decimal, currency: str, images: int
) -> None:
    written = estimate(images, f"{currency}{amount}")
    assert written is not None
    assert written.startswith(currency)
    number = Decimal(written.removeprefix(currency).replace(",", ""))
    assert 0 <= number - amount * images / 1000 < Decimal("0.01")


@pytest.mark.parametrize(
    ("price", "amount", "currency"),
    [
        ("$1.50", "18.60", "$"),
        ("1.50\u202f€", "18.60", "€"),
        ("EUR 1.50", "18.60", "EUR"),
        ("1.5usd", "18.60", "USD"),
        ("1.5", "18.60", ""),
        ("1.500000", "18.60", ""),
    ],
)
def test_the_amount_and_its_currency(price: str, amount: str, currency: str) -> None:
    found = total(12_400, price)
    assert (found.amount, found.currency) == (Decimal(amount), currency)
