"""Asking the providers elsewhere: who may be asked, in how many requests, at a time.

No transaction is open while a request lasts. What one provider fails at costs the
labels of the others nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from . import gate, inquiries
from .errors import (
    ProviderBusy,
    ProviderError,
    ProviderLimit,
    ProviderPaused,
    ProviderRejected,
    ProviderUnreachable,
    TaggingError,
)
from .inquiries import Inquiry
from .providers.base import Label, Prediction, RemoteProvider, SentImage, heard
from .providers.http import Http, confidence
from .providers.limits import WAIT
from .providers.registry import enabled_elsewhere
from .settings.resolution import Settings
from .state import State
from .tagging import Classified, classified, question
from .timings import ASK

if TYPE_CHECKING:
    from flask import Flask

#: Requests that one thread's batch has under way at a time.
_AT_A_TIME = 4
#: Seconds that an image waits at most before it is looked at again.
_LONG = 3600.0

Kind = type[RemoteProvider]


@dataclass(frozen=True)
class Task:
    """An image for the providers elsewhere.

    :param sha256: of the file that was uploaded, not of what is sent.
    :param settings: of the instance.
    """

    instance: str
    sha256: str
    image: SentImage
    settings: Settings


@dataclass
class Result:
    """What came of a task.

    :ivar predictions: one of each provider that answered.
    :ivar failures: why the others did not, by provider.
    """

    predictions: list[Prediction] = field(default_factory=list)
    failures: dict[str, TaggingError] = field(default_factory=dict)


def classify(
    app: Flask, state: State, instance: str, data: bytes, settings: Settings
) -> Classified:
    """Let every enabled provider classify one image, here and elsewhere.

    :raises TaggingError: what is wrong with the image, the model or the child; or with
        a provider elsewhere, if no other answered.
    """
    asked = question(data, settings, state.config.machine)
    answer = state.pool.classify(asked)
    found = classified(asked, answer)
    if answer.reduced is None:
        return found
    task = Task(instance, found.sha256, answer.reduced, settings)
    [result] = ask(app, state, [task])
    return joined(found, result)


def joined(found: Classified, result: Result) -> Classified:
    """Put together what was said here and elsewhere.

    :raises TaggingError: if nobody said anything.
    """
    predictions = [*found.predictions, *result.predictions]
    failures = {**found.failures, **result.failures}
    if failures and not predictions:
        # Of several the one that may pass: then all are asked again.
        raise min(failures.values(), key=lambda error: error.permanent)
    return Classified(found.sha256, predictions, failures)


def ask(app: Flask, state: State, tasks: Sequence[Task]) -> list[Result]:
    """Ask every provider that is enabled for each task's instance.

    :return: the results, in the order of *tasks*. Nothing that a provider does raises.
    """
    results = [Result() for _ in tasks]
    with ThreadPoolExecutor(_AT_A_TIME, "flask-autotag-remote") as executor:
        for places, outcomes in executor.map(
            lambda request: _send(app, state, request),
            list(_requests(app, state, tasks, results)),
        ):
            for place, (provider, outcome) in zip(places, outcomes, strict=True):
                if isinstance(outcome, TaggingError):
                    results[place].failures[provider.name] = outcome
                else:
                    results[place].predictions.append(outcome)
    return results


@dataclass(frozen=True)
class _Image:
    """An image to send.

    :param places: of the tasks that have these bytes.
    """

    sha256: str
    image: SentImage
    places: Sequence[int]


@dataclass(frozen=True)
class _Request:
    """Different images of one instance, for one provider."""

    provider: Kind
    instance: str
    settings: Settings
    inquiry: Inquiry
    images: Sequence[_Image]


def _requests(
    app: Flask, state: State, tasks: Sequence[Task], results: Sequence[Result]
) -> Iterator[_Request]:
    """Group the tasks into requests; what was paid for before is put into *results*."""
    groups: dict[tuple[Kind, str], dict[str, list[int]]] = {}
    for place, task in enumerate(tasks):
        for provider in enabled_elsewhere(task.settings):
            group = groups.setdefault((provider, task.instance), {})
            group.setdefault(task.sha256, []).append(place)
    for (provider, instance), same_bytes in groups.items():
        settings = tasks[next(iter(same_bytes.values()))[0]].settings
        try:
            model = provider.model(settings[provider.name])
        except Exception as error:
            failure = _raised(state, provider, error)
            for place in chain(*same_bytes.values()):
                results[place].failures[provider.name] = failure
            continue
        scope = "" if state.config.reuse_across_instances else instance
        inquiry = Inquiry(state.database.models, scope, provider.name, model)
        with app.app_context():
            known = _known(state, instance, inquiry, list(same_bytes))
        for sha256, labels in known.items():
            for place in same_bytes.pop(sha256):
                results[place].predictions.append(
                    Prediction(provider.name, model, labels)
                )
        images = [
            _Image(sha256, tasks[places[0]].image, places)
            for sha256, places in same_bytes.items()
        ]
        for start in range(0, len(images), provider.together):
            part = images[start : start + provider.together]
            yield _Request(provider, instance, settings, inquiry, part)


def _known(
    state: State, instance: str, inquiry: Inquiry, contents: list[str]
) -> dict[str, tuple[Label, ...]]:
    """Find what the provider said of the same bytes before, by their digest."""
    models = state.database.models
    asset, prediction = models.asset.__table__, models.prediction.__table__
    shared = state.config.reuse_across_instances
    where = [] if shared else [asset.c.instance == instance]

    def work(session: Session) -> dict[str, tuple[Label, ...]]:
        answered = inquiry.answers(session, contents)
        rows = session.execute(
            select(asset.c.sha256, prediction.c.labels)
            .join_from(asset, prediction, prediction.c.asset_id == asset.c.id)
            .where(
                *where,
                asset.c.sha256.in_(contents),
                prediction.c.provider == inquiry.provider,
                prediction.c.model == inquiry.model,
            )
        )
        stored = {
            row.sha256: tuple(Label(*label) for label in row.labels) for row in rows
        }
        return {**answered, **stored}

    return state.database.transact(work)


#: What came of one image at one provider.
_Outcome = tuple[Kind, Prediction | TaggingError]


def _send(
    app: Flask, state: State, request: _Request
) -> tuple[list[int], list[_Outcome]]:
    """Send a request, as far as that is allowed, and remember how it went.

    :return: places of tasks, and the outcome of each.
    """
    with app.app_context():
        outcomes = _send_allowed(state, request)
    places, spread = [], []
    for image, outcome in zip(request.images, outcomes, strict=True):
        for place in image.places:
            places.append(place)
            spread.append((request.provider, outcome))
    return places, spread


def _send_allowed(state: State, request: _Request) -> list[Prediction | TaggingError]:
    number = len(request.images)
    missing = missing_fields(request.provider, request.settings[request.provider.name])
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
    """Reserve and count what may be sent now, both or neither.

    :return: why the rest may not, by digest.
    :raises TaggingError: if nothing may.
    """
    settings = request.settings[request.provider.name]
    contents = [image.sha256 for image in request.images]
    reserved = request.inquiry.reserve(session, contents)
    ours = [content for content in contents if content in reserved]
    granted = gate.admit(
        session,
        state.database.models,
        request.instance,
        request.provider.name,
        len(ours),
        gate.Limits.of(request.instance, settings),
    )
    request.inquiry.release(session, ours[granted:])
    asked = ProviderBusy(
        "Somebody else is sending the same image just now; try again in a few seconds.",
        inquiries.SOON,
    )
    return {
        **{content: asked for content in contents if content not in reserved},
        **dict.fromkeys(ours[granted:], _over_limit(settings)),
    }


def missing_fields(provider: Kind, settings: Mapping[str, Any]) -> list[str]:
    """List what a provider needs and has not, by the labels of its fields."""
    return [
        field.label
        for field in provider.section.fields
        if field.required and settings[field.name] is None
    ]


def _call(
    state: State, request: _Request, sent: Sequence[_Image]
) -> dict[str, Prediction | TaggingError]:
    """Send images, and write down at once what came of it.

    :return: the outcomes by digest.
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
    inquiries.tidy(state.database)
    return outcomes


