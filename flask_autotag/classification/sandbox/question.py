"""A request to a child process, and the answer, which is read as untrusted data."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...characters import one_line
from ...db.columns import MODEL_LENGTH
from ...errors import (
    ClassifierCrashed,
    ClassifierError,
    ClassifierMemory,
    ImageError,
    ImageTooComplex,
    ImageTooLarge,
    ModelError,
    TaggingError,
    UnreadableImage,
)
from ...providers.base import (
    MOST_LOCAL,
    LocalProvider,
    Prediction,
    SentImage,
    clean_label,
)
from ...settings.machine import Machine
from ...settings.resolution import Settings

#: The errors that a child may report. Any other becomes :class:`.ClassifierError`.
ERRORS: Mapping[str, type[TaggingError]] = {
    error.__name__: error
    for error in (
        ImageError,
        UnreadableImage,
        ImageTooLarge,
        ImageTooComplex,
        ClassifierError,
        ClassifierMemory,
        ModelError,
    )
}
#: The longest processing time in seconds, which is the highest ``AUTOTAG_TIMEOUT``.
_MAX_SECONDS = 3600.0

#: The markers at the start and the end of a JPEG file. Source: ITU-T T.81, B.1.1.3.
_JPEG_START, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"


@dataclass(frozen=True)
class Question:
    """A request to a child: an image and the providers to classify it.

    :param data: the image's file.
    :param providers: the classes of the providers.
    :param settings: the settings of the image's instance.
    :param machine: the configuration of the machine.
    :param reduce_to: pixels of the longer side of the JPEG that the child is to return
        for remote providers; ``None`` for no JPEG.
    :param tenant: the image's instance. A forked child sees the images of one only.
    """

    data: bytes = field(repr=False)
    providers: Sequence[type[LocalProvider]]
    settings: Settings
    machine: Machine
    reduce_to: int | None = None
    tenant: str = ""

    def choices(self) -> list[dict[str, Any]]:
        """Return the name of each provider with its options, or with an error."""
        return [self._choice(provider) for provider in self.providers]

    def _choice(self, provider: type[LocalProvider]) -> dict[str, Any]:
        try:
            values = self.settings[provider.section.name]
            options = provider.options(values, self.machine)
            json.dumps(options)
        except Exception as error:
            # A provider of another package must not cost the others their labels.
            reason = f"{type(error).__name__}: {one_line(str(error), 200)}"
            message = f"The options of {provider.name} raised {reason}"
            return {"name": provider.name, "error": message}
        return {"name": provider.name, "options": options}


@dataclass(frozen=True)
class Answer:
    """A child's answer to a :class:`Question`.

    :param predictions: the predictions of the providers that succeeded.
    :param reduced: the image as a small JPEG, if the question asked for it.
    :param seconds: processing time, measured by the child, because the parent's time
        includes waiting.
    :param failures: the errors of the other providers, by name.
    """

    predictions: Sequence[Prediction]
    reduced: SentImage | None = None
    seconds: float | None = None
    failures: Mapping[str, TaggingError] = field(default_factory=dict)


#: The outcome of a question.
ChildOutcome = Answer | TaggingError


def read_answer(answer: dict[str, Any], data: bytes, question: Question) -> Answer:
    """Check the untrusted answer of a child.

    :param data: the reduced image; empty if the question asked for none.
    :raises TaggingError: the error that the child reported.
    :raises ClassifierCrashed: if the answer is malformed.
    """
    try:
        if "error" in answer:
            raise _read_error(answer)
        names = [provider.name for provider in question.providers]
        outcomes = [
            _read_error(item) if "error" in item else _read_prediction(item, name)
            for item, name in zip(answer["predictions"], names, strict=True)
        ]
        return Answer(
            [each for each in outcomes if isinstance(each, Prediction)],
            _read_reduced(answer, data, question),
            _read_seconds(answer),
            {
                name: each
                for name, each in zip(names, outcomes, strict=True)
                if isinstance(each, TaggingError)
            },
        )
    except (KeyError, OverflowError, TypeError, ValueError):
        raise ClassifierCrashed("The child process gave no usable answer.") from None


def _read_reduced(
    answer: dict[str, Any], data: bytes, question: Question
) -> SentImage | None:
    if question.reduce_to is None:
        if data:
            raise ValueError("an unexpected reduced image")
        return None
    width, height = (_side(side, question.reduce_to) for side in answer["size"])
    if not (data.startswith(_JPEG_START) and data.endswith(_JPEG_END)):
        raise ValueError("not a JPEG")
    return SentImage(data, width, height)


def _side(value: Any, longest: int) -> int:
    if type(value) is not int or not 0 < value <= longest:
        raise ValueError("not a number of pixels")
    return value


def _read_seconds(answer: dict[str, Any]) -> float | None:
    if "seconds" not in answer:
        return None
    seconds = float(answer["seconds"])
    if not 0 <= seconds <= _MAX_SECONDS:
        raise ValueError("not a duration")
    return seconds


def _read_error(item: dict[str, Any]) -> TaggingError:
    error_class = ERRORS.get(one_line(item["error"], 100), ClassifierError)
    return error_class(one_line(item["message"], 500))


def _read_prediction(item: dict[str, Any], provider: str) -> Prediction:
    if item["provider"] != provider:
        raise ValueError("a prediction of another provider")
    labels = tuple(
        clean_label(label_id, name, _confidence(confidence), *part)
        for label_id, name, confidence, *part in item["labels"][:MOST_LOCAL]
    )
    return Prediction(provider, one_line(item["model"], MODEL_LENGTH), labels)


def _confidence(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("a confidence is not a number")
    return min(1.0, max(0.0, number))
