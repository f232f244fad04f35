"""For tests: checks for the authors of providers, and labels for applications.

Each check raises ``AssertionError`` with a sentence that names the fault::

    from flask_autotag.providers.http import Http
    from flask_autotag.settings.secret import Secret
    from flask_autotag.testing import check_declaration, check_local, check_remote

    def test_my_local_provider():
        check_declaration(MyLocalProvider)
        check_local(MyLocalProvider, {"colors": 4})

    def test_my_remote_provider(url):
        check_declaration(MyRemoteProvider)
        http = Http(frozenset({url}), total=3)
        settings = {"endpoint": url, "api_key": Secret("k")}
        check_remote(MyRemoteProvider, settings, http)

``url`` is the origin of a test server, such as ``http://127.0.0.1:8080``. ``Http``
takes the origins that it may connect to although they are private or not ``https``,
and ``total``, the seconds that one exchange may take.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from .classification.decode import decode, reduced, to_jpeg
from .classification.sandbox.pool import Pool, Slot
from .classification.sandbox.question import Answer, ChildOutcome, Question
from .db.columns import MODEL_LENGTH
from .errors import (
    ClassifierError,
    ConfigurationError,
    ProviderError,
    TaggingError,
)
from .host.assets import NAME_LENGTH
from .providers.base import (
    MOST_LABELS,
    MOST_LOCAL,
    Label,
    LocalProvider,
    Prediction,
    Provider,
    RemoteProvider,
    SentImage,
    clean_label,
    surest,
)
from .providers.declaration import find_fault
from .providers.http import Http, confidence
from .runtime.state import State
from .settings.fields import Field, Input
from .settings.machine import Machine
from .settings.tag_names import tag_name

if TYPE_CHECKING:
    from flask import Flask
    from PIL.Image import Image

__all__ = [
    "check_declaration",
    "check_failures",
    "check_local",
    "check_remote",
    "fake_labels",
]

T = TypeVar("T")

#: Sizes that reveal wrong crops and divisions: square, wide, high, odd.
_SIZES = ((64, 64), (300, 40), (40, 300), (51, 52))
#: Values that a form, a file or ``app.config`` may hold.
_NONSENSE: tuple[Any, ...] = ("", "?", -1, None, [])


def check_declaration(provider: type[Provider]) -> None:
    """Check a provider's declaration: its name, its section, and each field."""
    wrong = find_fault(provider)
    _demand(wrong is None, f"{provider.__name__} {wrong}.")
    for field in provider.section.fields:
        _check_field(field)


