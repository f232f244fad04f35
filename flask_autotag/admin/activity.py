"""The page of what goes on: what waits, runs, is done and failed, and why."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from flask import abort, current_app, redirect, render_template, request
from flask.typing import ResponseReturnValue

from ..activity import COUNTED, Activity, read_activity
from ..jobs.outlook import Applying
from ..jobs.queue import FAILED, QUARANTINED, RULES_TYPE
from ..jobs.report import TROUBLE, Example, Reason
from ..jobs.upkeep import Ended, purging, retrying
from .access import CHANGE, REVIEW, admit, instances, may
from .chart import Chart
from .display import translated
from .duration import counted, duration
from .field import explain_url
from .form import can_be_trusted, guard_fields, token_form, too_old
from .headline import Headline, headline
from .page import FormPage, base_context
from .provider_lines import ProviderLine, provider_lines
from .scope import Scope
from .text import gettext

#: Images in quarantine that the page names.
_QUARANTINED = 20
#: Seconds of a request in which jobs are retried or dismissed; then it answers.
_PATIENCE = 8.0
#: Digits of a number that are read.
_DIGITS = 18
_MOMENT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?", re.ASCII)


@dataclass
class ActivityPage(FormPage):
    """The page, while it is made."""

    @cached_property
    def activity(self) -> Activity:
        """What goes on."""
        models, instance = self.state.database.models, self.scope.instance
        return self.state.database.transact(
            lambda session: read_activity(session, models, instance)
        )

    @property
    def url(self) -> str:
        """The address of this page."""
        return self.scope.activity_url

    @cached_property
    def guard_fields(self) -> Mapping[str, str]:
        """What each form holds unseen."""
        return {**guard_fields(), "seen": repr(self.activity.report.now)}

    @property
    def moment(self) -> datetime:
        """When all this was read."""
        return datetime.fromtimestamp(self.activity.report.now, UTC)

    @cached_property
    def headline(self) -> Headline:
        """All of it in a sentence or two."""
        paused = [one for one in self.activity.closed if one.state.paused is not None]
        return headline(self.activity.report, len(paused))

    def count(self, state: str) -> str:
        """Say how many jobs are in a state."""
        return counted(self.activity.report.states.get(state, 0), COUNTED)

    def counted(self, reason: Reason) -> str:
        """Say how many jobs failed for a reason."""
        return counted(reason.count, COUNTED)

    @property
    def waits(self) -> str | None:
        """For how long the oldest job waits."""
        oldest = self.activity.report.oldest
        return None if oldest is None else duration(oldest)

    @property
    def left(self) -> str | None:
        """How long those that wait take at the present pace."""
        seconds = self.activity.report.seconds_left
        return None if seconds is None else duration(seconds)

    @property
    def bulk(self) -> str | None:
        """How many of those that wait are bulk work, if any are."""
        bulk = self.activity.report.bulk
        return counted(bulk, COUNTED) if bulk else None

    @property
    def failures(self) -> Sequence[Reason]:
        """Why jobs failed."""
        return self._of(FAILED)

    def sentences(self, reason: Reason) -> Sequence[str]:
        """Give the sentences of the jobs that a reason names, each once."""
        return list(dict.fromkeys(one.text for one in reason.examples))

    @property
    def quarantine(self) -> Sequence[Example]:
        """Images in quarantine."""
        found = [one for reason in self._of(QUARANTINED) for one in reason.examples]
        return sorted(found, key=lambda one: -one.finished_at)[:_QUARANTINED]

    @property
    def more_quarantined(self) -> bool:
        """Whether more are in quarantine than the page names."""
        number = self.activity.report.states.get(QUARANTINED, 0)
        return number > len(self.quarantine)

    def name(self, example: Example) -> str:
        """Say what a job was about."""
        if example.asset.type == RULES_TYPE:
            return gettext("Settings for existing images")
        return str(example.asset)

    def ended(self, example: Example) -> datetime:
        """Say when a job failed, in UTC."""
        return datetime.fromtimestamp(example.finished_at, UTC)

    def explain_url(self, example: Example) -> str | None:
        """Give the address of the page of an image, if the user may open it."""
        is_image = example.asset.type != RULES_TYPE
        if not is_image or not may(REVIEW, example.instance):
            return None
        return explain_url(example.asset, example.instance)

    def instance_title(self, instance: str) -> str | None:
        """Name an instance, on the page of the system."""
        return instances().get(instance, instance) if self.scope.is_system else None

    def progress(self, job: Applying) -> str:
        """Say how far a job is that applies settings."""
        if not job.share:
            return gettext("It waits for its turn.")
        percent = f"{job.share * 100:.0f}"
        if job.seconds_left is None:
            return gettext("%(percent)s %% done.", percent=percent)
        return gettext(
            "%(percent)s %% done; about %(time)s left.",
            percent=percent,
            time=duration(job.seconds_left),
        )

    @property
    def chart(self) -> Chart:
        """The last day."""
        return Chart(self.activity.hours)

    @cached_property
    def providers(self) -> Sequence[ProviderLine]:
        """How the providers fare."""
        return provider_lines(self.state, self.scope, self.activity)

    def render(self) -> str:
        """Make the HTML."""
        return render_template(
            "autotag/activity.html", autotag_page=self, **base_context()
        )

    def _of(self, state: str) -> list[Reason]:
        return [one for one in self.activity.report.reasons if one.state == state]


def activity_page(scope: Scope) -> ResponseReturnValue:
    """Answer a request for what goes on."""
    page = ActivityPage(scope, token_form())
    page.warn_without_key()
    if request.method == "POST":
        return _answer(page)
    page.notices += _told()
    return page.render()


def _answer(page: ActivityPage) -> ResponseReturnValue:
    """Retry or dismiss what a form names, as long as somebody waits for it."""
    command = request.form.get("command", "")
    if command not in _COMMANDS:
        abort(400, gettext("The form has a button that does not belong to it."))
    refusal = admit(CHANGE, page.scope.instance)
    if refusal is not None:
        return refusal
    if not can_be_trusted():
        return page.render(), 400
    which, seen = _read_form(page.scope)
    if not page.token.validate():
        page.alerts.append(translated(too_old()))
        return page.render(), 400
    done, is_all = 0, True
    end = time.monotonic() + _PATIENCE
    for number in _COMMANDS[command](page, which, seen):
        done += number
        if time.monotonic() > end:
            is_all = False
            break
    marks = {command: done, **({} if is_all else {"more": 1})}
    return redirect(page.scope.activity_url_told(**marks), 303)


def _retry(page: ActivityPage, which: Ended, seen: float) -> Iterator[int]:
    """Queue jobs again, and wake who works them off, portion by portion."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    for ids in retrying(page.state.database, which, seen):
        page.state.runner.wake(app, page.state, ids)
        yield len(ids)


