"""Checks the declaration of a provider class before anything uses it."""

from __future__ import annotations

from collections import Counter
from inspect import isabstract

from ..settings.fields import Field, Section
from .base import LocalProvider, Provider, RemoteProvider

#: Fields that pages, storage and rules read from every provider.
_NEEDED = {"enabled", "confidence_threshold"}


def find_fault(provider: type[Provider]) -> str | None:
    """Find the first fault in the declaration of a provider.

    :return: the rest of a sentence that begins with the provider's name; ``None``
        without a fault.
    """
    return _fault_of_class(provider) or _fault_of_section(provider.section)


def _fault_of_class(provider: type[Provider]) -> str | None:
    name, section = (
        getattr(provider, attribute, None) for attribute in ("name", "section")
    )
    if not isinstance(name, str) or not name.isidentifier() or name.lower() != name:
        return "needs a name of lower-case letters, digits and underscores"
    if not isinstance(section, Section) or section.name != name:
        return "needs a section with the same name"
    if not issubclass(provider, (LocalProvider, RemoteProvider)):
        return "has to be a LocalProvider or a RemoteProvider"
    if isabstract(provider):
        missing = ", ".join(sorted(provider.__abstractmethods__))
        return f"does not define all abstract members: {missing}"
    return None


def _fault_of_section(section: Section) -> str | None:
    names = Counter(field.name for field in section.fields)
    if not names.keys() >= _NEEDED:
        return "needs the fields 'enabled' and 'confidence_threshold'"
    for field in section.fields:
        problem = _fault_of_field(field, names)
        if problem is not None:
            return f"has a field {field.name!r} {problem}"
    return None


def _fault_of_field(field: Field, names: Counter[str]) -> str | None:
    if names[field.name] > 1:
        return "twice"
    if field.bound_to is not None and field.bound_to not in names:
        return f"that is bound to {field.bound_to!r}, which is not a field"
    try:
        _ = field.default is None or field.check(field.default)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        return f"whose check refuses its default ({reason})"
    return None
