"""For tests: checks for the authors of providers, and labels for applications.

The checks raise ``AssertionError`` with a sentence that says what to mend::

    from flask_autotag.providers.http import Http
    from flask_autotag.settings.secret import Secret
    from flask_autotag.testing import check_declaration, check_local, check_remote

    def test_mine_that_classifies_here():
        check_declaration(MyLocalProvider)
        check_local(MyLocalProvider, {"colors": 4})

    def test_mine_that_asks_a_server(url):
        check_declaration(MyRemoteProvider)
        http = Http(frozenset({url}), total=3)
        settings = {"endpoint": url, "api_key": Secret("k")}
        check_remote(MyRemoteProvider, settings, http)

``url`` is that of a server of the test, such as ``http://127.0.0.1:8080``: without a
path, and among those that ``Http`` may connect to though it is private and not
``https``. ``total`` is the seconds that an exchange may take.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import ProviderError, TaggingError
from .models import MODEL_LENGTH
from .providers.base import (
    MOST_BROADER,
    MOST_LABELS,
    Label,
    LocalProvider,
    Machine,
    Provider,
    RemoteProvider,
    SentImage,
)
from .providers.faults import fault
from .providers.http import Http
from .settings.fields import Field, Input
from .stand_ins import fake_labels
from .vocabulary import NAME_LENGTH, tag_name

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "check_declaration",
    "check_failures",
    "check_local",
    "check_remote",
    "fake_labels",
]

T = TypeVar("T")

#: Sizes that trip who cuts or divides: a square, wide, high, and hardly anything.
_SIZES = ((64, 64), (300, 40), (40, 300), (51, 52))
#: What every check meets some day, from a form, a file or ``app.config``.
_NONSENSE: tuple[Any, ...] = ("", "?", -1, None, [])
#: Labels of a local provider that are kept: its own, and broader ones beside them.
_MOST_LOCAL = MOST_LABELS + MOST_BROADER


def check_declaration(provider: type[Provider]) -> None:
    """Check what a provider declares: its name, its section, and each field."""
    wrong = fault(provider)
    _demand(wrong is None, f"{provider.__name__} {wrong}.")
    for field in provider.section.fields:
        _check_field(field)


def check_local(
    provider: LocalProvider | type[LocalProvider],
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Let a provider classify images of several sizes, and check what it says.

    No images must give no answers: ``classify([])`` is ``[]``.

    :param provider: the class, of which an instance is made as it is in the product:
        its ``options`` go through JSON to ``__init__``. Or an instance.
    :param settings: of its section, by field; those left out have their defaults. They
        are for a class alone.
    """
    if not isinstance(provider, LocalProvider):
        provider = _instance(provider, settings or {})
    _check_model(_called("model", lambda: provider.model))
    _check_side(_called("side", lambda: provider.side))
    images = [_image(size) for size in _SIZES]
    answers = _called("classify", provider.classify, images)
    _check_answers(answers, len(images), _MOST_LOCAL)
    nothing = _called("classify([])", provider.classify, [])
    _demand(nothing == [], "no images must give no answers")


def check_remote(
    provider: type[RemoteProvider], settings: Mapping[str, Any], http: Http
) -> None:
    """Let a provider classify images at its server, and check what it says.

    :param settings: of its section, by field; secrets as
        :class:`~flask_autotag.settings.secret.Secret`. Those left out have their
        defaults.
    :param http: may connect to the server.
    """
    together = provider.together
    _demand(_is_whole(together), f"together is a number of images, not {together!r}")
    _demand(together >= 1, "together must be a number of images")
    _check_side(provider.side)
    values = _filled(provider, settings)
    _check_model(_called("model", provider.model, values))
    for number in {1, together}:
        images = [_sent(_SIZES[place % len(_SIZES)]) for place in range(number)]
        answers = _called("classify", provider.classify, images, values, http)
        _check_answers(answers, number, MOST_LABELS)


def check_failures(
    provider: type[RemoteProvider], settings: Mapping[str, Any], http: Http, key: str
) -> None:
    """Check what becomes of a server that fails: it raises, and tells no secret.

    :param settings: as in :func:`check_remote`.
    :param http: leads to a server that answers with an error, or with nonsense.
    :param key: the secret among *settings*.
    """
    values = _filled(provider, settings)
    try:
        answers = provider.classify([_sent(_SIZES[0])], values, http)
    except TaggingError as error:
        _demand(key not in str(error), "the message holds the key")
        return
    except Exception as error:
        raise AssertionError(
            f"{type(error).__name__} was raised; a provider raises ProviderError,"
            " ProviderRefused, ProviderRejected or ProviderBusy."
        ) from error
    _check_number(answers, 1)
    failed = isinstance(answers[0], ProviderError)
    _demand(failed, "a failure must be raised, or be the image's answer")
    _demand(key not in str(answers[0]), "the message holds the key")


def _check_field(field: Field) -> None:
    about = f"the field {field.name!r}"
    _demand(_is_text(field.label), f"{about} needs a label")
    sentence = _is_text(field.help) and field.help.endswith(".")
    _demand(sentence, f"{about} needs a help that is a sentence")
    if field.is_secret:
        _demand(
            field.default is None, f"{about} is a secret and needs the default None"
        )
    _check_check(field, about)
    _check_choices(field, about)


