"""The page of activity: the queue, the last day, bulk work and the providers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from flask import redirect, request
from flask.typing import ResponseReturnValue
from wtforms import HiddenField
from wtforms.validators import AnyOf, Regexp

from ....db.job_states import FAILED, QUARANTINED, RULES_TYPE
from ....host.application import current_application
from ....jobs.maintenance import Ended, purging, retrying
from ....monitoring.activity import Activity, read_activity
from ....monitoring.queue_report import TROUBLE, Example, Reason
from ...access import CHANGE, REVIEW, instances, may
from ...translation import gettext, translatable
from ..form import (
    ButtonField,
    NumberField,
    PageForm,
    refuse_button,
    refuse_incomplete,
    whole_number,
)
from ..page import FormPage
from ..review.image_tags import explain_url
from ..scope import Scope
from .chart import Chart
from .headline import Headline, headline
from .provider_lines import ProviderLine, provider_lines

#: The most images in quarantine that the page lists.
_QUARANTINED = 20
#: Seconds after which a request stops retrying or dismissing jobs, and answers.
_PATIENCE = 8.0
_MOMENT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?\Z")


@dataclass
class ActivityPage(FormPage):
    """The page of activity, while it is rendered."""

    template = "autotag/activity.html"

    @cached_property
    def activity(self) -> Activity:
        """The queue, the last day, bulk work and the providers, read together."""
        return self.transact(read_activity)

    @property
    def url(self) -> str:
        """The page's address."""
        return self.scope.url_for("activity")

    def form(self, **selected: str | int) -> ActivityForm:
        """Return a form for some of the failures on the page.

        :param selected: see :class:`ActivityForm`.
        """
        seen = repr(self.activity.report.now)
        return ActivityForm(None, data={"seen": seen, **selected})

    @cached_property
    def headline(self) -> Headline:
        """The page in a sentence or two."""
        closed = self.activity.closed
        paused = [each for each in closed if each.state.paused is not None]
        return headline(self.activity.report, len(paused))

    @property
    def failures(self) -> Sequence[Reason]:
        """The reasons of failed jobs."""
        return self._of(FAILED)

    @property
    def quarantine(self) -> Sequence[Example]:
        """The jobs in quarantine, the latest first."""
        jobs = [job for reason in self._of(QUARANTINED) for job in reason.examples]
        return sorted(jobs, key=lambda job: -job.finished_at)[:_QUARANTINED]

    @property
    def more_quarantined(self) -> bool:
        """Whether more jobs are in quarantine than the page lists."""
        number = self.activity.report.states.get(QUARANTINED, 0)
        return number > len(self.quarantine)

    def name(self, example: Example) -> str:
        """Return the subject of a job."""
        if example.asset.type == RULES_TYPE:
            return gettext("Settings for existing images")
        return str(example.asset)

    def explain_url(self, example: Example) -> str | None:
        """Return the address of an image's page, if the user may open it."""
        is_image = example.asset.type != RULES_TYPE
        if not is_image or not may(REVIEW, example.instance):
            return None
        return explain_url(example.asset, example.instance)

    def instance_title(self, instance: str) -> str | None:
        """Return an instance's title on the page of the system."""
        return instances().get(instance, instance) if self.scope.is_system else None

    @property
    def chart(self) -> Chart:
        """The chart of the last day."""
        return Chart(self.activity.hours)

    @cached_property
    def providers(self) -> Sequence[ProviderLine]:
        """The state of each provider."""
        return provider_lines(self.state, self.scope, self.activity)

    def _of(self, state: str) -> list[Reason]:
        return [each for each in self.activity.report.reasons if each.state == state]


class ActivityForm(PageForm):
    """A form that retries or dismisses jobs.

    ``state`` and ``code`` select failures, and ``job`` selects one job. ``seen`` is the
    time until which the user has seen failures, in seconds since 1970.
    """

    state = HiddenField(validators=[AnyOf(sorted(TROUBLE))])
    code = HiddenField()
    job = NumberField()
    seen = HiddenField(validators=[Regexp(_MOMENT)])
    command = ButtonField()

    def selection(self, scope: Scope) -> Ended:
        """Return the selected jobs of a scope."""
        instance = None if scope.is_system else scope.instance
        return Ended([self.state.data], self.code.data, instance, self.job.data)


def activity_page(scope: Scope) -> ResponseReturnValue:
    """Answer a request for the page of activity, or one of its forms."""
    page = ActivityPage(scope)
    page.warn_without_key()
    if request.method == "POST":
        return _answer(page, ActivityForm())
    page.notices += _outcome()
    return page.render()


def _answer(page: ActivityPage, form: ActivityForm) -> ResponseReturnValue:
    """Retry or dismiss the jobs that a form names, within :data:`_PATIENCE`."""
    command = form.command.data
    if command not in _COMMANDS:
        refuse_button()
    refusal = page.refusal(form, CHANGE)
    if refusal is not None:
        return refusal
    if not form.validate():
        refuse_incomplete()
    which, seen = form.selection(page.scope), float(form.seen.data)
    done, has_more = 0, False
    end = time.monotonic() + _PATIENCE
    for number in _COMMANDS[command](page, which, seen):
        done += number
        if time.monotonic() > end:
            has_more = True
            break
    marks = {command: done, **({"more": 1} if has_more else {})}
    return redirect(page.scope.url_for("activity", **marks), 303)


def _retry(page: ActivityPage, which: Ended, seen: float) -> Iterator[int]:
    """Queue jobs again and wake the runner, one portion after the other."""
    app = current_application()
    for ids in retrying(page.state.database, which, seen):
        page.state.runner.wake(app, page.state, ids)
        yield len(ids)


def _dismiss(page: ActivityPage, which: Ended, seen: float) -> Iterator[int]:
    """Delete jobs, one portion after the other."""
    return map(len, purging(page.state.database, which, seen))


def _outcome() -> list[str]:
    """Return the outcome of the last form, or nothing."""
    for command, sentence in _SENTENCES.items():
        number = request.args.get(command, type=whole_number)
        if number is not None:
            sentences = [gettext(sentence, number=f"{number:,}")]
            if "more" in request.args:
                sentences.append(gettext("There are more: press the button again."))
            return [" ".join(sentences)]
    return []


#: The functions behind the buttons. Each yields the number of jobs in a portion.
_COMMANDS: Mapping[str, Callable[[ActivityPage, Ended, float], Iterator[int]]] = {
    "retry": _retry,
    "dismiss": _dismiss,
}
#: The outcome of each button.
_SENTENCES = {
    "retry": translatable("Queued again: %(number)s."),
    "dismiss": translatable("Dismissed: %(number)s."),
}
