"""The children of one process of the host."""

from __future__ import annotations

import contextlib
import math
import os
import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from .. import errors
from ..errors import ClassifierCrashed, ClassifierError, TaggingError
from ..models import MODEL_LENGTH, NAME_LENGTH
from ..providers.base import MOST_LABELS, Label, LocalProvider, Prediction
from ..settings import Settings
from .process import ChildProcess

#: Images after which a child is replaced, should a decoder leak.
IMAGES_PER_CHILD = 500


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
        self._free: queue.LifoQueue[_Slot] = queue.LifoQueue()

    def classify(
        self,
        data: bytes,
        providers: list[type[LocalProvider]],
        settings: Settings,
        model_dir: str | None,
    ) -> list[Prediction]:
        """Decode one image and let each of *providers* classify it.

        :param data: the image's file.
        :raises TaggingError: what is wrong with the image, the model or the child.
        """
        request = {
            "providers": [
                {
                    "name": provider.name,
                    "options": provider.options(
                        settings[provider.section.name], model_dir
                    ),
                }
                for provider in providers
            ]
        }
        with self._slot() as slot:
            answer = slot.ask(request, data, self._timeout, self._memory_limit)
        return _read_answer(answer, [provider.name for provider in providers])

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

    @contextlib.contextmanager
    def _slot(self) -> Iterator[_Slot]:
        free = self._slots()
        slot = free.get()
        try:
            yield slot
        finally:
            free.put(slot)

    def _slots(self) -> queue.LifoQueue[_Slot]:
        with self._lock:
            if self._pid != os.getpid():
                for copied in self._free.queue:
                    copied.disown()
                self._free = queue.LifoQueue()
                for _ in range(self._size):
                    self._free.put(_Slot())
                self._pid = os.getpid()
            return self._free


class _Slot:
    """Room for one child."""

    def __init__(self) -> None:
        self._child: ChildProcess | None = None
        self._images = 0

    def ask(
        self, request: dict[str, Any], data: bytes, timeout: float, memory_limit: int
    ) -> dict[str, Any]:
        if self._child is None or not self._child.alive or self._is_used_up():
            self.close()
            self._child, self._images = ChildProcess(memory_limit), 0
        self._images += 1
        return self._child.ask(request, data, timeout)

    def close(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None

    def disown(self) -> None:
        if self._child is not None:
            self._child.disown()
            self._child = None

    def _is_used_up(self) -> bool:
        return self._images >= IMAGES_PER_CHILD


def _read_answer(answer: dict[str, Any], asked: Sequence[str]) -> list[Prediction]:
    """Read what a child said, believing nothing of it.

    :param asked: names of the providers whose predictions it was asked for.
    :raises TaggingError: the error that it reported.
    :raises ClassifierCrashed: if it makes no sense.
    """
    try:
        if "error" in answer:
            raise _error_class(answer["error"])(_text(answer["message"], 500))
        return [
            _read_prediction(item, name)
            for item, name in zip(answer["predictions"], asked, strict=True)
        ]
    except (KeyError, OverflowError, TypeError, ValueError):
        raise ClassifierCrashed("The child process gave no usable answer.") from None


def _error_class(name: str) -> type[TaggingError]:
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, TaggingError):
        return kind
    return ClassifierError


def _read_prediction(item: dict[str, Any], provider: str) -> Prediction:
    if item["provider"] != provider:
        raise ValueError("another provider was asked")
    labels = tuple(
        # A name that is too long for a tag stays too long: half of it is another.
        Label(
            _text(label_id, NAME_LENGTH),
            _text(name, NAME_LENGTH + 1),
            _confidence(confidence),
        )
        for label_id, name, confidence in item["labels"][:MOST_LABELS]
    )
    return Prediction(provider, _text(item["model"], MODEL_LENGTH), labels)


def _text(value: Any, length: int) -> str:
    """Read a text that every database can store and every page can show."""
    if not isinstance(value, str):
        raise ValueError("no text")
    return "".join(
        character if character.isprintable() else " " for character in value[:length]
    )


def _confidence(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("a confidence is no number")
    return min(1.0, max(0.0, number))
