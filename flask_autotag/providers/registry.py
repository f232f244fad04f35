"""Which providers there are, by name."""

from __future__ import annotations

from ..settings import GENERAL, Section, Settings
from .base import LocalProvider
from .tensorflow import TensorFlowProvider

PROVIDERS: tuple[type[LocalProvider], ...] = (TensorFlowProvider,)


def sections() -> tuple[Section, ...]:
    """All sections of settings, the general one first."""
    return (GENERAL, *(provider.section for provider in PROVIDERS))


def enabled(settings: Settings) -> list[type[LocalProvider]]:
    """Give the providers that are turned on."""
    return [
        provider for provider in PROVIDERS if settings[provider.section.name]["enabled"]
    ]


def find(name: str) -> type[LocalProvider]:
    """Give the provider of that name.

    :raises LookupError: if there is none.
    """
    for provider in PROVIDERS:
        if provider.name == name:
            return provider
    raise LookupError(f"There is no provider {name!r}.")
