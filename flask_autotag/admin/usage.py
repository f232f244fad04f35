"""What a provider that charges was sent this month, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import costs
from ..assets import SYSTEM
from ..gate import Calls, Limits
from .text import gettext


def usage_sentence(instance: str, calls: Calls, values: Mapping[str, Any]) -> str:
    """Say how many images were sent, about what they cost, and how many are left.

    An instance is not told what the others have sent, but that nothing is left.

    :param instance: or :data:`.SYSTEM`, for all together.
    :param values: the settings of the provider's section, as they hold.
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
    """Write what images cost, such as "about $1.86"; ``None`` without a price."""
    cost = costs.estimate(calls, unit)
    if unit is None or cost is None:
        return None
    if costs.is_less(calls, unit):
        return gettext("less than %(cost)s", cost=cost)
    return gettext("about %(cost)s", cost=cost)
