"""Labels without a model and without a child process, for tests of applications."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .errors import ClassifierError, ConfigurationError, TaggingError
from .images import decode, reduced, to_jpeg
from .providers.base import Label, Prediction, SentImage, heard, surest
from .providers.http import confidence
from .sandbox.pool import Answer, Outcome, Pool, Question, Slot
from .state import State

if TYPE_CHECKING:
    from flask import Flask

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

    Neither a model nor a child process is needed. All else is real: the image is
    decoded, and thresholds, words and settings decide what becomes a tag. Providers
    elsewhere are asked as ever. It holds for this process alone, so the application
    wants ``AUTOTAG_RUNNER = "inline"`` or ``tag_now``.

    :param app: the application, with the extension in it.
    :param labels: names with confidences from 0 to 1; or a function that gets the
        file of an image as bytes and gives these. What it raises becomes the image's
        failure: a :exc:`TaggingError` as it is, anything else as
        :exc:`ClassifierError`.
    :raises ConfigurationError: if the application has no ``AutoTag``.
    :raises ValueError: if a name is no text or a confidence is none.
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


#: Gets the file of an image.
_Finder = Callable[[bytes], list[Label]]


def _finder(labels: Labels | Callable[[bytes], Labels]) -> _Finder:
    if callable(labels):
        return lambda data: _made(labels(data))
    always = _made(labels)
    return lambda _data: always


def _made(labels: Labels) -> list[Label]:
    return surest(
        [heard(name, name, confidence(number)) for name, number in labels.items()]
    )


class _FakePool(Pool):
    """Has no children: each image is answered in the thread that asks."""

    def __init__(self, find: _Finder) -> None:
        super().__init__(size=1, timeout=0.0, memory_limit=0)
        self._find = find

    @contextmanager
    def slot(self) -> Iterator[Slot]:
        """Give a slot at once, for the block."""
        yield _FakeSlot(self._find)


class _FakeSlot(Slot):
    """Answers without a child."""

    def __init__(self, find: _Finder) -> None:
        super().__init__(timeout=0.0, memory_limit=0)
        self._find = find

    def classify(self, questions: Iterable[Question]) -> Iterator[Outcome]:
        """Answer one question after the other."""
        return map(self._outcome, questions)

    def _outcome(self, question: Question) -> Outcome:
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
