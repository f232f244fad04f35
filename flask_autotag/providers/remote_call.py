"""Calls a remote provider and checks its response."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import ProviderError, ProviderRefused, TaggingError
from ..settings.secret import Secret
from .base import Label, RemoteProvider, SentImage, clean_label
from .http import Http, confidence
from .redaction import Redactor


def ask(
    provider: type[RemoteProvider],
    images: Sequence[SentImage],
    settings: Mapping[str, Any],
    http: Http,
) -> list[list[Label] | TaggingError]:
    """Send images to a provider in one request.

    No error that is raised or returned, and no label, repeats a key.

    :param images: at most ``provider.together``.
    :param settings: the values of the provider's section, by field.
    :return: for each image, in order, its labels or its own error. A label that
        repeats a key is left out.
    :raises ProviderRefused: if a key was saved for another endpoint; nothing is sent.
    :raises TaggingError: if the whole request failed.
    :raises ValueError: if a label cannot be stored.
    """
    _refuse_other_endpoint(provider, settings)
    redactor = Redactor.of(settings)
    try:
        answers = provider.classify(images, settings, http)
    except TaggingError as error:
        failure = redactor.cleaned(error)
    else:
        if len(answers) == len(images):
            return [_checked(answer, redactor) for answer in answers]
        failure = ProviderError(f"{provider.section.title} gave no usable answer.")
    # Raised outside the handler, so that the provider's error is not its context.
    raise failure


def missing_fields(
    provider: type[RemoteProvider], settings: Mapping[str, Any]
) -> list[str]:
    """Return the labels of the required fields that have no value."""
    return [
        field.label
        for field in provider.section.fields
        if field.required and settings[field.name] is None
    ]


def _refuse_other_endpoint(
    provider: type[RemoteProvider], settings: Mapping[str, Any]
) -> None:
    """Refuse to send a key to an endpoint other than the one it was saved for.

    Resolved settings never hold such a key. This check catches code that changed the
    settings afterwards.
    """
    for field in provider.section.fields:
        key = settings.get(field.name)
        if field.bound_to is None or not isinstance(key, Secret):
            continue
        if key.bound_to != settings[field.bound_to]:
            raise ProviderRefused(
                f"The {field.label} of {provider.section.title} was saved for another"
                " endpoint: enter it again."
            )


def _checked(
    answer: list[Label] | ProviderError, redactor: Redactor
) -> list[Label] | TaggingError:
    if isinstance(answer, TaggingError):
        return redactor.cleaned(answer)
    return [label for label in _storable(answer) if not _repeats(label, redactor)]


def _storable(labels: Iterable[Label]) -> list[Label]:
    """Clean labels so that the database can store them.

    :raises ValueError: if one of them is not a label.
    """
    return [
        clean_label(label.id, label.name, confidence(label.confidence))
        for label in labels
    ]


def _repeats(label: Label, redactor: Redactor) -> bool:
    return redactor.repeats(label.id) or redactor.repeats(label.name)
