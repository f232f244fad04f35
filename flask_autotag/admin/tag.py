"""The page of one tag: where it is, and what was decided about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from flask import abort, redirect, render_template, request
from flask.typing import ResponseReturnValue

from ..catalogue import Made, Uses, count_one, read_names
from ..checks import CheckError
from ..settings.edit import Proposal, propose
from ..settings.fields import Path
from ..vocabulary import TagName, Word, tag_name
from .display import SectionView, Shown
from .form import Sent, read_form, token_form
from .page import base_context
from .proposals import Offer, offers_of
from .scope import Scope
from .tag_actions import ACTIONS
from .tag_facts import Facts, read_facts
from .text import gettext
from .word_display import RULES, decided, rule_layers
from .word_page import BOTH, Refused, WordPage, answer


@dataclass(kw_only=True)
class TagPage(WordPage):
    """The page of one tag, while it is made.

    :param asked_for: the tag, as the address names it.
    :param sent: the rules that were typed, if they were.
    :param rule_errors: what is wrong with them.
    :param explanations: what a form means, in sentences, before it is saved.
    :param suggested: a tag to merge into.
    """

    asked_for: TagName
    sent: Sent | None = None
    rule_errors: dict[Path, CheckError] = field(default_factory=dict)
    explanations: list[str] = field(default_factory=list)
    suggested: str = ""

    @property
    def key(self) -> str:
        """The tag's key."""
        return self.asked_for.key

    @property
    def url(self) -> str:
        """The address of this page."""
        return self.scope.tag_url(self.key)

    @property
    def saved_url(self) -> str:
        """Where it goes on when something was saved."""
        if "from_settings" in request.form:
            return f"{self.scope.url}?saved=1&applied=1"
        return self.scope.tag_url(self.key, saved="1")

    @cached_property
    def facts(self) -> Facts:
        """What is stored about it."""
        return self.state.database.transact(
            lambda session: read_facts(session, self.stored, self.scope, self.asked_for)
        )

    @property
    def name(self) -> TagName:
        """What it is called."""
        return self.facts.given.get(self.key, self.facts.name)

    @property
    def labels(self) -> Mapping[str, str]:
        """What the fields of the page are called."""
        return {
            "name": gettext("New name"),
            "into": gettext("Other tag"),
            "alias": gettext("Another word for it"),
            "sure": gettext("Delete this tag from all images"),
            "proposed": gettext("The proposal"),
            **{field.name: gettext(field.label) for field in RULES.fields},
        }

    @property
    def decided(self) -> Sequence[str]:
        """What was decided about it, in sentences."""
        return decided(self.key, self.facts.system, self.facts.own)

    @property
    def made(self) -> Sequence[tuple[bool, Made]]:
        """Who decided: whether here, and whom."""
        here = self.scope.instance
        return [(place == here, made) for place, made in self.facts.made.items()]

    @property
    def has_own_name(self) -> bool:
        """Whether it was decided here how it is written."""
        return self._decision.becomes is not None

    @property
    def decides_here(self) -> bool:
        """Whether anything was decided about it here."""
        return not self._decision.is_empty

    @property
    def _decision(self) -> Word:
        return self.facts.here.get(self.key, Word())

    @cached_property
    def pictures(self) -> Sequence[tuple[str, str]]:
        """Names and addresses of pictures that have it, if the host shows any."""
        find = self.state.hooks.image_url
        found = (
            [(str(asset), find(asset)) for asset in self.facts.images] if find else []
        )
        return [(name, url) for name, url in found if url]

    @property
    def offers(self) -> Sequence[Offer]:
        """What people's rejections teach about it."""
        return offers_of(self.state, self.scope, self.key)

    @cached_property
    def proposal(self) -> Proposal:
        """The rules that were typed, checked."""
        layers = rule_layers(self.key, self.facts.system, self.facts.own)
        typed = {} if self.sent is None else self.sent.typed
        return propose(layers, typed, model_dir=None)

    @property
    def rules(self) -> SectionView:
        """The fields of the rules."""
        layers = self.proposal.before
        return Shown(layers, self.sent, self.rule_errors, None).sections()[0]

    def read_rules(self) -> None:
        """Read the rules that were typed.

        :raises Refused: if something is wrong with them.
        """
        self.sent = read_form((RULES,), self.token)
        self.rule_errors.update({**self.proposal.errors, **self.sent.errors})
        for (_, name), error in self.rule_errors.items():
            raise Refused(name, error)

    def count(self, name: TagName) -> Uses:
        """Count the images of any tag here."""
        models, instance = self.state.database.models, self.scope.instance
        return self.state.database.transact(
            lambda session: count_one(session, models, instance, name.key)
        )

    def is_used(self, name: TagName) -> bool:
        """Whether there is anything of a tag that would be merged."""
        return self.count(name) != Uses()

    def find(self, name: TagName) -> TagName | None:
        """Find how a tag is written, or a word on which something was decided.

        :return: ``None`` if there is none of that name.
        """
        models, instance = self.state.database.models, self.scope.instance
        stored = self.state.database.transact(
            lambda session: read_names(session, models, instance, [name.key])
        )
        return self.facts.given.get(name.key) or stored.get(name.key)

    def render(self) -> str:
        """Make the HTML."""
        return render_template("autotag/tag.html", autotag_page=self, **base_context())


def tag_page(scope: Scope) -> ResponseReturnValue:
    """Answer a request for the page of one tag."""
    try:
        name = tag_name(request.args.get("key", ""))
    except ValueError:
        abort(404, gettext("There is no tag of this name."))
    page = TagPage(scope, token_form(), asked_for=name)
    page.warn_without_key()
    called = page.facts.vocabulary.called(name)
    if "reset" in request.form:
        return _show_reset(page)
    if request.method == "POST":
        return answer(page, ACTIONS)
    if called.key != page.key:
        told = {mark: "1" for mark in ("saved", BOTH) if mark in request.args}
        return redirect(scope.tag_url(called.key, was=page.facts.name.name, **told))
    page.told()
    _tell_of_old_name(page, request.args.get("was", ""))
    return page.render()


def _tell_of_old_name(page: TagPage, text: str) -> None:
    """Say that the tag was asked for under another name, if that is true."""
    try:
        old = tag_name(text)
    except ValueError:
        return
    called = page.facts.vocabulary.called(old)
    if called.key == page.key != old.key:
        page.notices.append(
            gettext("%(old)s is called %(new)s now.", old=old.name, new=page.name.name)
        )


def _show_reset(page: TagPage) -> ResponseReturnValue:
    page.sent = read_form((RULES,), page.token)
    page.notices.append(gettext("What you reset inherits again as soon as you save."))
    return page.render()
