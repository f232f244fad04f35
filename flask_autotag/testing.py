"""Checks for the authors of providers.

They raise ``AssertionError`` with a sentence that says what to mend::

    from flask_autotag.testing import check_declaration, check_remote

    def test_it_is_a_provider():
        check_declaration(MyProvider)
        check_remote(MyProvider, {"endpoint": url, "api_key": Secret("k"), ...}, http)
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .errors import ProviderError, TaggingError
from .providers.base import Label, LocalProvider, Provider, RemoteProvider, SentImage
from .providers.http import Http
from .providers.registry import fault
from .settings.fields import Field, Input

if TYPE_CHECKING:
    from PIL.Image import Image

#: Sizes that trip who cuts or divides: a square, wide, high, and hardly anything.
_SIZES = ((64, 64), (300, 40), (40, 300), (51, 52))


def check_declaration(provider: type[Provider]) -> None:
    """Check what a provider declares: its name, its section, and each field."""
    wrong = fault(provider)
    _demand(wrong is None, f"{provider.__name__} {wrong}.")
    names = [field.name for field in provider.section.fields]
    _demand(len(set(names)) == len(names), "two fields have the same name")
    for field in provider.section.fields:
        _check_field(field, names)


def check_local(provider: LocalProvider) -> None:
    """Let a provider classify images of several sizes, and check what it says."""
    _demand(bool(provider.model.strip()), "model must name the model and its version")
    _demand(provider.side >= 1, "side must be a number of pixels")
    images = [_image(size) for size in _SIZES]
    _check_answers(provider.classify(images), len(images))
    _demand(provider.classify([]) == [], "no images must give no answers")


def check_remote(
    provider: type[RemoteProvider], settings: Mapping[str, Any], http: Http
) -> None:
    """Let a provider classify images at its server, and check what it says.

    :param settings: of its section, by field; secrets as
        :class:`~flask_autotag.settings.secret.Secret`.
    """
    _demand(provider.together >= 1, "together must be a number of images")
    _demand(bool(provider.model(settings).strip()), "model must name the model")
    for number in {1, provider.together}:
        images = [_sent(_SIZES[place % len(_SIZES)]) for place in range(number)]
        _check_answers(provider.classify(images, settings, http), number)


def check_failures(
    provider: type[RemoteProvider], settings: Mapping[str, Any], http: Http, key: str
) -> None:
    """Check what becomes of a server that fails: it raises, and tells no secret.

    :param http: leads to a server that answers with an error, or with nonsense.
    :param key: the secret among *settings*.
    """
    try:
        answers = provider.classify([_sent(_SIZES[0])], settings, http)
    except TaggingError as error:
        _demand(key not in str(error), "the message holds the key")
        return
    except Exception as error:
        raise AssertionError(
            f"{type(error).__name__} was raised; a provider raises ProviderError,"
            " ProviderRefused, ProviderRejected or ProviderBusy."
        ) from error
    _demand(
        len(answers) == 1 and isinstance(answers[0], ProviderError),
        "a failure must be raised, or be the image's answer",
    )


def _check_field(field: Field, names: Iterable[str]) -> None:
    about = f"the field {field.name!r}"
    _demand(bool(field.label), f"{about} needs a label")
    _demand(field.help.endswith("."), f"{about} needs a help that is a sentence")
    if field.is_secret:
        _demand(
            field.default is None, f"{about} is a secret and needs the default None"
        )
    if field.default is not None:
        _demand(
            field.check(field.default) == field.default,
            f"{about} has a default that its own check does not accept",
        )
    if field.input is Input.CHOICE:
        _demand(field.choices is not None, f"{about} needs choices")
    if field.bound_to is not None:
        _demand(
            field.bound_to in names, f"{about} is bound to a field that is not there"
        )


def _check_answers(answers: Sequence[Any], number: int) -> None:
    _demand(
        len(answers) == number, f"{number} images must give as many answers, in order"
    )
    for answer in answers:
        if isinstance(answer, ProviderError):
            continue
        _demand(isinstance(answer, list), "an answer is a list of Labels")
        for label in answer:
            _check_label(label)
        sure = [label.confidence for label in answer]
        _demand(sure == sorted(sure, reverse=True), "labels come surest first")


def _check_label(label: Any) -> None:
    _demand(isinstance(label, Label), "an answer is a list of Labels")
    number = label.confidence
    fine = isinstance(number, float) and math.isfinite(number) and 0 <= number <= 1
    _demand(fine, f"a confidence is a float from 0 to 1, not {number!r}")
    _demand(bool(label.id and label.name), "a label needs an id and a name")


def _image(size: tuple[int, int]) -> Image:
    from PIL import Image

    gradient = Image.linear_gradient("L").resize(size)
    return Image.merge("RGB", (gradient, gradient.rotate(180), gradient))


def _sent(size: tuple[int, int]) -> SentImage:
    file = io.BytesIO()
    _image(size).save(file, "JPEG")
    return SentImage(file.getvalue(), *size)


def _demand(holds: bool, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)
