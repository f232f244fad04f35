"""The page of one tag: its images, and the decisions about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ....settings.tag_names import TagName
from ....settings.vocabulary import WordRule
from ....tags.queries.word_list import Uses, WordChange, count_one, read_names
from ..filters import picture_url
from ..form import SENT
from ..settings_form import FormSection, SectionsForm, form_class
from .proposals import Offer, offers_of
from .tag_facts import Facts, read_facts
from .word_page import WordPage
from .word_view import RULES, decided, rule_layers


@dataclass(kw_only=True)
class TagPage(WordPage):
    """The page of one tag, while it is rendered.

    :param asked_for: the tag as the address spells it.
    :param explanations: the effect of a form in sentences, for its preview.
    :param suggested: a tag that the form for merging offers.
    """

    template = "autotag/tag.html"

    asked_for: TagName
    explanations: list[str] = field(default_factory=list)
    suggested: str = ""

    @property
    def key(self) -> str:
        """The tag's key."""
        return self.asked_for.key

    @property
    def url(self) -> str:
        """The page's address."""
        return self.scope.url_for("tag", key=self.key)

    @property
    def saved_url(self) -> str:
        """The address to open after a save."""
        if self.form["from_settings"].data is not None:
            return f"{self.scope.url}?saved=1&applied=1"
        return self.scope.url_for("tag", key=self.key, saved="1")

    @cached_property
    def facts(self) -> Facts:
        """The stored facts about the tag."""
        return self.state.database.transact(
            lambda session: read_facts(session, self.stored, self.scope, self.asked_for)
        )

    @property
    def name(self) -> TagName:
        """The tag's current name."""
        return self.facts.given.get(self.key, self.facts.name)

    def label(self, name: str) -> str:
        """Return the label of a field, or of a rule."""
        if name in self.form:
            return super().label(name)
        return str(self.rules_form[name].label.text)

    @property
    def decided(self) -> Sequence[str]:
        """The decisions about the tag, in sentences."""
        return decided(self.key, self.facts.system, self.facts.own)

    @property
    def made(self) -> Sequence[tuple[bool, WordChange]]:
        """The authors of the decisions, with whether this scope made them."""
        own = self.scope.instance
        return [(instance == own, made) for instance, made in self.facts.made.items()]

    @property
    def has_own_name(self) -> bool:
        """Whether this scope decided about its name."""
        return self._decision.becomes is not None

    @property
    def decides_here(self) -> bool:
        """Whether this scope decided anything about it."""
        return not self._decision.is_empty

    @property
    def _decision(self) -> WordRule:
        return self.facts.here.get(self.key, WordRule())

    @cached_property
    def pictures(self) -> Sequence[tuple[str, str]]:
        """The names and addresses of pictures with the tag, if the host has any."""
        found = [(str(asset), picture_url(asset)) for asset in self.facts.images]
        return [(name, url) for name, url in found if url]

    @property
    def offers(self) -> Sequence[Offer]:
        """The proposals from people's rejections of the tag."""
        return offers_of(self.state, self.scope, self.key)

    @cached_property
    def rules_form(self) -> SectionsForm:
        """The form of the rules: of the stored ones, until they were read."""
        return self._rules_form(None)

    def _rules_form(self, formdata: Mapping[str, str] | None) -> SectionsForm:
        layers = rule_layers(self.key, self.facts.system, self.facts.own)
        form = form_class(SectionsForm, (RULES,))(layers, formdata=formdata)
        if not self.may_change:
            form.disable()
        return form

    @property
    def rules(self) -> FormSection:
        """The fields of the rules."""
        return self.rules_form.sections[0]

    def read_rules(self) -> SectionsForm:
        """Read the form of the rules that was sent, and show it from now on."""
        self.rules_form = self._rules_form(SENT)
        return self.rules_form

    def count(self, name: TagName) -> Uses:
        """Count the images of any tag in this scope."""
        return self.transact(count_one, name.key)

    def is_used(self, name: TagName) -> bool:
        """Whether a tag has images or decisions that a merge would move."""
        return self.count(name) != Uses()

    def find(self, name: TagName) -> TagName | None:
        """Return a tag or a decided word in its stored spelling.

        :return: ``None`` if there is none of that name.
        """
        stored = self.transact(read_names, [name.key])
        return self.facts.given.get(name.key) or stored.get(name.key)
