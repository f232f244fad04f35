"""What tagging many images would send to the providers that charge for it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from . import costs, gate
from .models import Models
from .providers.registry import enabled_elsewhere
from .settings.resolution import Settings


@dataclass(frozen=True)
class Estimate:
    """What one provider would be sent.

    :param provider: its title.
    :param images: how many.
    :param allowed: how many of them the month's limit still allows to be sent;
        ``None`` without a limit.
    :param price: of all images, such as ``$18.60``; ``None`` if no list price was
        entered.
    :param is_less: whether they cost less than that.
    """

    provider: str
    images: int
    allowed: int | None
    price: str | None
    is_less: bool = False

    @property
    def sentence(self) -> str:
        """One line for whoever is asked whether to go on."""
        noun = "image" if self.images == 1 else "images"
        words = f"{self.provider}: {self.images:,} {noun}"
        if self.price is None:
            words += ", no list price entered"
        else:
            about = "less than" if self.is_less else "about"
            words += f", {about} {self.price} at the list price entered"
        if self.allowed is not None:
            verb = "is" if self.allowed == 1 else "are"
            words += f"; {self.allowed:,} {verb} left of this month's limit"
        return f"{words}."


def estimates(
    session: Session, models: Models, settings: Settings, instance: str, images: int
) -> list[Estimate]:
    """Estimate what tagging images would cost, before they are sent.

    Bytes that were paid for before are not sent again, so it may be less.

    :param settings: of the instance.
    :param images: how many are to be tagged.
    :return: one for each provider that is on and has a limit to what it may cost.
    """
    calls = gate.read_calls(session, models, instance)
    found = []
    for provider in enabled_elsewhere(settings):
        values = settings[provider.name]
        if "monthly_limit" not in values:
            continue
        limits = gate.Limits.of(instance, values)
        left = limits.left(calls.get(provider.name, gate.Calls()))
        unit = values.get("price")
        price = costs.estimate(images, unit)
        is_less = unit is not None and costs.is_less(images, unit)
        found.append(Estimate(provider.section.title, images, left, price, is_less))
    return found