def _dismiss(page: ActivityPage, which: Ended, seen: float) -> Iterator[int]:
    """Forget jobs, portion by portion."""
    return map(len, purging(page.state.database, which, seen))


def _read_form(scope: Scope) -> tuple[Ended, float]:
    """Read which jobs are meant, and until when the user has seen what failed.

    Whatever the form says, they are of the scope.
    """
    form = request.form
    state, job = form.get("state"), form.get("job")
    seen = _moment(form.get("seen", ""))
    number = None if job is None else _number(job)
    if state not in TROUBLE or seen is None or (job is not None and number is None):
        abort(400, gettext("The form is incomplete. Reload the page and try again."))
    instance = None if scope.is_system else scope.instance
    return Ended([state], form.get("code"), instance, number), seen


def _number(text: str) -> int | None:
    is_number = text.isascii() and text.isdigit() and len(text) <= _DIGITS
    return int(text) if is_number else None


def _moment(text: str) -> float | None:
    """Read seconds since 1970; none that no clock shows."""
    found = _MOMENT.fullmatch(text)
    return float(text) if found else None


def _told() -> list[str]:
    """Say what came of the last form."""
    for command, sentence in _SENTENCES.items():
        number = _number(request.args.get(command, ""))
        if number is not None:
            told = [gettext(sentence, number=f"{number:,}")]
            if "more" in request.args:
                told.append(gettext("There are more: press the button again."))
            return told
    return []


#: Each gives how many jobs it has changed, portion by portion.
_COMMANDS: Mapping[str, Callable[[ActivityPage, Ended, float], Iterator[int]]] = {
    "retry": _retry,
    "dismiss": _dismiss,
}
#: What to say of each then.
_SENTENCES = {
    "retry": "To be tried again: %(number)s.",
    "dismiss": "Dismissed: %(number)s.",
}
#: These sentences, for the one who collects messages.
SENTENCES = tuple(_SENTENCES.values())
