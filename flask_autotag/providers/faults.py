"""What is wrong with what a provider declares, told before anything uses it."""

from __future__ import annotations

from collections import Counter
from inspect import isabstract

from ..settings.fields import Field, Section
from .base import LocalProvider, Provider, RemoteProvider

#: What pages, storage and rules read of every provider.
_NEEDED = {"enabled", "confidence_threshold"}


def fault(provider: type[Provider]) -> str | None:
    """Say what is wrong with a provider, in words that go on after its name.

    :return: the first thing that is; ``None`` for nothing.
    """
    return _fault_of_class(provider) or _fault_of_section(provider.section)


def _fault_of_class(provider: type[Provider]) -> str | None:
    name, section = (getattr(provider, one, None) for one in ("name", "section"))
    if not isinstance(name, str) or not name.isidentifier() or name.lower() != name:
        return "needs a name of lower-case letters, digits and underscores"
    if not isinstance(section, Section) or section.name != name:
        return "needs a section of its own name"
    if not issubclass(provider, (LocalProvider, RemoteProvider)):
        return "has to be a LocalProvider or a RemoteProvider"
    if isabstract(provider):
        missing = ", ".join(sorted(provider.__abstractmethods__))
        return f"does not define what it has to: {missing}"
    return None


def _fault_of_section(section: Section) -> str | None:
    names = Counter(field.name for field in section.fields)
    if not names.keys() >= _NEEDED:
        return "needs the fields 'enabled' and 'confidence_threshold'"
    for field in section.fields:
        wrong = _fault_of_field(field, names)
        if wrong is not None:
            return f"has a field {field.name!r} {wrong}"
    return None


def _fault_of_field(field: Field, names: Counter[str]) -> str | None:
    if names[field.name] > 1:
        return "twice"
    if field.bound_to is not None and field.bound_to not in names:
        return f"that is bound to {field.bound_to!r}, which is no field"
    try:
        _ = field.default is None or field.check(field.default)
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        return f"whose check refuses its default ({said})"
    return None
