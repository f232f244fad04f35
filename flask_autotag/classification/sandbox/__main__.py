"""The program that decodes and classifies images; a worker starts it.

It loads the providers and forks a child for each tenant's batch. The child confines
itself, reads images from a socket and writes labels to it. The program itself sees no
image, unless it cannot fork: then it does the work of the child.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
import sys
import time
from typing import IO, Any, NoReturn

from PIL import Image

from ...providers.base import LocalProvider
from .confinement import (
    Confinement,
    ProcessorTime,
    confine,
    limit_resources,
    processors,
    readable_code,
    threads,
)
from .control import (
    END,
    IMAGES_PER_CHILD,
    IMAGES_PER_FORK,
    SECONDS_TO_END,
    START,
    STATUS,
    send_status,
)
from .kernel import PR_SET_PDEATHSIG, prctl
from .protocol import read_frame, write_frame
from .serving import (
    SECONDS_OF_GRACE,
    Channel,
    Prepared,
    end_after,
    prepare,
    serve,
)

#: The nice value, from 0 to 19: the host's own requests come before classification.
NICENESS = 10
#: Providers with different options that stay loaded.
MAX_LOADED = 4
#: Seconds between two checks whether a child has ended.
_POLL_INTERVAL = 0.01


def main() -> None:
    """Serve requests until the parent is gone."""
    _leave_signals_to_the_parent()
    memory_limit, timeout = int(sys.argv[1]), float(sys.argv[2])
    # Pillow's limit is below the limits in decode.py, which replace it.
    Image.MAX_IMAGE_PIXELS = None
    with contextlib.suppress(AttributeError, OSError):
        os.nice(NICENESS)
    limit_resources(memory_limit)
    _serve(sys.argv[3:], timeout)


def _serve(arguments: list[str], timeout: float) -> None:
    """Serve in one of three ways.

    :param arguments: none to serve on the standard streams; ``--control`` to read
        commands from a socket, which is standard input; ``--serve`` with a socket and
        the first message, for a program that was started again because it cannot fork.
    """
    match arguments:
        case ["--control"]:
            os.set_blocking(0, True)
            with socket.socket(fileno=0) as control:
                Forker(control, timeout).run()
        case ["--serve", descriptor, message]:
            # Close the socket of the commands.
            os.close(0)
            channel = _channel(int(descriptor), timeout)
            _serve_without_fork(json.loads(message), {}, channel)
        case _:
            answers = _claim_standard_output()
            channel = Channel(sys.stdin.buffer, answers, timeout)
            first = read_frame(channel.requests, most=sys.maxsize)[0]
            _serve_without_fork(first, {}, channel)


class Forker:
    """Forks children on command; one at a time.

    :param control: the socket from which commands are read.
    :param timeout: seconds for one image.
    """

    def __init__(self, control: socket.socket, timeout: float) -> None:
        self._control = control
        self._timeout = timeout
        self._child: int | None = None
        self._loaded: dict[str, LocalProvider] = {}

    def run(self) -> None:
        """Execute commands until the parent closes the socket."""
        while True:
            command, descriptors, *_ = socket.recv_fds(self._control, 1, 1)
            if command == STATUS:
                send_status(self._control, self._end(SECONDS_TO_END))
                continue
            self._end()
            if command == START:
                self._start(*descriptors)
            elif command != END:
                return

    def _start(self, descriptor: int) -> None:
        """Load the providers that the first message names, and fork."""
        os.set_inheritable(descriptor, False)
        channel = _channel(descriptor, self._timeout)
        with channel.requests, channel.answers:
            end_after(self._timeout + SECONDS_OF_GRACE)
            message = read_frame(channel.requests, most=sys.maxsize)[0]
            prepared = self._prepare(message)
            if not _can_fork(prepared):
                self._control.close()
                end_after(0)
                _serve_without_fork(message, self._loaded, channel)
                sys.exit()
            _warm_up(prepared)
            end_after(0)
            if threads() > 1:
                _restart(message, descriptor)
            readable = readable_code()
            gc.collect()
            gc.freeze()
            parent = os.getpid()
            self._child = os.fork()
            if not self._child:
                self._run_child(parent, prepared, readable, channel)

    def _prepare(self, message: dict[str, Any]) -> Prepared:
        Image.init()
        prepared = prepare(message["providers"], self._loaded)
        for key in list(self._loaded)[:-MAX_LOADED]:
            del self._loaded[key]
        return prepared

    def _run_child(
        self, parent: int, prepared: Prepared, readable: set[str], channel: Channel
    ) -> NoReturn:
        """Serve requests, and exit without returning to the parent's code."""
        try:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() == parent:
                self._control.close()
                _confine_and_serve(prepared, readable, channel, None)
            os._exit(0)
        finally:
            os._exit(1)

    def _end(self, seconds: float = 0.0) -> int:
        """End the child, if there is one.

        :param seconds: time for the child to exit by itself before it is killed.
        :return: the exit status, negative if a signal ended the child; 0 without one.
        """
        if self._child is None:
            return 0
        pid, deadline = self._child, time.monotonic() + seconds
        self._child = None
        while time.monotonic() < deadline:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            time.sleep(_POLL_INTERVAL)
        os.kill(pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _channel(descriptor: int, timeout: float) -> Channel:
    # A parent under gevent has made the socket non-blocking.
    os.set_blocking(descriptor, True)
    answers = os.fdopen(os.dup(descriptor), "wb")
    return Channel(os.fdopen(descriptor, "rb"), answers, timeout)


def _can_fork(prepared: Prepared) -> bool:
    return sys.platform == "linux" and all(
        provider.forkable for provider in _providers(prepared)
    )


def _warm_up(prepared: Prepared) -> None:
    """Let each provider load its model before the fork."""
    for provider in _providers(prepared):
        # The child will raise the same error for its first image.
        with contextlib.suppress(Exception, SystemExit):
            provider.warm_up()


def _restart(message: dict[str, Any], descriptor: int) -> NoReturn:
    """Replace this program by a new one, because a provider started threads.

    The new program does not fork, and is confined before providers load anything.
    """
    os.set_inheritable(descriptor, True)
    program = [sys.executable, "-P", "-m", f"{__package__}", *sys.argv[1:3]]
    arguments = [*program, "--serve", str(descriptor), json.dumps(message)]
    os.execv(sys.executable, arguments)  # noqa: S606 - our own program


def _serve_without_fork(
    message: dict[str, Any], loaded: dict[str, LocalProvider], channel: Channel
) -> None:
    """Serve requests in this process."""
    prepared = prepare(message["providers"], loaded)
    Image.init()
    code = readable_code()
    _confine_and_serve(prepared, code, channel, loaded)


def _confine_and_serve(
    prepared: Prepared,
    code: set[str],
    channel: Channel,
    loaded: dict[str, LocalProvider] | None,
) -> None:
    """Confine this process, report its confinement, and serve requests.

    :param loaded: the providers that exist already; new ones are added. ``None`` in a
        forked process, which is replaced instead.
    """
    ready: dict[str, Any] = {"forked": loaded is None, "pid": os.getpid()}
    # Threads of an honest provider may keep all processors busy until the timeout.
    processor_time = ProcessorTime(
        (channel.timeout + SECONDS_OF_GRACE) * processors(),
        IMAGES_PER_FORK if loaded is None else IMAGES_PER_CHILD,
    )
    try:
        ready.update(_confine(prepared, code).message())
    except OSError as error:
        write_frame(channel.answers, {"error": error.strerror})
        return
    write_frame(channel.answers, ready)
    allowed = _needed(prepared)

    def change(choices: list[dict[str, Any]]) -> Prepared | None:
        if loaded is None:
            return None
        changed = prepare(choices, loaded)
        failed = any(not isinstance(each, LocalProvider) for each in changed.values())
        return None if failed or not _needed(changed) <= allowed else changed

    serve(prepared, channel, processor_time, change)


def _confine(prepared: Prepared, code: set[str]) -> Confinement:
    providers = _providers(prepared)
    files = [os.fspath(path) for provider in providers for path in provider.files]
    devices = [os.fspath(path) for provider in providers for path in provider.devices]
    return confine([*code, *files], devices)


def _needed(prepared: Prepared) -> set[str]:
    """Return the files and devices that these providers use."""
    return {
        os.fspath(path)
        for provider in _providers(prepared)
        for path in (*provider.files, *provider.devices)
    }


def _providers(prepared: Prepared) -> list[LocalProvider]:
    return [each for each in prepared.values() if isinstance(each, LocalProvider)]


def _leave_signals_to_the_parent() -> None:
    """Ignore signals that a terminal or systemd sends to the parent and its children.

    The parent finishes the current image and then closes the stream of requests, which
    ends this process.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _claim_standard_output() -> IO[bytes]:
    """Redirect standard output, on which libraries print, and return the original."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


if __name__ == "__main__":
    main()
