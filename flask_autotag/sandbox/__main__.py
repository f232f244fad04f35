"""The child: reads images from standard input, writes labels, until it ends."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import IO, Any, TypeVar

from PIL import Image

from ..errors import ClassifierError, ClassifierMemory, TaggingError
from ..images import decode, reduced, to_jpeg
from ..providers.base import Label, LocalProvider
from ..providers.registry import find
from .frames import read_frame, write_frame

T = TypeVar("T")

MIB = 2**20
#: Of the scale from 0 to 19: classification yields to the host's own requests.
NICENESS = 10
#: Seconds beyond the time of one image after which a child ends by itself: the
#: parent, which tells what happened, comes first.
SECONDS_OF_GRACE = 5.0
#: Bytes of the largest file that a child may write; it has none to write.
LARGEST_FILE = MIB
#: The folder of all code that is ours.
_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep


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
        return _error(_raised("Decoding the image", error)), b""


def _classify(
    request: dict[str, Any], data: bytes, providers: dict[str, LocalProvider]
) -> tuple[dict[str, Any], bytes]:
    longest = request.get("reduce_to") or 0
    found: dict[str, LocalProvider | TaggingError] = {
        choice["name"]: _trying(choice["name"], _provider, choice, providers)
        for choice in request["providers"]
    }
    if not longest:
        _raise_if_all_failed(found)
    sides = (each.side for each in found.values() if isinstance(each, LocalProvider))
    image = decode(data, max(longest, *sides, 1))
    said = {
        name: _trying(name, _predict, provider, image)
        if isinstance(provider, LocalProvider)
        else provider
        for name, provider in found.items()
    }
    if not longest:
        _raise_if_all_failed(said)
    predictions = [
        {"provider": name, **(_error(each) if isinstance(each, TaggingError) else each)}
        for name, each in said.items()
    ]
    if not longest:
        return {"predictions": predictions}, b""
    small = reduced(image, longest)
    return {"predictions": predictions, "size": small.size}, to_jpeg(small)


def _raise_if_all_failed(outcomes: Mapping[str, object]) -> None:
    """Raise the first failure of providers if nobody has anything to say."""
    failures = [each for each in outcomes.values() if isinstance(each, TaggingError)]
    if failures and len(failures) == len(outcomes):
        raise failures[0]


def _trying(name: str, work: Callable[..., T], *arguments: Any) -> T | TaggingError:
    """Do what a provider does, which may be of others: what it raises is its answer."""
    try:
        return work(*arguments)
    except TaggingError as error:
        return error
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        # Such as a package that is not installed, or does not fit into the memory.
        return _raised(f"Classifying the image with {name}", error)


def _raised(what: str, error: BaseException) -> ClassifierError:
    text = " ".join(str(error).split())
    kind = type(error).__name__
    return ClassifierError(f"{what} raised {kind}: {text:.200}{_place(error)}")


def _place(error: BaseException) -> str:
    """Say in which line it was raised, for nobody sees the traceback; not of ours."""
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    file = frame.f_code.co_filename
    return (
        "" if file.startswith(_PACKAGE) else f" ({os.path.basename(file)}, line {line})"
    )


def _predict(provider: LocalProvider, image: Image.Image) -> dict[str, Any]:
    answers = provider.classify([image])
    if len(answers) != 1:
        raise ValueError(f"{len(answers)} answers for one image")
    return {
        "model": _text("model", provider.model),
        "labels": [_label(label) for label in answers[0]],
    }


def _label(label: Label) -> list[Any]:
    confidence = float(label.confidence)
    if not math.isfinite(confidence):
        raise ValueError(f"a confidence is a number from 0 to 1, not {confidence}")
    return [
        _text("label's id", label.id),
        _text("label's name", label.name),
        confidence,
    ]


def _text(what: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a {what} is a text, not {value!r:.50}")
    return value


def _provider(
    choice: dict[str, Any], providers: dict[str, LocalProvider]
) -> LocalProvider:
    if "error" in choice:
        raise ClassifierError(choice["error"])
    key = json.dumps(choice, sort_keys=True)
    if key not in providers:
        provider = find(choice["name"])(**choice["options"])
        if not isinstance(provider.side, int):
            raise TypeError(f"its side is a number of pixels, not {provider.side!r}")
        providers[key] = provider
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
