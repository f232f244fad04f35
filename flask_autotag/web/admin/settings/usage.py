"""The images that a paid provider was sent this month, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....classification.quota import Calls, Limits
from ....host.assets import SYSTEM
from ....providers import pricing
from ...translation import gettext


def usage_sentence(instance: str, calls: Calls, values: Mapping[str, Any]) -> str:
    """Return how many images were sent, about what they cost, and how many are left.

    An instance does not learn how many images other instances have sent, only that the
    limit of all together is reached.

    :param instance: or :data:`.SYSTEM`, for all together.
    :param values: the effective settings of the provider's section.
    """
    limits = Limits.of(instance, values)
    sentence = _sentence(
        calls.own, limits.total if instance == SYSTEM else limits.own, values
    )
    if instance != SYSTEM and limits.is_total_used(calls):
        used = gettext("All instances together have used up the images of this month.")
        return f"{sentence} {used}"
    return sentence


def _sentence(calls: int, limit: int, values: Mapping[str, Any]) -> str:
    price = _price(calls, values.get("price"))
    sent = f"{calls:,}"
    if not limit and price is None:
        return gettext("Images sent this month: %(calls)s.", calls=sent)
    if not limit:
        return gettext(
            "Images sent this month: %(calls)s, %(price)s at the list price.",
            calls=sent,
            price=price,
        )
    left = max(0, limit - calls)
    counts = {"calls": sent, "limit": f"{limit:,}", "left": f"{left:,}"}
    if price is None:
        return gettext(
            "Images sent this month: %(calls)s of %(limit)s; left: %(left)s.", **counts
        )
    return gettext(
        "Images sent this month: %(calls)s of %(limit)s, %(price)s at the list"
        " price; left: %(left)s.",
        price=price,
        **counts,
    )


def _price(calls: int, unit: str | None) -> str | None:
    """Return the cost, such as "about $1.86"; ``None`` without a price."""
    cost = pricing.estimate(calls, unit)
    if unit is None or cost is None:
        return None
    if pricing.is_below_a_cent(calls, unit):
        return gettext("less than %(cost)s", cost=cost)
    return gettext("about %(cost)s", cost=cost)
