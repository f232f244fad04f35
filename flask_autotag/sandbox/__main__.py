"""The child: reads images from standard input, writes labels, until it ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from typing import IO, Any

from PIL import Image

from ..errors import ClassifierError, ClassifierMemory, TaggingError
from ..images import decode, reduced, to_jpeg
from ..providers.base import LocalProvider
from ..providers.registry import find
from .frames import read_frame, write_frame

MIB = 2**20
#: Of the scale from 0 to 19: classification yields to the host's own requests.
NICENESS = 10
#: Seconds beyond the time of one image after which a child ends by itself: the
#: parent, which tells what happened, comes first.
SECONDS_OF_GRACE = 5.0
#: Bytes of the largest file that a child may write; it has none to write.
LARGEST_FILE = MIB


def main() -> None:
    """Serve requests from standard input."""
    _leave_signals_to_the_parent()
    memory_limit, timeout = int(sys.argv[1]), float(sys.argv[2])
    answers = _claim_standard_output()
    # Process-wide, and below the limit for JPEG; those of images.py replace it.
    Image.MAX_IMAGE_PIXELS = None
    _limit_resources(memory_limit)
    serve(sys.stdin.buffer, answers, timeout + SECONDS_OF_GRACE)


def serve(requests: IO[bytes], answers: IO[bytes], timeout: float) -> None:
    """Answer each request of *requests* on *answers*, until the parent is gone.

    :param timeout: seconds for one request, after which the process ends.
    """
    providers: dict[str, LocalProvider] = {}
    while True:
        try:
            request, data = read_frame(requests, most=sys.maxsize)
        except EOFError:
            return
        _end_after(timeout)
        answer, reduced_image = _answer(request, data, providers)
        _end_after(0)
        write_frame(answers, answer, reduced_image)


def _leave_signals_to_the_parent() -> None:
    """Ignore what a terminal, or systemd, sends to the parent and all its children.

    The parent finishes the image at hand first; then this process reads that its
    standard input was closed, and ends.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _end_after(seconds: float) -> None:
    """Let the system end this process; 0 takes that back.

    The parent kills a child that hangs. This one is for a child whose parent was
    killed itself, and for code that never comes back to Python.
    """
    if hasattr(signal, "setitimer"):  # Windows has none.
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _answer(
    request: dict[str, Any], data: bytes, providers: dict[str, LocalProvider]
) -> tuple[dict[str, Any], bytes]:
    """Give the answer, and the reduced image if that was asked for."""
    start = time.perf_counter()
    try:
        answer, small = _classify(request, data, providers)
        return {**answer, "seconds": time.perf_counter() - start}, small
    except TaggingError as error:
        return _error(error), b""
    except MemoryError:
        memory = _error(
            ClassifierMemory(
                "Classifying the image needs more memory than AUTOTAG_MEMORY_LIMIT"
                " allows."
            )
        )
        return memory, b""
    except Exception as error:
        # Such as a package that is not installed, or does not fit into the memory.
        text = " ".join(str(error).split())
        raised = _error(
            ClassifierError(
                f"Classifying the image raised {type(error).__name__}: {text:.200}"
            )
        )
        return raised, b""


def _classify(
    request: dict[str, Any], data: bytes, providers: dict[str, LocalProvider]
) -> tuple[dict[str, Any], bytes]:
    found = [_provider(choice, providers) for choice in request["providers"]]
    longest = request.get("reduce_to") or 0
    image = decode(data, max(longest, *(provider.side for provider in found), 1))
    predictions = [
        {
            "provider": provider.name,
            "model": provider.model,
            "labels": [
                [label.id, label.name, label.confidence]
                for label in provider.classify([image])[0]
            ],
        }
        for provider in found
    ]
    if not longest:
        return {"predictions": predictions}, b""
    small = reduced(image, longest)
    return {"predictions": predictions, "size": small.size}, to_jpeg(small)


def _provider(
    choice: dict[str, Any], providers: dict[str, LocalProvider]
) -> LocalProvider:
    key = json.dumps(choice, sort_keys=True)
    if key not in providers:
        providers[key] = find(choice["name"])(**choice["options"])
    return providers[key]


def _error(error: TaggingError) -> dict[str, Any]:
    return {"error": type(error).__name__, "message": str(error)}


def _claim_standard_output() -> IO[bytes]:
    """Keep the answers' stream to ourselves: libraries print to it as they like."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _limit_resources(memory_limit: int) -> None:
    with contextlib.suppress(AttributeError, OSError):
        os.nice(NICENESS)
    try:
        import resource
    except ImportError:  # Windows has no such limits.
        return
    limits = {resource.RLIMIT_FSIZE: LARGEST_FILE, resource.RLIMIT_CORE: 0}
    if memory_limit:
        limits[resource.RLIMIT_AS] = memory_limit * MIB
    for kind, limit in limits.items():
        hard = resource.getrlimit(kind)[1]
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (limit, limit))


if __name__ == "__main__":
    main()