def _ask(
    state: State, request: _Request, images: Sequence[SentImage]
) -> list[Prediction | TaggingError]:
    provider = request.provider
    settings = request.settings[provider.name]
    try:
        http = Http(state.config.allowed_origins)
        with state.timings.measuring(ASK, provider.name):
            answers = provider.classify(images, settings, http)
        if len(answers) != len(images):
            raise ProviderError(f"{provider.section.title} gave no usable answer.")
        return [
            answer if isinstance(answer, TaggingError) else _prediction(request, answer)
            for answer in answers
        ]
    except TaggingError:
        raise
    except Exception as error:
        raise _raised(state, provider, error) from None


def _raised(state: State, provider: Kind, error: Exception) -> ProviderError:
    # Of a provider of others; its words might hold the key.
    said = f"{provider.section.title} raised {type(error).__name__}"
    state.troubles.log_lines(f"{said} in", error)
    return ProviderError(f"{said}.")


def _prediction(request: _Request, labels: Sequence[Label]) -> Prediction:
    """Take what was said, if the database can store it.

    :raises ValueError: if it cannot.
    """
    return Prediction(
        request.inquiry.provider,
        request.inquiry.model,
        tuple(
            heard(label.id, label.name, confidence(label.confidence))
            for label in labels
        ),
    )


def _conclude(
    state: State,
    request: _Request,
    outcomes: Mapping[str, Prediction | TaggingError],
    failure: TaggingError | None,
) -> None:
    """Keep the answers, give up what has none, and remember how the provider fares."""
    models, instance = state.database.models, request.instance
    name = request.provider.name
    said = {
        content: outcome.labels
        for content, outcome in outcomes.items()
        if isinstance(outcome, Prediction)
    }

    unsent = sum(isinstance(each, ProviderUnreachable) for each in outcomes.values())

    def work(session: Session) -> None:
        request.inquiry.answer(session, said)
        request.inquiry.release(session, outcomes.keys() - said.keys())
        if unsent:
            gate.give_back(session, models, instance, name, unsent)
        # One that merely does not like the image works.
        if failure is None or isinstance(failure, ProviderRejected):
            gate.note_success(session, models, instance, name)
        else:
            gate.note_failure(session, models, instance, name, failure)

    state.database.transact(work)


def _over_limit(settings: Any) -> TaggingError:
    if settings.get("over_limit") == WAIT:
        return ProviderBusy("The images of this month are used up; it waits.", _LONG)
    return ProviderLimit("The images of this month are used up.")
