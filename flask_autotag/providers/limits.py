"""The settings of a provider that charges for images: limits and price."""

from __future__ import annotations

from typing import Any

from ..settings import checks
from ..settings.fields import Field, Input, smaller_limit

#: How images beyond the limit are treated.
SKIP, WAIT = "skip", "wait"


def price(value: Any) -> str | None:
    """Accept a price such as ``$1.50``, ``1.50 €`` or ``EUR 1.50``, or ``None``.

    :return: the text as it was typed, without surrounding white space.
    """
    # Here, because the import of decimal slows the start of every host.
    from . import pricing

    if value is None:
        return None
    typed = str(value).strip()
    try:
        pricing.parse(typed)
    except ValueError:
        raise checks.CheckError(
            "must be a price such as 1.50, $1.50, 1.50 € or EUR 1.50, not %(value)s",
            value=checks.shown(value),
        ) from None
    return typed


def limit_fields() -> tuple[Field, ...]:
    """Return the fields of a provider that charges for each image.

    They are ``monthly_limit``, ``total_limit``, ``over_limit`` and ``price``. Add them
    after the section's own fields: the extension then counts the images that each
    instance sends, and keeps the limits.
    """
    return (
        Field(
            "monthly_limit",
            0,
            checks.whole_number(0, 1_000_000_000),
            "Images per month",
            "How many images an instance may send in a calendar month (UTC). 0 means no"
            " limit. An instance cannot exceed the limit of the system.",
            Input.COUNT,
            combine=smaller_limit,
            system_help="The limit applies to each instance separately.",
        ),
        Field(
            "total_limit",
            0,
            checks.whole_number(0, 1_000_000_000),
            "Images per month, all instances together",
            "How many images all instances together may send in a calendar month (UTC),"
            " with any key. 0 means no limit.",
            Input.COUNT,
            system_only=True,
        ),
        Field(
            "over_limit",
            SKIP,
            checks.one_of(SKIP, WAIT),
            "Beyond the limit",
            "'skip': further images are tagged without this provider. 'wait': the other"
            " providers tag them now, and this one tags them next month.",
            Input.CHOICE,
            choices=lambda _model_dir: (SKIP, WAIT),
        ),
        Field(
            "price",
            None,
            price,
            "Price of 1,000 images",
            "The provider's list price, such as $1.50, 1.50 € or EUR 1.50. It is used"
            " only for estimates, which ignore free images and discounts.",
        ),
    )
