"""The installed providers: bundled ones and those of other packages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from ..errors import ConfigurationError
from ..settings.fields import GENERAL, Section
from ..settings.resolution import Settings
from .azure_vision import AzureVisionProvider
from .base import LocalProvider, Provider, RemoteProvider
from .declaration import find_fault
from .endpoints import Endpoint
from .google_vision import GoogleVisionProvider
from .startup import GROUP
from .tensorflow.provider import TensorFlowProvider

BUNDLED: tuple[type[Provider], ...] = (
    TensorFlowProvider,
    GoogleVisionProvider,
    AzureVisionProvider,
)


@cache
def providers() -> tuple[type[Provider], ...]:
    """Return all providers, bundled ones first; searched for once a process.

    :raises ConfigurationError: if a provider of another package cannot be used.
    """
    found = list(BUNDLED)
    for entry in entry_points(group=GROUP):
        provider = _load(entry)
        if any(provider.name == other.name for other in found):
            raise ConfigurationError(
                f"The provider {entry.value} has the name {provider.name!r} of"
                " another provider."
            )
        found.append(provider)
    return tuple(found)


def sections(allowed: frozenset[str] = frozenset()) -> tuple[Section, ...]:
    """Return all sections of settings, the general one first.

    :param allowed: origins that endpoints may have in addition to the vendors' own.
    """
    return (GENERAL, *(_allowing(each.section, allowed) for each in providers()))


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
    """Return the providers that are turned on."""
    return [provider for provider in providers() if is_enabled(settings, provider.name)]


def local_enabled(settings: Settings) -> list[type[LocalProvider]]:
    """Return the local providers that are turned on."""
    return [each for each in enabled(settings) if issubclass(each, LocalProvider)]


def remote_enabled(settings: Settings) -> list[type[RemoteProvider]]:
    """Return the remote providers that are turned on."""
    return [each for each in enabled(settings) if issubclass(each, RemoteProvider)]


def remote_providers() -> list[type[RemoteProvider]]:
    """Return all remote providers, turned on or not."""
    return [each for each in providers() if issubclass(each, RemoteProvider)]


def is_enabled(settings: Settings, provider: str) -> bool:
    """Return whether a provider is installed and turned on."""
    return bool(settings.values.get(provider, {}).get("enabled"))


def find(name: str) -> type[LocalProvider]:
    """Return the local provider with a name.

    :raises LookupError: if there is none.
    """
    # Search the bundled ones first: reading entry points delays each child.
    provider = _find_local(BUNDLED, name) or _find_local(providers(), name)
    if provider is None:
        raise LookupError(f"There is no provider {name!r}.")
    return provider


def _find_local(
    candidates: Sequence[type[Provider]], name: str
) -> type[LocalProvider] | None:
    for each in candidates:
        if each.name == name and issubclass(each, LocalProvider):
            return each
    return None


def _load(entry: EntryPoint) -> type[Provider]:
    try:
        provider = entry.load()
    except Exception as error:
        raise ConfigurationError(
            f"The provider {entry.value} cannot be imported"
            f" ({type(error).__name__}: {error}): fix or remove its package."
        ) from error
    if not (isinstance(provider, type) and issubclass(provider, Provider)):
        raise ConfigurationError(
            f"The entry point {entry.value} is not a subclass of Provider."
        )
    problem = find_fault(provider)
    if problem is not None:
        raise ConfigurationError(f"The provider {entry.value} {problem}.")
    return provider
