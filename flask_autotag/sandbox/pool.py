"""The children of one process of the host."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import errors
from ..errors import ClassifierCrashed, ClassifierError, TaggingError
from ..models import MODEL_LENGTH
from ..providers.base import (
    MOST_BROADER,
    MOST_LABELS,
    LocalProvider,
    Machine,
    Prediction,
    SentImage,
    heard,
    one_line,
)
from ..settings.resolution import Settings
from .process import ChildProcess

#: Images after which a child is replaced, should a decoder leak.
IMAGES_PER_CHILD = 500
#: Images that a child has at a time: one at work, and the next, so that it need not
#: wait for its parent.
AHEAD = 2


@dataclass(frozen=True)
class Question:
    """What a child is asked: an image, and who is to classify it.

    :param data: the image's file.
    :param providers: the classes of the providers.
    :param settings: of the image's instance.
    :param machine: where it is asked.
    :param reduce_to: pixels of the longer side of the JPEG that the child is to give
        back too, for providers elsewhere; ``None`` for none.
    """

    data: bytes = field(repr=False)
    providers: Sequence[type[LocalProvider]]
    settings: Settings
    machine: Machine
    reduce_to: int | None = None

    def message(self) -> dict[str, Any]:
        """Make the JSON part of the request."""
        return {
            "providers": [self._choice(provider) for provider in self.providers],
            "reduce_to": self.reduce_to,
        }

    def _choice(self, provider: type[LocalProvider]) -> dict[str, Any]:
        """Say which provider to ask, or why it cannot be."""
        try:
            values = self.settings[provider.section.name]
            options = provider.options(values, self.machine)
            json.dumps(options)
        except Exception as error:
            # It may be of others, and must not cost the rest their labels.
            raised = f"{type(error).__name__}: {one_line(str(error), 200)}"
            fault = f"The options of {provider.name} raised {raised}"
            return {"name": provider.name, "error": fault}
        return {"name": provider.name, "options": options}


@dataclass(frozen=True)
class Answer:
    """What a child said of an image.

    :param predictions: one of each provider that answered.
    :param failures: why the others did not, by name.
    :param reduced: the image as a small JPEG, if that was asked for.
    :param seconds: that the child worked on it, for it alone knows: others wait for
        it before, and it waits for them afterwards.
    """

    predictions: Sequence[Prediction]
    reduced: SentImage | None = None
    seconds: float | None = None
    failures: Mapping[str, TaggingError] = field(default_factory=dict)


#: Seconds of the longest ``AUTOTAG_TIMEOUT``: no child works on one image for longer.
_LONGEST = 3600.0

#: What came of a question.
Outcome = Answer | TaggingError


class Interrupted(Exception):
    """Another thread ended the work; nothing is known of the images."""


class Pool:
    """Children, started when they are needed and replaced when they die.

    Threads may share it; each waits until a child is free. It survives a fork: the
    new process starts children of its own.

    :param size: how many children work at the same time.
    :param timeout: seconds for one image.
    :param memory_limit: address space of a child in MiB, 0 for no limit.
    """

    def __init__(self, size: int, timeout: float, memory_limit: int) -> None:
        self._size = size
        self._timeout = timeout
        self._memory_limit = memory_limit
        self._pid = 0
        self._lock = threading.Lock()
        self._all: list[Slot] = []
        self._free: queue.LifoQueue[Slot] = queue.LifoQueue()

    def resize(self, size: int) -> None:
        """Let *size* children work at the same time; before the first image."""
        self._size = size

    def classify(self, question: Question) -> Answer:
        """Decode one image and let providers classify it.

        :raises TaggingError: what is wrong with the image, the model or the child.
        """
        with self.slot() as slot:
            [outcome] = slot.classify([question])
        if isinstance(outcome, TaggingError):
            raise outcome
        return outcome

    @contextlib.contextmanager
    def slot(self) -> Iterator[Slot]:
        """Wait for a slot that no other thread uses, and give it for the block."""
        free = self._slots()
        slot = free.get()
        slot.reset()
        try:
            yield slot
        finally:
            free.put(slot)

    def close(self) -> None:
        """End the children that are idle; those at work end with their parent.

        The pool stays usable: the next image starts a child again.
        """
        if self._pid != os.getpid():
            return
        idle = []
        with contextlib.suppress(queue.Empty):
            while True:
                idle.append(self._free.get_nowait())
        for slot in idle:
            slot.close()
            self._free.put(slot)

    def kill(self) -> None:
        """End every child at once, also those at work; the process ends next."""
        for slot in self._all:
            slot.interrupt()

    def _slots(self) -> queue.LifoQueue[Slot]:
        with self._lock:
            if self._pid != os.getpid():
                for copied in self._all:
                    copied.disown()
                self._free = queue.LifoQueue()
                self._all = [
                    Slot(self._timeout, self._memory_limit) for _ in range(self._size)
                ]
                for slot in self._all:
                    self._free.put(slot)
                self._pid = os.getpid()
            return self._free


class Slot:
    """Room for one child, for one thread at a time."""

    def __init__(self, timeout: float, memory_limit: int) -> None:
        self._timeout = timeout
        self._memory_limit = memory_limit
        self._child: ChildProcess | None = None
        #: How many images the child may still get.
        self._images = 0
        #: How many it has not answered.
        self._sent = 0
        self._interrupted = False

    def classify(self, questions: Iterable[Question]) -> Iterator[Outcome]:
        """Classify images one after the other.

        The next one is sent while the child works on the one before. If the child
        dies, that is the outcome of the one that it worked on; the next goes to a
        new child.

        :param questions: taken one by one, shortly before each is sent.
        :return: the outcomes, in the order of *questions*.
        :raises Interrupted: if :meth:`interrupt` was called.
        """
        source = iter(questions)
        waiting: deque[Question] = deque()
        self._sent = 0
        try:
            while True:
                waiting.extend(itertools.islice(source, AHEAD - len(waiting)))
                if not waiting:
                    return
                outcome = self._ask(waiting)
                waiting.popleft()
                yield outcome
        finally:
            if self._sent:
                # Else the next image would get the answer that is still to come.
                self.close()

    def _ask(self, waiting: Sequence[Question]) -> Outcome:
        """Send what can be sent, and give the outcome of the first."""
        try:
            child = self._ready_child()
            while self._sent < min(len(waiting), AHEAD if self._images > 0 else 1):
                question = waiting[self._sent]
                child.send(question.message(), question.data)
                self._sent += 1
            answer, data = child.receive()
            self._sent -= 1
            return _read_answer(answer, data, waiting[0])
        except TaggingError as error:
            if self._interrupted:
                raise Interrupted from None
            if isinstance(error, ClassifierCrashed):
                # Also one that lives but answers nonsense.
                self.close()
            return error

    def interrupt(self) -> None:
        """Stop what another thread does with this slot."""
        self._interrupted = True
        child = self._child
        if child is not None:
            child.kill()

    def reset(self) -> None:
        """Forget an interruption."""
        self._interrupted = False

    def close(self) -> None:
        """End the child, if there is one."""
        self._sent = 0
        if self._child is not None:
            self._child.close()
            self._child = None

    def disown(self) -> None:
        """Let go of a child that a fork copied."""
        if self._child is not None:
            self._child.disown()
            self._child = None

    def _ready_child(self) -> ChildProcess:
        child = self._child
        used_up = self._images <= 0 and not self._sent
        if child is None or not child.alive or used_up:
            self.close()
            child = self._child = ChildProcess(self._memory_limit, self._timeout)
            self._images = IMAGES_PER_CHILD
            if self._interrupted:
                child.kill()
        self._images -= 1
        return child


def _read_answer(answer: dict[str, Any], data: bytes, asked: Question) -> Answer:
    """Read what a child said, believing nothing of it.

    :param data: the reduced image, if one was asked for.
    :raises TaggingError: the error that it reported.
    :raises ClassifierCrashed: if it makes no sense.
    """
    try:
        if "error" in answer:
            raise _read_error(answer)
        names = [provider.name for provider in asked.providers]
        said = [
            _read_error(item) if "error" in item else _read_prediction(item, name)
            for item, name in zip(answer["predictions"], names, strict=True)
        ]
        return Answer(
            [each for each in said if isinstance(each, Prediction)],
            _read_reduced(answer, data, asked),
            _read_seconds(answer),
            {
                name: each
                for name, each in zip(names, said, strict=True)
                if isinstance(each, TaggingError)
            },
        )
    except (KeyError, OverflowError, TypeError, ValueError):
        raise ClassifierCrashed("The child process gave no usable answer.") from None


def _read_reduced(
    answer: dict[str, Any], data: bytes, asked: Question
) -> SentImage | None:
    if asked.reduce_to is None:
        return None
    width, height = answer["size"]
    if (
        not data
        or not 0 < width <= asked.reduce_to
        or not 0 < height <= asked.reduce_to
    ):
        raise ValueError("no reduced image")
    return SentImage(data, int(width), int(height))


def _read_seconds(answer: dict[str, Any]) -> float | None:
    if "seconds" not in answer:
        return None
    seconds = float(answer["seconds"])
    if not 0 <= seconds <= _LONGEST:
        raise ValueError("no duration")
    return seconds


def _read_error(item: dict[str, Any]) -> TaggingError:
    return _error_class(item["error"])(one_line(item["message"], 500))


def _error_class(name: str) -> type[TaggingError]:
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, TaggingError):
        return kind
    return ClassifierError


def _read_prediction(item: dict[str, Any], provider: str) -> Prediction:
    if item["provider"] != provider:
        raise ValueError("another provider was asked")
    labels = tuple(
        heard(label_id, name, _confidence(confidence))
        for label_id, name, confidence in item["labels"][: MOST_LABELS + MOST_BROADER]
    )
    return Prediction(provider, one_line(item["model"], MODEL_LENGTH), labels)


def _confidence(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("a confidence is no number")
    return min(1.0, max(0.0, number))
