"""Which providers there are: those of the package, and those of others."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from ..errors import ConfigurationError
from ..settings.fields import GENERAL, Section
from ..settings.resolution import Settings
from .azure_vision import AzureVisionProvider
from .base import LocalProvider, Provider, RemoteProvider
from .endpoints import Endpoint
from .faults import fault
from .google_vision import GoogleVisionProvider
from .tensorflow import TensorFlowProvider

#: In which packages announce their providers.
GROUP = "flask_autotag.providers"

BUNDLED: tuple[type[Provider], ...] = (
    TensorFlowProvider,
    GoogleVisionProvider,
    AzureVisionProvider,
)


@cache
def providers() -> tuple[type[Provider], ...]:
    """Give all providers; what is installed does not change while a process runs.

    :raises ConfigurationError: if one that a package announces cannot be used.
    """
    found = list(BUNDLED)
    for entry in entry_points(group=GROUP):
        provider = _load(entry)
        if any(provider.name == other.name for other in found):
            raise ConfigurationError(
                f"The provider {entry.value} has the name {provider.name!r} of"
                " another one."
            )
        found.append(provider)
    return tuple(found)


def sections(allowed: frozenset[str] = frozenset()) -> tuple[Section, ...]:
    """All sections of settings, the general one first.

    :param allowed: origins that endpoints may have, beside those of the vendors.
    """
    return (GENERAL, *(_allowing(one.section, allowed) for one in providers()))


def _allowing(section: Section, allowed: frozenset[str]) -> Section:
    if not allowed:
        return section
    return replace(
        section,
        fields=tuple(
            replace(field, check=field.check.allowing(allowed))
            if isinstance(field.check, Endpoint)
            else field
            for field in section.fields
        ),
    )


def enabled(settings: Settings) -> list[type[Provider]]:
    """Give the providers that are turned on."""
    return [provider for provider in providers() if is_enabled(settings, provider.name)]


def enabled_here(settings: Settings) -> list[type[LocalProvider]]:
    """Give those of them that classify on this machine."""
    return [one for one in enabled(settings) if issubclass(one, LocalProvider)]


def enabled_elsewhere(settings: Settings) -> list[type[RemoteProvider]]:
    """Give those of them that are asked over the network."""
    return [one for one in enabled(settings) if issubclass(one, RemoteProvider)]


def elsewhere() -> list[type[RemoteProvider]]:
    """Give all that are asked over the network, turned on or not."""
    return [one for one in providers() if issubclass(one, RemoteProvider)]


def is_enabled(settings: Settings, provider: str) -> bool:
    """Whether a provider is there and turned on."""
    return bool(settings.values.get(provider, {}).get("enabled"))


def find(name: str) -> type[LocalProvider]:
    """Give the local provider of that name.

    :raises LookupError: if there is none.
    """
    # Without a search for the packages of others, which would delay each child.
    for found in (BUNDLED, providers):
        for provider in found() if callable(found) else found:
            if provider.name == name and issubclass(provider, LocalProvider):
                return provider
    raise LookupError(f"There is no provider {name!r}.")


def _load(entry: EntryPoint) -> type[Provider]:
    try:
        provider = entry.load()
    except Exception as error:
        raise ConfigurationError(
            f"The provider {entry.value} cannot be imported"
            f" ({type(error).__name__}: {error}): mend or remove its package."
        ) from error
    if not (isinstance(provider, type) and issubclass(provider, Provider)):
        raise ConfigurationError(
            f"The entry point {entry.value} is no subclass of Provider."
        )
    wrong = fault(provider)
    if wrong is not None:
        raise ConfigurationError(f"The provider {entry.value} {wrong}.")
    return provider
