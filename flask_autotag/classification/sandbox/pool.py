"""The pool of child processes of one host process."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from ...errors import (
    ClassifierBusy,
    ClassifierCrashed,
    ClassifierTimeout,
    TaggingError,
)
from .child_process import ChildProcess
from .confinement import Confinement
from .control import IMAGES_PER_CHILD, IMAGES_PER_FORK
from .question import Answer, ChildOutcome, Question, read_answer

logger = logging.getLogger(__name__)

#: Seconds after which a caller that found no free child should retry.
RETRY_AFTER = 5
#: Images sent to a child at a time: the current one, and the next one, so that the
#: child does not wait for its parent.
MAX_SENT = 2


class Interrupted(Exception):
    """Another thread stopped the work; the outcome of the images is unknown."""


class Pool:
    """Child processes, started on demand and replaced when they die.

    Threads may share a pool; each waits for a free child. After a fork the new process
    starts children of its own.

    :param size: the number of children that work at the same time.
    :param timeout: seconds for one image.
    :param memory_limit: address space of a child in MiB, 0 for no limit.
    """

    def __init__(self, size: int, timeout: float, memory_limit: int) -> None:
        self._size = size
        self._timeout = timeout
        self._memory_limit = memory_limit
        #: The restrictions of the children; ``None`` before the first one starts.
        self.confinement: Confinement | None = None
        self._pid = 0
        self._lock = threading.Lock()
        self._all: list[Slot] = []
        self._free: queue.LifoQueue[Slot] = queue.LifoQueue()

    def resize(self, size: int) -> None:
        """Set the number of children. Call it before the first image."""
        self._size = size

    def classify(
        self,
        question: Question,
        *,
        wait: float | None = None,
        limit: float | None = None,
    ) -> Answer:
        """Decode one image and let providers classify it.

        :param wait: as in :meth:`slot`.
        :param limit: seconds for the image, if fewer than the pool's timeout; ``None``
            for that timeout.
        :raises ClassifierBusy: if no child is free in time.
        :raises ClassifierTimeout: if the image takes too long.
        :raises TaggingError: for any other fault of the image, the model or the child.
        """
        with self.slot(wait) as slot, slot.limited(limit):
            [outcome] = slot.classify([question])
        if isinstance(outcome, TaggingError):
            raise outcome
        return outcome

    @contextlib.contextmanager
    def slot(self, wait: float | None = None) -> Iterator[Slot]:
        """Wait for a free slot, and reserve it for the block.

        :param wait: seconds to wait; ``None``, the default, for no limit.
        :raises ClassifierBusy: if no slot is free in that time.
        """
        free = self._slots()
        try:
            slot = free.get(timeout=wait)
        except queue.Empty:
            raise ClassifierBusy(
                "Other images are being classified just now; try again in a few"
                " seconds.",
                RETRY_AFTER,
            ) from None
        slot.reset()
        try:
            yield slot
        finally:
            free.put(slot)

    def close(self) -> None:
        """End the idle children. Busy ones end with their parent.

        The pool stays usable: the next image starts a new child.
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
        """Kill all children, busy ones included, before the process exits."""
        for slot in self._all:
            slot.interrupt()

    def _slots(self) -> queue.LifoQueue[Slot]:
        with self._lock:
            if self._pid != os.getpid():
                for copied in self._all:
                    copied.disown()
                self._free = queue.LifoQueue()
                self._all = [
                    Slot(self._timeout, self._memory_limit, self._note_confinement)
                    for _ in range(self._size)
                ]
                for slot in self._all:
                    self._free.put(slot)
                self._pid = os.getpid()
            return self._free

    def _note_confinement(self, confinement: Confinement) -> None:
        if confinement != self.confinement:
            logger.info("Images are decoded in child processes with: %s.", confinement)
        self.confinement = confinement


