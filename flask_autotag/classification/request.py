"""The request to classify an image, and the result in the form that is stored."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import TaggingError, TaggingOff
from ..providers.base import Prediction
from ..providers.registry import local_enabled, remote_enabled
from ..settings.machine import Machine
from ..settings.resolution import Settings
from .sandbox.question import Answer, Question


@dataclass(frozen=True)
class Classified:
    """The outcome of classifying one image.

    :param sha256: the SHA-256 of the image's file.
    :param predictions: the predictions of the providers that succeeded.
    :param failures: the errors of the other providers, by name.
    """

    sha256: str
    predictions: Sequence[Prediction]
    failures: Mapping[str, TaggingError] = field(default_factory=dict)


def question(
    data: bytes, settings: Settings, machine: Machine, tenant: str = ""
) -> Question:
    """Return the request to a child for one image and the enabled providers.

    :param tenant: the instance of the image; needed if a slot gets several images.
    :raises TaggingOff: if auto tagging is off, or no provider is enabled.
    """
    local, remote = local_enabled(settings), remote_enabled(settings)
    if not settings.enabled or not (local or remote):
        raise TaggingOff("Auto tagging is turned off.")
    longest = max((provider.side for provider in remote), default=None)
    return Question(data, local, settings, machine, longest, tenant)


def classified(request: Question, answer: Answer) -> Classified:
    """Convert a child's answer to the form that is stored."""
    sha256 = hashlib.sha256(request.data).hexdigest()
    return Classified(sha256, answer.predictions, answer.failures)
