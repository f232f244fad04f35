"""The settings with which an instance limits what a provider may cost."""

from __future__ import annotations

from .. import checks
from ..settings.fields import Field, Input, smaller_limit

#: What happens to images beyond the limit.
SKIP, WAIT = "skip", "wait"


def limit_fields() -> tuple[Field, ...]:
    """Make the fields of a provider that charges for each image.

    They are ``monthly_limit``, ``total_limit``, ``over_limit`` and ``price``; a section
    has them after its own. Nothing else is to be done for them.
    """
    return (
        Field(
            "monthly_limit",
            0,
            checks.whole_number(0, 1_000_000_000),
            "Images a month",
            "How many images an instance may send in a calendar month (UTC). 0 means no"
            " limit. An instance cannot have more than the system allows.",
            Input.COUNT,
            combine=smaller_limit,
            system_help="Each instance may send this many.",
        ),
        Field(
            "total_limit",
            0,
            checks.whole_number(0, 1_000_000_000),
            "Images a month, of all instances together",
            "How many images all instances together may send in a calendar month (UTC),"
            " whoever's key they use. 0 means no limit.",
            Input.COUNT,
            system_only=True,
        ),
        Field(
            "over_limit",
            SKIP,
            checks.one_of(SKIP, WAIT),
            "Beyond that",
            "'skip': images go without this provider. 'wait': they wait for the next"
            " month, with the tags of the other providers.",
            Input.CHOICE,
            choices=lambda _model_dir: (SKIP, WAIT),
        ),
        Field(
            "price",
            None,
            checks.price,
            "Price of 1,000 images",
            "The provider's list price, such as $1.50, 1.50 € or EUR 1.50. It is used"
            " for estimates alone, which leave free images and discounts out.",
        ),
    )
