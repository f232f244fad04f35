"""Estimates the images and the cost of tagging, for providers that charge."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from ..db.models import Models
from ..providers import pricing
from ..providers.registry import remote_enabled
from ..settings.resolution import Settings
from . import quota


@dataclass(frozen=True)
class Estimate:
    """The estimate for one provider.

    :param provider: the provider's title.
    :param images: the number of images to send.
    :param allowed: images left of this month's limit; ``None`` without a limit.
    :param price: the cost of all images, such as ``$18.60``; ``None`` if no list price
        was entered.
    :param is_less: whether the images cost less than *price*, the smallest amount.
    """

    provider: str
    images: int
    allowed: int | None
    price: str | None
    is_less: bool = False

    @property
    def sentence(self) -> str:
        """The estimate in one line, for a question whether to go on."""
        noun = "image" if self.images == 1 else "images"
        text = f"{self.provider}: {self.images:,} {noun}"
        if self.price is None:
            text += ", no list price entered"
        else:
            about = "less than" if self.is_less else "about"
            text += f", {about} {self.price} at the list price entered"
        if self.allowed is not None:
            verb = "is" if self.allowed == 1 else "are"
            text += f"; {self.allowed:,} {verb} left of this month's limit"
        return f"{text}."


def estimates(
    session: Session, models: Models, settings: Settings, instance: str, images: int
) -> list[Estimate]:
    """Estimate the cost of tagging images.

    The cost may be lower, because an image that was paid for is not sent again.

    :param settings: the settings of the instance.
    :param images: the number of images to tag.
    :return: an estimate for each enabled provider with the setting of a monthly limit.
    """
    calls = quota.read_calls(session, models, instance)
    result = []
    for provider in remote_enabled(settings):
        values = settings[provider.name]
        if "monthly_limit" not in values:
            continue
        limits = quota.Limits.of(instance, values)
        left = limits.left(calls.get(provider.name, quota.Calls()))
        unit = values.get("price")
        price = pricing.estimate(images, unit)
        is_less = unit is not None and pricing.is_below_a_cent(images, unit)
        result.append(Estimate(provider.section.title, images, left, price, is_less))
    return result
