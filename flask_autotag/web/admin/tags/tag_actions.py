"""The forms on the page of a tag: each returns the words that it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from ....db.sql import utc_now
from ....settings import checks
from ....settings.checks import CheckError
from ....settings.resolution import WordRules
from ....settings.stored_words import RuleChanges
from ....settings.tag_names import TagName
from ....settings.vocabulary import WordRule, find_circle
from ...translation import gettext
from ..filters import number
from .proposals import BLOCK
from .tag_page import TagPage
from .word_page import Action, Refused
from .word_view import RULES


def becoming(stored: WordRules, name: TagName, other: TagName) -> RuleChanges:
    """Return the changes that rename a word, without a ring of renamings.

    If *other* leads back to *name*, its own renaming is removed.
    """
    word = replace(stored.get(name.key, WordRule()), becomes=other.name)
    changes: dict[TagName, Mapping[str, Any]] = {name: {"becomes": other.name}}
    if other.key != name.key and find_circle({**stored, name.key: word}):
        changes[other] = {"becomes": None}
    return changes


def _rename(page: TagPage) -> RuleChanges:
    name = page.read("name").tag
    if name == page.name:
        raise Refused("name", CheckError("is already its name"))
    is_its_own = page.facts.vocabulary.called(name).key == page.key
    if not page.scope.is_system and not is_its_own and page.is_used(name):
        page.suggested = name.name
        raise Refused(
            "name",
            CheckError("is another tag: merge into it below if both mean the same"),
        )
    _explain_move(page, page.name, name)
    return becoming(page.facts.here, page.name, name)


def _unname(page: TagPage) -> RuleChanges:
    return {page.name: {"becomes": None}}


def _merge(page: TagPage) -> RuleChanges:
    name = page.read("into").tag
    called = page.facts.vocabulary.called(name)
    if called.key == page.key:
        raise Refused("into", CheckError("is this tag, or another word for it"))
    other = page.find(called)
    if other is None:
        raise Refused(
            "into", CheckError("is not a tag yet: rename this tag above instead")
        )
    _explain_move(page, page.name, other)
    return becoming(page.facts.here, page.name, other)


def _add_alias(page: TagPage) -> RuleChanges:
    alias = page.read("alias").tag
    if alias.key == page.key:
        raise Refused("alias", CheckError("is this tag: rename it above"))
    _explain_move(page, alias, page.name)
    return becoming(page.facts.here, alias, page.name)


def _take_alias(page: TagPage) -> RuleChanges:
    key = page.form["alias_key"].data
    alias = next((each for each in page.facts.aliases if each.key == key), None)
    if alias is None:
        raise Refused("alias", CheckError("no longer exists: reload the page"))
    name = TagName(alias.key, alias.name)
    return {name: {"becomes": None if alias.is_own else alias.name}}


def _set_rules(page: TagPage) -> RuleChanges:
    form = page.read_rules()
    form.validate()
    for rule in form.setting_fields:
        if rule.errors:
            error = CheckError("%(error)s", error=rule.errors[0])
            raise Refused(rule.setting.name, error)
    own = form.change.after.own
    return {
        page.name: {field.name: own.get(("", field.name)) for field in RULES.fields}
    }


def _delete(page: TagPage) -> RuleChanges:
    if not page.form.is_preview and not page.form["sure"].data:
        raise Refused("sure", CheckError("must be ticked first"))
    now = utc_now()
    return {page.name: {"blocked": True, "dropped_at": now}}


def _clear(page: TagPage) -> RuleChanges:
    return {page.name: {each.name: None for each in fields(WordRule)}}


def _take(page: TagPage) -> RuleChanges:
    proposed = page.form["proposed"].data or ""
    if proposed == BLOCK:
        return {page.name: {"blocked": True}}
    try:
        return {page.name: {"threshold": checks.fraction(proposed)}}
    except CheckError as error:
        raise Refused("proposed", error) from None


def _explain_move(page: TagPage, name: TagName, other: TagName) -> None:
    """Explain a renaming, with the numbers of images of both tags."""
    if page.scope.is_system or name.key == other.key:
        return
    images, others = page.count(name).applied, page.count(other).applied
    values = {
        "name": name.name,
        "other": other.name,
        "images": number(images),
        "others": number(others),
    }
    page.explanations.append(
        gettext(
            "This is a merge: only %(other)s will remain. Images with %(name)s:"
            " %(images)s; with %(other)s: %(others)s.",
            **values,
        )
        if images and others
        else gettext(
            "%(name)s becomes %(other)s. Images with %(name)s: %(images)s.", **values
        )
    )


#: The actions by the value of their button.
ACTIONS: Mapping[str, Action[TagPage]] = {
    "rename": Action(_rename, "name"),
    "unname": Action(_unname, "name"),
    "merge": Action(_merge, "into"),
    "alias": Action(_add_alias, "alias"),
    "unalias": Action(_take_alias, "alias"),
    "rules": Action(_set_rules, "rules"),
    "delete": Action(_delete, "sure"),
    "clear": Action(_clear, "rules"),
    "take": Action(_take, "proposed"),
}
