"""Serves requests in the child: decodes an image and returns labels."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from PIL import Image

from ...errors import ClassifierError, ClassifierMemory, TaggingError
from ...providers.base import Label, LocalProvider
from ...providers.registry import find
from ..decode import decode, reduced, to_jpeg
from .confinement import ProcessorTime
from .protocol import read_frame, write_frame

T = TypeVar("T")

#: The folder of this package, ``flask_autotag``.
_PACKAGE = str(Path(__file__).parents[2]) + os.sep
#: Seconds after the timeout at which the child ends itself. Before that, the parent
#: kills it and reports the timeout.
SECONDS_OF_GRACE = 5.0
#: Share of the timeout that decoding may take as processor time. The largest accepted
#: images take a few seconds.
SHARE_OF_DECODING = 0.5

#: The providers of a child by name, or the error of a provider that cannot be used.
Prepared = Mapping[str, LocalProvider | TaggingError]


def prepare(
    choices: Iterable[dict[str, Any]], loaded: dict[str, LocalProvider]
) -> Prepared:
    """Create the chosen providers.

    :param choices: the name of each provider with its options, or with an error.
    :param loaded: providers that exist already, by choice; new ones are added.
    """
    return {
        choice["name"]: _attempt(choice["name"], _provider, choice, loaded)
        for choice in choices
    }


@dataclass(frozen=True)
class Channel:
    """The connection to the parent.

    :param timeout: seconds for one image.
    """

    requests: IO[bytes]
    answers: IO[bytes]
    timeout: float


def serve(
    prepared: Prepared,
    channel: Channel,
    processor_time: ProcessorTime,
    change: Callable[[list[dict[str, Any]]], Prepared | None],
) -> None:
    """Answer each request until the parent closes the channel.

    :param processor_time: the limit that the kernel enforces.
    :param change: creates other providers for a request; returns ``None`` if it cannot.
    """
    while True:
        try:
            request, data = read_frame(channel.requests, most=sys.maxsize)
        except EOFError:
            return
        end_after(channel.timeout + SECONDS_OF_GRACE)
        processor_time.begin_image()
        if "providers" in request:
            changed = change(request["providers"])
            prepared = prepared if changed is None else changed
            write_frame(channel.answers, {"changed": changed is not None})
            end_after(0)
            continue
        answer, reduced_image = _answer(request, data, prepared, channel.timeout)
        end_after(0)
        write_frame(channel.answers, answer, reduced_image)


def end_after(seconds: float) -> None:
    """Let a timer end this process with ``SIGALRM``; 0 cancels the timer.

    The parent kills a child that hangs. This timer covers a parent that was killed
    itself, and code that never returns to Python.
    """
    if hasattr(signal, "setitimer"):  # Windows has none.
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _limit_processor_time(seconds: float) -> None:
    """Let a timer end this process with ``SIGPROF``; 0 cancels the timer."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _answer(
    request: dict[str, Any], data: bytes, prepared: Prepared, timeout: float
) -> tuple[dict[str, Any], bytes]:
    """Return the answer, and the reduced image if the request asks for it."""
    start = time.perf_counter()
    try:
        answer, reduced_image = _classify(request, data, prepared, timeout)
        return {**answer, "seconds": time.perf_counter() - start}, reduced_image
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
    request: dict[str, Any], data: bytes, prepared: Prepared, timeout: float
) -> tuple[dict[str, Any], bytes]:
    longest = request["reduce_to"] or 0
    if not longest:
        _raise_if_all_failed(prepared)
    sides = (each.side for each in prepared.values() if isinstance(each, LocalProvider))
    _limit_processor_time(timeout * SHARE_OF_DECODING)
    image = decode(data, max(longest, *sides, 1))
    _limit_processor_time(0)
    outcomes = {
        name: _attempt(name, _predict, provider, image)
        if isinstance(provider, LocalProvider)
        else provider
        for name, provider in prepared.items()
    }
    if not longest:
        _raise_if_all_failed(outcomes)
    predictions = [
        {"provider": name, **(_error(each) if isinstance(each, TaggingError) else each)}
        for name, each in outcomes.items()
    ]
    if not longest:
        return {"predictions": predictions}, b""
    small = reduced(image, longest)
    return {"predictions": predictions, "size": small.size}, to_jpeg(small)


def _raise_if_all_failed(outcomes: Mapping[str, object]) -> None:
    failures = [each for each in outcomes.values() if isinstance(each, TaggingError)]
    if failures and len(failures) == len(outcomes):
        raise failures[0]


def _attempt(name: str, work: Callable[..., T], *arguments: Any) -> T | TaggingError:
    """Call code of a provider, and return the error that it raises."""
    try:
        return work(*arguments)
    except TaggingError as error:
        return error
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        # Providers of other packages may raise anything, such as an ImportError.
        return _raised(f"Classifying the image with {name}", error)


def _raised(task: str, error: BaseException) -> ClassifierError:
    message = " ".join(str(error).split())
    name = type(error).__name__
    return ClassifierError(f"{task} raised {name}: {message:.200}{_place(error)}")


def _place(error: BaseException) -> str:
    """Return the line that raised the error, unless it is a line of this package.

    Nobody sees the traceback of a child.
    """
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    file = frame.f_code.co_filename
    return (
        "" if file.startswith(_PACKAGE) else f" ({os.path.basename(file)}, line {line})"
    )


def _predict(provider: LocalProvider, image: Image.Image) -> dict[str, Any]:
    answers = provider.classify([image])
    if len(answers) != 1:
        raise ValueError(f"{len(answers)} lists of labels for one image")
    return {
        "model": _text("model", provider.model),
        "labels": [_label(label) for label in answers[0]],
    }


def _label(label: Label) -> list[Any]:
    confidence = float(label.confidence)
    if not math.isfinite(confidence):
        raise ValueError(f"a confidence must be a number from 0 to 1, not {confidence}")
    return [
        _text("label's id", label.id),
        _text("label's name", label.name),
        confidence,
        *([label.part] if label.part else []),
    ]


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a {name} must be a string, not {value!r:.50}")
    return value


def _provider(
    choice: dict[str, Any], loaded: dict[str, LocalProvider]
) -> LocalProvider:
    if "error" in choice:
        raise ClassifierError(choice["error"])
    key = json.dumps(choice, sort_keys=True)
    if key not in loaded:
        provider = find(choice["name"])(**choice["options"])
        if not isinstance(provider.side, int):
            raise TypeError(f"side must be a number of pixels, not {provider.side!r}")
        for path in (*provider.files, *provider.devices):
            os.fspath(path)
        loaded[key] = provider
    # The last used comes last: the first are removed.
    loaded[key] = loaded.pop(key)
    return loaded[key]


def _error(error: TaggingError) -> dict[str, Any]:
    return {"error": type(error).__name__, "message": str(error)}
