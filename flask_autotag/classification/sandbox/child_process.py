"""One child process, as the parent handles it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import IO, Any, cast

from ...errors import (
    ClassifierCrashed,
    ClassifierError,
    ClassifierTimeout,
    ImageTooComplex,
)
from .confinement import Confinement
from .control import END, SECONDS_TO_END, START, ask_status
from .protocol import read_frame, write_frame
from .watchdog import Watchdog

#: Bytes of the largest answer. 300 labels of a provider take about 20 KB, and a JPEG of
#: 1024 by 1024 pixels of noise takes 1 MB.
MAX_ANSWER_SIZE = 2**22
#: Bytes of the buffer in which requests wait for a child.
SEND_BUFFER = 2**20
#: Environment variables that programs need. All others, such as keys, are left out.
ENVIRONMENT = (
    "HOME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "PATH",
    "PYTHONHOME",
    "SYSTEMROOT",
    "TEMP",
    "TMP",
    "TMPDIR",
    "VIRTUAL_ENV",
)
#: Whether open files can be sent to another process, as on all systems but Windows.
_CAN_SEND_FILES = hasattr(socket, "send_fds")

#: The names and options of a child's providers; see :meth:`.question.Question.choices`.
Choices = Sequence[dict[str, Any]]


class ChildProcess:
    """A program that serves one request after the other.

    The program starts when the object is created. If it can fork, :meth:`begin` forks a
    child, and :meth:`end` ends it. Otherwise the program serves the requests itself.

    :param memory_limit: address space in MiB, 0 for no limit.
    :param timeout: seconds for one image, after which the child is killed.
    :raises ClassifierError: if the program cannot be started.
    """

    def __init__(self, memory_limit: int, timeout: float) -> None:
        self._timeout = timeout
        self._control: socket.socket | None = None
        self._requests: IO[bytes] | None = None
        self._answers: IO[bytes] | None = None
        self._tenant = ""
        self._choices: Choices | None = None
        #: File descriptor of the forked child; unlike its pid, it is never reused.
        self._pidfd: int | None = None
        self._has_forked = False
        self._killing = threading.Lock()
        #: The process that decodes the images.
        self.pid: int | None = None
        #: The restrictions of that process, once it has begun.
        self.confinement = Confinement()
        try:
            self._process = self._start([str(memory_limit), str(timeout)])
        except OSError as error:
            raise ClassifierError(
                f"The child process cannot be started: {error.strerror}."
            ) from error
        self._watch = Watchdog(self.kill, timeout)

    def _start(self, limits: list[str]) -> subprocess.Popen[bytes]:
        program = [sys.executable, "-P", "-m", f"{__package__}", *limits]
        if not _CAN_SEND_FILES:
            return _run(program, subprocess.PIPE, subprocess.PIPE)
        self._control, theirs = socket.socketpair()
        # The program answers commands at once unless it hangs.
        self._control.settimeout(5 * SECONDS_TO_END)
        try:
            return _run([*program, "--control"], theirs.fileno(), subprocess.DEVNULL)
        except OSError:
            self._control.close()
            raise
        finally:
            theirs.close()

    @property
    def alive(self) -> bool:
        """Whether the child can serve a request."""
        return (
            self._choices is not None
            and self._process.poll() is None
            and not _is_hung_up(self._answers)
        )

    @property
    def is_forked(self) -> bool:
        """Whether the child was forked from a program that stays."""
        return self._pidfd is not None

    @property
    def can_begin(self) -> bool:
        """Whether :meth:`begin` can be called, for any tenant and providers."""
        fresh = self._choices is None or self._pidfd is not None
        return fresh and self._process.poll() is None

    def serves(self, tenant: str, choices: Choices) -> bool:
        """Return whether the child can serve a request without another :meth:`begin`.

        :param tenant: the tenant of the image. A forked child serves only one.
        :param choices: the providers that it has to have.
        """
        same_tenant = self._pidfd is None or self._tenant == tenant
        return same_tenant and self._choices == choices and self.alive

    def begin(self, tenant: str, choices: Choices) -> None:
        """Load the providers and prepare a fresh child, forked if possible.

        :raises ClassifierTimeout: if it takes longer than the timeout.
        :raises ClassifierError: if the child cannot be confined.
        :raises ClassifierCrashed: if the child died.
        """
        self.end()
        with self._in_time():
            self._open_streams()
            ready = self._send_choices(choices)
            if "error" in ready:
                raise ClassifierError(
                    f"The child process cannot be confined: {ready['error']}."
                )
            self._read_ready(ready)
        self._tenant, self._choices = tenant, choices

    def change(self, tenant: str, choices: Choices) -> bool:
        """Change the providers of a process that was not forked.

        :return: ``False`` if that is impossible: the process was forked, or is confined
            without access to the files of the providers.
        :raises ClassifierCrashed: if the child died.
        """
        if self._pidfd is not None or not self.alive:
            return False
        with self._in_time():
            answer = self._send_choices(choices)
        if answer.get("changed") is not True:
            return False
        self._tenant, self._choices = tenant, choices
        return True

    def _send_choices(self, choices: Choices) -> dict[str, Any]:
        self._write({"providers": list(choices)})
        return self._read()[0]

    def _write(self, message: dict[str, Any], data: bytes = b"") -> None:
        write_frame(cast(IO[bytes], self._requests), message, data)

    def _read(self) -> tuple[dict[str, Any], bytes]:
        return read_frame(cast(IO[bytes], self._answers), MAX_ANSWER_SIZE)

    def _read_ready(self, ready: dict[str, Any]) -> None:
        """Read the first message of a child, sent before it has an image."""
        self.pid = int(ready["pid"])
        self.confinement = Confinement.read(ready)
        if ready["forked"]:
            with self._killing:
                self._pidfd = os.pidfd_open(self.pid)
            self._has_forked = True

    def _open_streams(self) -> None:
        if self._control is None:
            self._requests, self._answers = self._process.stdin, self._process.stdout
            return
        # Sockets, because gevent does not block other requests on them.
        ours, theirs = socket.socketpair()
        with ours, theirs:
            # Room for the next image while the child works on this one. Linux caps the
            # size at its own limit.
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            # The socket is closed with the last of these files.
            self._requests, self._answers = ours.makefile("wb"), ours.makefile("rb")
            socket.send_fds(self._control, [START], [theirs.fileno()])

    def send(self, data: bytes, reduce_to: int | None) -> None:
        """Send one request. A second one may be sent before the first answer.

        :param data: the image's file.
        :param reduce_to: pixels of the longer side of the reduced JPEG that the answer
            is to include; ``None`` for no JPEG.
        :raises ClassifierCrashed: if the child died.
        """
        with self._in_time():
            self._write({"reduce_to": reduce_to}, data)

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """Wait for the answer to the oldest open request.

        :return: the JSON object, and the reduced JPEG or ``b""``.
        :raises ClassifierTimeout: if it takes longer than the timeout.
        :raises ImageTooComplex: if decoding took too much processor time.
        :raises ClassifierCrashed: if the child died.
        """
        with self._in_time():
            return self._read()

    def kill(self) -> None:
        """Kill the child, from any thread. Waiting calls raise."""
        with self._killing, contextlib.suppress(ProcessLookupError):
            if self._pidfd is not None:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            else:
                self._process.kill()

    def end(self) -> None:
        """End a forked child; another one can :meth:`begin`."""
        if self._pidfd is None:
            return
        with contextlib.suppress(OSError):
            cast(socket.socket, self._control).sendall(END)
        self._forget()

    def close(self) -> None:
        """End the child and its program at once."""
        # A program that has forked is not killed yet: it reads the end of its commands,
        # collects its child and exits, so that no zombie is left to another process.
        if self._pidfd is not None or not self._has_forked:
            self.kill()
        self._forget()
        self._close_streams()
        if self._has_forked:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(SECONDS_TO_END)
        self._process.kill()
        self._process.wait()

    def disown(self) -> None:
        """Forget a child that belongs to another process, after this one was forked."""
        self._forget()
        self._close_streams()
        # Keep Popen from warning that the process still runs.
        self._process.returncode = 0

    def _forget(self) -> None:
        """Release the descriptor and the streams of a forked child."""
        self._choices = None
        with self._killing:
            if self._pidfd is None:
                return
            os.close(self._pidfd)
            self._pidfd = None
        self._close(self._requests, self._answers)

    def _close_streams(self) -> None:
        self._close(self._requests, self._answers, self._control)
        self._close(self._process.stdin, self._process.stdout)

    def _close(self, *streams: IO[bytes] | socket.socket | None) -> None:
        for stream in streams:
            # Closing writes the buffered rest, which may have no reader.
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()

    @contextlib.contextmanager
    def _in_time(self) -> Iterator[None]:
        self._watch.begin()
        try:
            yield
        except (EOFError, OSError):
            status = self._await_end()
            if self._watch.late or status in _OUT_OF_TIME:
                raise ClassifierTimeout(
                    "Decoding and classifying took longer than"
                    f" {self._timeout:g} seconds."
                ) from None
            if status == _TOO_MUCH_DECODING:
                raise ImageTooComplex(
                    "Decoding the image takes more processor time than"
                    " AUTOTAG_TIMEOUT allows."
                ) from None
            raise ClassifierCrashed(
                "The child process ended while it decoded or classified the image"
                f" (exit status {status})."
            ) from None
        except (KeyError, ValueError):
            self._abandon()
            raise ClassifierCrashed(
                "The child process gave no usable answer."
            ) from None
        except BaseException:
            # Otherwise the next image would get the answer to this one.
            self._abandon()
            raise
        finally:
            self._watch.end()

    def _abandon(self) -> None:
        """End the child, or the program if it serves by itself."""
        if self._pidfd is None:
            self.close()
        else:
            self.end()

    def _await_end(self) -> int | None:
        """Wait for the end of a child that closed its streams, and release it.

        :return: the exit status of the child, or of its program.
        """
        if self._pidfd is not None and self._control is not None:
            try:
                status = ask_status(self._control)
            except OSError:
                self.close()
                return self._process.returncode
            self._forget()
            return status
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(SECONDS_TO_END)
        self.close()
        return self._process.returncode


#: Exit statuses of a child that its own timer, or the soft limit of its processor time,
#: ended. Windows has no such signals.
_OUT_OF_TIME = {
    -int(getattr(signal, name))
    for name in ("SIGALRM", "SIGXCPU")
    if hasattr(signal, name)
}
_TOO_MUCH_DECODING = -int(getattr(signal, "SIGPROF", 0)) or None


def _run(program: list[str], requests: int, answers: int) -> subprocess.Popen[bytes]:
    """Start a program with these files as its standard input and output."""
    return subprocess.Popen(  # noqa: S603 - our own program
        program,
        stdin=requests,
        stdout=answers,
        stderr=subprocess.DEVNULL,
        env=_environment(),
    )


def _environment() -> dict[str, str]:
    """Return an environment that finds the same packages, without secrets."""
    kept = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    kept["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    # NumPy would start threads, which do not survive a fork and are not needed.
    kept["OPENBLAS_NUM_THREADS"] = "1"
    return kept


def _is_hung_up(stream: IO[bytes] | None) -> bool:
    """Return whether the other end of a stream was closed."""
    if stream is None or not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(stream, 0)
    return any(event & select.POLLHUP for _, event in poll.poll(0))
