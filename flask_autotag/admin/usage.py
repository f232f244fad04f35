"""What a provider that charges was sent this month, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import costs, gate
from .text import gettext


def usage_sentence(calls: int, values: Mapping[str, Any]) -> str:
    """Say how many images were sent, about what they cost, and how many are left.

    :param calls: images that were sent.
    :param values: the settings of the provider's section, as they hold.
    """
    limit = values.get("monthly_limit", 0)
    left = gate.left(limit, calls)
    price = _price(calls, values.get("price"))
    sent = f"{calls:,}"
    if left is None and price is None:
        return gettext("Images sent this month: %(calls)s.", calls=sent)
    if left is None:
        return gettext(
            "Images sent this month: %(calls)s, %(price)s at the list price.",
            calls=sent,
            price=price,
        )
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
