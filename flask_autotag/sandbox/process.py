"""One child process, seen from the parent."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import IO, Any, cast

from ..errors import ClassifierCrashed, ClassifierError, ClassifierTimeout
from .frames import read_frame, write_frame
from .watch import Watch

#: Bytes of the largest answer: 300 labels of each provider are some 20 KB, and a JPEG
#: of 1024 by 1024 pixels of noise is one of 1 MB.
LARGEST_ANSWER = 2**22
#: Bytes that may be under way to a child: what Linux allows everybody.
PIPE_BYTES = 2**20
#: Seconds that a child which closed its streams has to end by itself.
SECONDS_TO_END = 2.0
#: Variables that programs need to run; keys and passwords stay with the host.
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


class ChildProcess:
    """A child that serves one request after the other. It starts with the object.

    :param memory_limit: address space in MiB, 0 for no limit.
    :param timeout: seconds for one image, after which the child is killed.
    :raises ClassifierError: if it cannot be started.
    """

    def __init__(self, memory_limit: int, timeout: float) -> None:
        self._timeout = timeout
        limits = (str(memory_limit), str(timeout))
        program = [sys.executable, "-P", "-m", f"{__package__}", *limits]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                program,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                # Room for the next photo while the child works on this one; only
                # Linux takes it, and gives no more than its own limit.
                pipesize=PIPE_BYTES,
            )
        except OSError as error:
            raise ClassifierError(
                f"The child process cannot be started: {error.strerror}."
            ) from error
        self._watch = Watch(self._process, timeout)

    @property
    def alive(self) -> bool:
        """Whether it can take a request."""
        return self._process.poll() is None

    def ask(self, request: dict[str, Any], data: bytes) -> dict[str, Any]:
        """Send one request and wait for its answer; see :meth:`receive`."""
        self.send(request, data)
        return self.receive()[0]

    def send(self, request: dict[str, Any], data: bytes) -> None:
        """Send one request. A second may be sent before the first is answered.

        :raises ClassifierCrashed: if the child died; it has to be replaced.
        """
        with self._in_time():
            write_frame(cast(IO[bytes], self._process.stdin), request, data)

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """Wait for the answer to the oldest request that has none.

        :return: the JSON part, and the reduced image if that was asked for.
        :raises ClassifierTimeout: if the time was over.
        :raises ClassifierCrashed: if the child died; it has to be replaced.
        """
        with self._in_time():
            stdout = cast(IO[bytes], self._process.stdout)
            return read_frame(stdout, LARGEST_ANSWER)

    def kill(self) -> None:
        """End the child at once, from any thread; who waits for it is told."""
        self._process.kill()

    def close(self) -> None:
        """End the child at once."""
        self._process.kill()
        self._close_streams()
        self._process.wait()

    def disown(self) -> None:
        """Let go of a child that a fork copied: it is another process's child."""
        self._close_streams()
        # Else Popen would warn that it still runs, which it should.
        self._process.returncode = 0

    def _close_streams(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            # What was still to be written may have no reader any more.
            with contextlib.suppress(OSError):
                cast(IO[bytes], stream).close()

    @contextlib.contextmanager
    def _in_time(self) -> Iterator[None]:
        self._watch.begin()
        try:
            yield
        except (EOFError, OSError):
            self._await_end()
            if self._watch.late:
                raise ClassifierTimeout(
                    "Decoding and classifying took longer than"
                    f" {self._timeout:g} seconds."
                ) from None
            raise ClassifierCrashed(
                "The child process ended while it decoded or classified the image"
                f" (exit status {self._process.returncode})."
            ) from None
        except ValueError:
            self.close()
            raise ClassifierCrashed(
                "The child process gave no usable answer."
            ) from None
        except BaseException:
            # Else the next image would get the answer that is still to come.
            self.close()
            raise
        finally:
            self._watch.end()

    def _await_end(self) -> None:
        """Close a child that is ending, for its own exit status if it has one."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(SECONDS_TO_END)
        self.close()


def _environment() -> dict[str, str]:
    """Make an environment that finds the same packages, without secrets."""
    kept = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    kept["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return kept