def _check_check(field: Field, about: str) -> None:
    """See that a field's check knows its default, and says no in the right way."""
    _demand(
        field.default is None or field.check(field.default) == field.default,
        f"{about} has a default of which its own check makes something else",
    )
    for value in _NONSENSE:
        try:
            field.check(value)
        except ValueError:
            continue
        except Exception as error:
            raise AssertionError(
                f"{about} has a check that raised {_words(error)}, for {value!r}; a"
                " check returns the value or raises ValueError"
            ) from error


def _check_choices(field: Field, about: str) -> None:
    if field.input is Input.CHOICE:
        _demand(field.choices is not None, f"{about} needs choices")
    if field.choices is None:
        return
    there = _called(f"{about}: choices", field.choices, None)
    _demand(
        field.default is None or field.default in there,
        f"{about} has a default that is not among its choices",
    )


def _filled(provider: type[Provider], settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add the defaults of what is not among *settings*."""
    section = getattr(provider, "section", None)
    if section is None:
        return settings
    defaults = {field.name: field.default for field in section.fields}
    for name in settings:
        _demand(name in defaults, f"there is no field {name!r} for the settings")
    return {**defaults, **settings}


def _instance(
    provider: type[LocalProvider], settings: Mapping[str, Any]
) -> LocalProvider:
    """Make an instance as the product does."""
    values, machine = _filled(provider, settings), Machine()
    options = _called("options", provider.options, values, machine)
    _demand(isinstance(options, dict), f"options is a dict, not {options!r:.80}")
    try:
        sent = json.loads(json.dumps(options))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"options must be JSON: {error}") from error
    made = _called(f"{provider.__name__}(**options)", lambda: provider(**sent))
    said = _called("current_model", provider.current_model, values, machine)
    model = _called("model", lambda: made.model)
    _demand(
        said is None or said == model,
        f"current_model says {said!r}, and model says {model!r}",
    )
    return made


def _check_model(model: Any) -> None:
    _demand(isinstance(model, str), f"model is a text, not {model!r:.80}")
    _demand(bool(model.strip()), "model must name the model and its version")
    _demand(
        len(model) <= MODEL_LENGTH,
        f"model has {len(model)} characters, of which {MODEL_LENGTH} are kept",
    )


def _check_side(side: Any) -> None:
    _demand(_is_whole(side), f"side is a whole number of pixels, not {side!r:.80}")
    _demand(side >= 1, "side must be a number of pixels")


def _check_number(answers: Any, number: int) -> None:
    _demand(isinstance(answers, list), f"classify gives a list, not {answers!r:.80}")
    _demand(
        len(answers) == number,
        f"{number} images must give as many answers, in order, not {len(answers)}",
    )


def _check_answers(answers: Any, number: int, most: int) -> None:
    _check_number(answers, number)
    for answer in answers:
        if not isinstance(answer, ProviderError):
            _check_answer(answer, most)


def _check_answer(answer: Any, most: int) -> None:
    _demand(isinstance(answer, list), "an answer is a list of Labels")
    for label in answer:
        _check_label(label)
    sure = [label.confidence for label in answer]
    _demand(sure == sorted(sure, reverse=True), "labels come surest first")
    _demand(
        len(answer) <= most,
        f"an answer has {len(answer)} labels, and at most {most} are of use:"
        " surest() picks them",
    )


def _check_label(label: Any) -> None:
    _demand(isinstance(label, Label), "an answer is a list of Labels")
    number = label.confidence
    fine = isinstance(number, float) and math.isfinite(number) and 0 <= number <= 1
    _demand(fine, f"a confidence is a float from 0 to 1, not {number!r}")
    for value in (label.id, label.name):
        _demand(isinstance(value, str), f"an id and a name are texts, not {value!r}")
    _demand(bool(label.id and label.name), "a label needs an id and a name")
    _demand(
        len(label.id) <= NAME_LENGTH,
        f"the id {label.id!r:.40}… has {len(label.id)} characters, of which"
        f" {NAME_LENGTH} are kept",
    )
    try:
        tag_name(label.name)
    except ValueError as error:
        raise AssertionError(
            f"the label {label.id!r} would never be a tag: {error}"
        ) from error


def _image(size: tuple[int, int]) -> Image:
    from PIL import Image

    gradient = Image.linear_gradient("L").resize(size)
    return Image.merge("RGB", (gradient, gradient.rotate(180), gradient))


def _sent(size: tuple[int, int]) -> SentImage:
    file = io.BytesIO()
    _image(size).save(file, "JPEG")
    return SentImage(file.getvalue(), *size)


def _called(what: str, work: Callable[..., T], *arguments: Any) -> T:
    """Call what the author wrote; what it raises is a fault."""
    try:
        return work(*arguments)
    except Exception as error:
        raise AssertionError(f"{what} raised {_words(error)}") from error


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _demand(holds: bool, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)