def check_local(
    provider: LocalProvider | type[LocalProvider],
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Let a provider classify images of several sizes, and check its answers.

    ``classify([])`` must return ``[]``.

    :param provider: an instance; or a class, whose instance is made as in the product:
        its ``options`` go through JSON to ``__init__``.
    :param settings: of its section, by field, with defaults for the others; only for
        a class.
    """
    if not isinstance(provider, LocalProvider):
        provider = _instance(provider, settings or {})
    _check_model(_called("model", lambda: provider.model))
    _check_side(_called("side", lambda: provider.side))
    images = [_image(size) for size in _SIZES]
    answers = _called("classify", provider.classify, images)
    _check_answers(answers, len(images), MOST_LOCAL)
    nothing = _called("classify([])", provider.classify, [])
    _demand(nothing == [], "classify([]) must return []")


def check_remote(
    provider: type[RemoteProvider], settings: Mapping[str, Any], http: Http
) -> None:
    """Let a provider classify images at its server, and check its answers.

    :param settings: of its section, by field; secrets as
        :class:`~flask_autotag.settings.secret.Secret`; with defaults for the others.
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
    """Check that a provider raises if its server fails, and reveals no secret.

    :param settings: as in :func:`check_remote`.
    :param http: may connect to a server that answers with an error, or nonsense.
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
    """Check that a field's check accepts its default and refuses with ValueError."""
    _demand(
        field.default is None or field.check(field.default) == field.default,
        f"{about} has a default that its own check changes",
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
    choices = _called(f"{about}: choices", field.choices, None)
    _demand(
        field.default is None or field.default in choices,
        f"{about} has a default that is not among its choices",
    )


def _filled(provider: type[Provider], settings: Mapping[str, Any]) -> Mapping[str, Any]:
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
    """Return an instance that is made as in the product."""
    values, machine = _filled(provider, settings), Machine()
    options = _called("options", provider.options, values, machine)
    _demand(isinstance(options, dict), f"options is a dict, not {options!r:.80}")
    try:
        sent = json.loads(json.dumps(options))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"options must be JSON: {error}") from error
    instance = _called(f"{provider.__name__}(**options)", lambda: provider(**sent))
    current = _called("current_model", provider.current_model, values, machine)
    model = _called("model", lambda: instance.model)
    _demand(
        current is None or current == model,
        f"current_model returns {current!r}, but model is {model!r}",
    )
    return instance


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
    _demand(
        isinstance(answers, list), f"classify must return a list, not {answers!r:.80}"
    )
    _demand(
        len(answers) == number,
        f"{number} images need as many answers, in order, not {len(answers)}",
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
    _demand(
        sure == sorted(sure, reverse=True),
        "labels must be sorted by confidence, highest first",
    )
    _demand(
        len(answer) <= most,
        f"an answer has {len(answer)} labels, and at most {most} are kept:"
        " surest() selects them",
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
    """Call the author's code; an exception is a fault."""
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


#: Names with their confidences.
Labels = Mapping[str, float]


#: The model that tags are stored with.
MODEL = "fake_labels"


@contextmanager
def fake_labels(
    app: Flask, labels: Labels | Callable[[bytes], Labels]
) -> Iterator[None]:
    """Let the enabled local providers of an application answer with labels of a test.

    ::

        with fake_labels(app, {"dog": 0.9, "grass": 0.4}):
            client.post("/photos", data={"photo": file})

    Neither a model nor a child process is needed. Everything else is real: the image
    is decoded, and thresholds, words and settings decide which labels become tags.
    Remote providers are still called. The labels hold for this process only: use
    ``AUTOTAG_RUNNER = "inline"`` or ``tag_now``.

    :param app: the application, with the extension in it.
    :param labels: names with confidences from 0 to 1; or a function that takes the
        bytes of an image's file and returns them. An exception of the function becomes
        the image's failure: a :exc:`TaggingError` as it is, any other as
        :exc:`ClassifierError`.
    :raises ConfigurationError: if the application has no ``AutoTag``.
    :raises ValueError: if a name is no text, or a confidence not from 0 to 1.
    """
    state, stand_in = _state_of(app), _FakePool(_finder(labels))
    state.stand_ins.append(stand_in)
    try:
        yield
    finally:
        state.stand_ins.remove(stand_in)


def _state_of(app: Flask) -> State:
    if "autotag" not in app.extensions:
        raise ConfigurationError(
            f"AutoTag was not initialised for the application {app.name!r}. Did you"
            " forget to call init_app?"
        )
    state: State = app.extensions["autotag"].state_of(app)
    return state


#: Takes the bytes of an image's file.
_Finder = Callable[[bytes], list[Label]]


def _finder(labels: Labels | Callable[[bytes], Labels]) -> _Finder:
    if callable(labels):
        return lambda data: _sorted(labels(data))
    always = _sorted(labels)
    return lambda _data: always


def _sorted(labels: Labels) -> list[Label]:
    return surest(
        [clean_label(name, name, confidence(number)) for name, number in labels.items()]
    )


class _FakePool(Pool):
    """A pool without children: it answers in the calling thread."""

    def __init__(self, find: _Finder) -> None:
        super().__init__(size=1, timeout=0.0, memory_limit=0)
        self._find = find

    @contextmanager
    def slot(self, wait: float | None = None) -> Iterator[Slot]:
        """Yield a slot at once, for the block."""
        yield _FakeSlot(self._find)


class _FakeSlot(Slot):
    """A slot without a child."""

    def __init__(self, find: _Finder) -> None:
        super().__init__(timeout=0.0, memory_limit=0)
        self._find = find

    def classify(self, questions: Iterable[Question]) -> Iterator[ChildOutcome]:
        """Answer one question after the other."""
        return map(self._outcome, questions)

    def _outcome(self, question: Question) -> ChildOutcome:
        try:
            return _answer(question, self._find)
        except TaggingError as error:
            return error
        except Exception as error:
            return ClassifierError(
                f"The function of fake_labels raised {type(error).__name__}: {error}"
            )


def _answer(question: Question, find: _Finder) -> Answer:
    longest = question.reduce_to or 0
    image = decode(question.data, max(longest, 1))
    predictions = [
        Prediction(provider.name, MODEL, tuple(find(question.data)))
        for provider in question.providers
    ]
    if not longest:
        return Answer(predictions)
    small = reduced(image, longest)
    return Answer(predictions, SentImage(to_jpeg(small), *small.size))
