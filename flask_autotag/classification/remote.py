"""Calls remote providers: groups images into requests and sends them concurrently.

No transaction is open during a request. If one provider fails, the labels of the others
are kept.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from ..errors import (
    ProviderBusy,
    ProviderError,
    ProviderLimit,
    ProviderPaused,
    ProviderRejected,
    ProviderUnreachable,
    TaggingError,
)
from ..host.assets import SYSTEM
from ..providers import remote_call
from ..providers.base import Label, Prediction, RemoteProvider, SentImage
from ..providers.http import TOTAL, Http
from ..providers.limits import WAIT
from ..providers.registry import remote_enabled
from ..runtime.state import State
from ..runtime.timings import ASK
from ..settings.resolution import Settings
from . import circuit_breaker, in_flight, quota, reuse
from .in_flight import Inquiry
from .request import Classified, classified, question

if TYPE_CHECKING:
    from flask import Flask

#: Requests of one batch that are under way at the same time.
_CONCURRENT_REQUESTS = 4
#: Seconds after which an image that waits for the next month is tried again.
_RETRY_OVER_LIMIT = 3600.0
#: Seconds that an exchange gets at least, even if the child used up the time.
_SHORTEST_EXCHANGE = 1.0

ProviderClass = type[RemoteProvider]


@dataclass(frozen=True)
class Task:
    """An image for the remote providers.

    :param instance: the image's instance.
    :param sha256: the SHA-256 of the uploaded file, not of the reduced image.
    :param image: the reduced image to send.
    :param settings: the settings of the instance.
    """

    instance: str
    sha256: str
    image: SentImage
    settings: Settings


@dataclass
class Result:
    """The outcome of a task.

    :ivar predictions: the predictions of the providers that succeeded.
    :ivar failures: the errors of the other providers, by name.
    """

    predictions: list[Prediction] = field(default_factory=list)
    failures: dict[str, TaggingError] = field(default_factory=dict)

    def add(self, provider: str, outcome: Prediction | TaggingError) -> None:
        """Add the outcome of one provider."""
        if isinstance(outcome, TaggingError):
            self.failures[provider] = outcome
        else:
            self.predictions.append(outcome)


@dataclass(frozen=True)
class Patience:
    """How long a web request waits for the classification of an image.

    :param wait: seconds to wait for a free child process.
    :param total: seconds for everything; ``None`` for the timeouts of the child process
        and of each exchange with a provider.
    """

    wait: float = 5.0
    total: float | None = None

    @property
    def limit(self) -> float | None:
        """The seconds that decoding and classifying may take."""
        return None if self.total is None else self.total - self.wait


#: For code of the host that tags an image.
TAG_NOW = Patience()
#: For an image that an administrator tries: less than the 30 seconds after which
#: Gunicorn kills a worker.
TRIAL = Patience(total=25.0)


def classify(
    app: Flask,
    state: State,
    instance: str,
    data: bytes,
    settings: Settings,
    patience: Patience | None = None,
) -> Classified:
    """Classify one image with every enabled provider, local and remote.

    :param patience: the patience of a web request, which has child processes of its
        own; ``None`` to wait without limit for those of the background.
    :raises ClassifierBusy: if no child process is free in time.
    :raises TaggingError: for a fault of the image, the model or the child process; for
        the fault of a remote provider only if no provider succeeded.
    """
    child_request = question(data, settings, state.config.machine)
    start = time.monotonic()
    total = TOTAL
    if patience is None:
        answer = state.pool.classify(child_request)
    else:
        answer = state.request_pool.classify(
            child_request, wait=patience.wait, limit=patience.limit
        )
        if patience.total is not None:
            left = patience.total - (time.monotonic() - start)
            total = min(TOTAL, max(_SHORTEST_EXCHANGE, left))
    local = classified(child_request, answer)
    if answer.reduced is None:
        return local
    task = Task(instance, local.sha256, answer.reduced, settings)
    [result] = ask_providers(app, state, [task], total)
    return joined(local, result)


def joined(local: Classified, remote: Result) -> Classified:
    """Join the results of local and remote providers.

    :raises TaggingError: if no provider succeeded.
    """
    predictions = [*local.predictions, *remote.predictions]
    failures = {**local.failures, **remote.failures}
    if failures and not predictions:
        # Prefer a temporary failure, so that the job is retried.
        raise min(failures.values(), key=lambda error: error.permanent)
    return Classified(local.sha256, predictions, failures)


def ask_providers(
    app: Flask, state: State, tasks: Sequence[Task], total: float = TOTAL
) -> list[Result]:
    """Call every remote provider that is enabled for each task's instance.

    Errors of providers are not raised; they are in the results.

    :param total: seconds for each exchange.
    :return: the results, in the order of *tasks*.
    """
    results = [Result() for _ in tasks]
    requests = list(_requests(app, state, tasks, results, total))
    with ThreadPoolExecutor(_CONCURRENT_REQUESTS, "flask-autotag-remote") as executor:
        answered = executor.map(partial(_send, app, state), requests)
        for request, outcomes in zip(requests, answered, strict=True):
            for image, outcome in zip(request.images, outcomes, strict=True):
                for place in image.places:
                    results[place].add(request.provider.name, outcome)
    return results


@dataclass(frozen=True)
class _Image:
    """An image to send.

    :param sha256: the SHA-256 of the uploaded file.
    :param places: the positions of the tasks with this file.
    """

    sha256: str
    image: SentImage
    places: Sequence[int]


@dataclass(frozen=True)
class _Request:
    """Different images of one instance for one provider.

    :param shared: whether other instances may use the answers.
    :param total: seconds for the exchange.
    """

    provider: ProviderClass
    instance: str
    settings: Settings
    inquiry: Inquiry
    shared: bool
    images: Sequence[_Image]
    total: float


def _requests(
    app: Flask,
    state: State,
    tasks: Sequence[Task],
    results: Sequence[Result],
    total: float,
) -> Iterator[_Request]:
    """Group the tasks into requests, and put stored answers into *results*."""
    with app.app_context():
        shared_settings = reuse.shared_settings(state)
    for (provider, instance), places_by_content in _groups(tasks).items():
        settings = tasks[next(iter(places_by_content.values()))[0]].settings
        try:
            model = provider.model(settings[provider.name])
        except Exception as error:
            failure = _unexpected(state, provider, error)
            for place in chain(*places_by_content.values()):
                results[place].add(provider.name, failure)
            continue
        shared = reuse.is_shared(provider, settings, shared_settings)
        scope = SYSTEM if shared else instance
        inquiry = Inquiry(state.database.models, scope, provider.name, model)
        with app.app_context():
            stored = reuse.stored_predictions(
                state, instance, inquiry, list(places_by_content)
            )
        for content, prediction in stored.items():
            for place in places_by_content.pop(content):
                results[place].add(provider.name, prediction)
        images = [
            _Image(content, tasks[places[0]].image, places)
            for content, places in places_by_content.items()
        ]
        for start in range(0, len(images), provider.together):
            part = images[start : start + provider.together]
            yield _Request(provider, instance, settings, inquiry, shared, part, total)


def _groups(
    tasks: Sequence[Task],
) -> dict[tuple[ProviderClass, str], dict[str, list[int]]]:
    """Return the positions of the tasks by provider and instance, and by content."""
    groups: dict[tuple[ProviderClass, str], dict[str, list[int]]] = {}
    for place, task in enumerate(tasks):
        for provider in remote_enabled(task.settings):
            group = groups.setdefault((provider, task.instance), {})
            group.setdefault(task.sha256, []).append(place)
    return groups


def _send(
    app: Flask, state: State, request: _Request
) -> list[Prediction | TaggingError]:
    """Send the images that may be sent, and return the outcome of each image."""
    with app.app_context():
        return _send_allowed(state, request)


def _send_allowed(state: State, request: _Request) -> list[Prediction | TaggingError]:
    number = len(request.images)
    missing = remote_call.missing_fields(
        request.provider, request.settings[request.provider.name]
    )
    if missing:
        return [ProviderPaused(f"It is paused: {', '.join(missing)} not set.")] * number
    try:
        refused = state.database.transact(
            lambda session: _admit(session, state, request)
        )
    except TaggingError as error:
        return [error] * number
    sent = [image for image in request.images if image.sha256 not in refused]
    outcomes = {**refused, **(_call(state, request, sent) if sent else {})}
    return [outcomes[image.sha256] for image in request.images]


def _admit(
    session: Session, state: State, request: _Request
) -> dict[str, TaggingError]:
    """Reserve the images that may be sent now, and count them against the quota.

    :return: the errors of the images that may not be sent, by SHA-256.
    :raises TaggingError: if no image may be sent.
    """
    settings = request.settings[request.provider.name]
    contents = [image.sha256 for image in request.images]
    reserved = request.inquiry.reserve(session, contents)
    ordered = [content for content in contents if content in reserved]
    granted = circuit_breaker.reserve_calls(
        session,
        state.database.models,
        request.instance,
        request.provider.name,
        len(ordered),
        quota.Limits.of(request.instance, settings),
    )
    request.inquiry.release(session, ordered[granted:])
    busy = ProviderBusy(
        "Another worker is sending the same image now; try again in a few seconds.",
        in_flight.RETRY_SOON,
    )
    return {
        **{content: busy for content in contents if content not in reserved},
        **dict.fromkeys(ordered[granted:], _over_limit(settings)),
    }


def _call(
    state: State, request: _Request, sent: Sequence[_Image]
) -> dict[str, Prediction | TaggingError]:
    """Send images, and store the outcome at once.

    :return: the outcomes, by SHA-256.
    """
    failure: TaggingError | None = None
    outcomes: dict[str, Prediction | TaggingError]
    try:
        answers = _ask(state, request, [image.image for image in sent])
        outcomes = {
            image.sha256: answer for image, answer in zip(sent, answers, strict=True)
        }
    except TaggingError as error:
        failure = error
        outcomes = {image.sha256: error for image in sent}
    state.exchanges.add(request.provider.name, failure.code if failure else "")
    _conclude(state, request, outcomes, failure)
    in_flight.delete_expired(state.database)
    return outcomes


def _ask(
    state: State, request: _Request, images: Sequence[SentImage]
) -> list[Prediction | TaggingError]:
    provider = request.provider
    settings = request.settings[provider.name]
    try:
        http = Http(state.config.allowed_origins, request.total)
        with state.timings.measuring(ASK, provider.name):
            answers = remote_call.ask(provider, images, settings, http)
        return [
            answer if isinstance(answer, TaggingError) else _prediction(request, answer)
            for answer in answers
        ]
    except TaggingError:
        raise
    except Exception as error:
        raise _unexpected(state, provider, error) from None


def _unexpected(
    state: State, provider: ProviderClass, error: Exception
) -> ProviderError:
    # Leave out the error's message, which may hold the key.
    summary = f"{provider.section.title} raised {type(error).__name__}"
    state.throttled_log.log_lines(f"{summary} in", error)
    return ProviderError(f"{summary}.")


def _prediction(request: _Request, labels: Sequence[Label]) -> Prediction:
    return Prediction(
        request.inquiry.provider, request.inquiry.model, tuple(labels), request.shared
    )


def _conclude(
    state: State,
    request: _Request,
    outcomes: Mapping[str, Prediction | TaggingError],
    failure: TaggingError | None,
) -> None:
    """Store the answers, release the other images, and update the circuit breaker."""
    models, instance = state.database.models, request.instance
    name = request.provider.name
    answers = {
        content: outcome.labels
        for content, outcome in outcomes.items()
        if isinstance(outcome, Prediction)
    }
    unsent = sum(isinstance(each, ProviderUnreachable) for each in outcomes.values())

    def work(session: Session) -> None:
        request.inquiry.store(session, answers)
        request.inquiry.release(session, outcomes.keys() - answers.keys())
        if unsent:
            quota.refund(session, models, instance, name, unsent)
        # A rejected image is no failure: the provider is up.
        if failure is None or isinstance(failure, ProviderRejected):
            circuit_breaker.record_success(session, models, instance, name)
        else:
            circuit_breaker.record_failure(session, models, instance, name, failure)

    state.database.transact(work)


def _over_limit(settings: Any) -> TaggingError:
    if settings.get("over_limit") == WAIT:
        return ProviderBusy(
            "The images of this month are used up; it waits.", _RETRY_OVER_LIMIT
        )
    return ProviderLimit("The images of this month are used up.")