class Slot:
    """A place for one child, used by one thread at a time.

    :param timeout: seconds for one image.
    :param memory_limit: address space of a child in MiB, 0 for no limit.
    :param note: called with the restrictions of each new child.
    """

    def __init__(
        self,
        timeout: float,
        memory_limit: int,
        note: Callable[[Confinement], None] | None = None,
    ) -> None:
        self._timeout = timeout
        self._memory_limit = memory_limit
        self._note = note
        self._child: ChildProcess | None = None
        #: The number of images that the child may still serve.
        self._images = 0
        #: The number of requests without an answer.
        self._sent = 0
        self._interrupted = False

    def classify(self, questions: Iterable[Question]) -> Iterator[ChildOutcome]:
        """Classify images one after the other.

        The next image is sent while the child works on the current one, if both belong
        to the same tenant. Forked children serve one tenant and end with the call. If a
        child dies, the current image fails and the next one goes to a new child.

        :param questions: consumed one by one, shortly before each is sent.
        :return: the outcomes, in the order of *questions*.
        :raises Interrupted: if another thread called :meth:`interrupt`.
        """
        source = iter(questions)
        waiting: deque[Question] = deque()
        self._sent = 0
        try:
            while True:
                waiting.extend(itertools.islice(source, MAX_SENT - len(waiting)))
                if not waiting:
                    return
                outcome = self._ask(waiting)
                waiting.popleft()
                yield outcome
        finally:
            self._end_child()

    def _ask(self, waiting: Sequence[Question]) -> ChildOutcome:
        """Send the images that can be sent, and return the outcome of the first."""
        try:
            child = self._ready_child(waiting[0])
            while self._sent < min(len(waiting), MAX_SENT if self._images > 0 else 1):
                question = waiting[self._sent]
                if self._sent and not self._is_for_same_child(question):
                    break
                child.send(question.data, question.reduce_to)
                self._sent += 1
                self._images -= 1
            answer, data = child.receive()
            self._sent -= 1
            return read_answer(answer, data, waiting[0])
        except TaggingError as error:
            if self._interrupted:
                raise Interrupted from None
            is_dead = self._child is None or not self._child.alive
            # A living child may have sent an unusable answer.
            if is_dead or isinstance(error, ClassifierCrashed):
                self._abandon_child()
            return error

    @contextlib.contextmanager
    def limited(self, seconds: float | None) -> Iterator[None]:
        """Stop the work of the block after a time.

        :param seconds: the time; ``None`` for no limit.
        :raises ClassifierTimeout: if the work was stopped.
        """
        if seconds is None:
            yield
            return
        timer = threading.Timer(seconds, self.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        except Interrupted:
            raise ClassifierTimeout(
                f"Decoding and classifying took longer than {seconds:g} seconds."
            ) from None
        finally:
            timer.cancel()
            # A running timer must not interrupt the next user of the slot.
            timer.join()

    def interrupt(self) -> None:
        """Stop the work of the thread that uses this slot."""
        self._interrupted = True
        child = self._child
        if child is not None:
            child.kill()

    def reset(self) -> None:
        """Clear an earlier interruption."""
        self._interrupted = False

    def close(self) -> None:
        """End the child, if there is one."""
        self._sent = 0
        if self._child is not None:
            self._child.close()
            self._child = None

    def disown(self) -> None:
        """Forget a child that belongs to another process, after a fork."""
        if self._child is not None:
            self._child.disown()
            self._child = None

    def _ready_child(self, question: Question) -> ChildProcess:
        """Return the child that works, or one that is ready for *question*."""
        if self._sent and self._child is not None:
            return self._child
        tenant, choices, child = question.tenant, question.choices(), self._child
        if (
            child is not None
            and self._images > 0
            and (child.serves(tenant, choices) or child.change(tenant, choices))
        ):
            return child
        if child is None or not child.can_begin:
            self.close()
            child = self._child = ChildProcess(self._memory_limit, self._timeout)
        if self._interrupted:
            child.kill()
        child.begin(tenant, choices)
        self._images = IMAGES_PER_FORK if child.is_forked else IMAGES_PER_CHILD
        if self._note is not None:
            self._note(child.confinement)
        return child

    def _is_for_same_child(self, question: Question) -> bool:
        child = self._child
        return child is not None and child.serves(question.tenant, question.choices())

    def _end_child(self) -> None:
        """End the child if it was forked or still has to answer."""
        if self._child is not None:
            self._child.end()
        if self._sent:
            # Otherwise the next image would get the answer to an earlier one.
            self._abandon_child()

    def _abandon_child(self) -> None:
        """End the child, and keep the program if it can fork another one."""
        self._sent = 0
        if self._child is not None:
            self._child.end()
            if not self._child.can_begin:
                self.close()
