"""What the forms on the page of a tag decide: each gives the words that it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flask import request

from .. import checks
from ..checks import CheckError
from ..settings.resolution import Words
from ..vocabulary import TagName, Word, find_ring
from ..words import Changes
from .proposals import BLOCK
from .text import gettext
from .word_display import RULES
from .word_page import Action, Refused

if TYPE_CHECKING:
    from .tag import TagPage


def becoming(stored: Words, name: TagName, other: TagName) -> Changes:
    """Let one word become another; what led back from that one leads there no more."""
    word = replace(stored.get(name.key, Word()), becomes=other.name)
    changes: dict[TagName, Mapping[str, Any]] = {name: {"becomes": other.name}}
    if other.key != name.key and find_ring({**stored, name.key: word}):
        changes[other] = {"becomes": None}
    return changes


def _rename(page: TagPage) -> Changes:
    name = page.read_name("name")
    if name == page.name:
        raise Refused("name", CheckError("is what it is called already"))
    is_its_own = page.facts.vocabulary.called(name).key == page.key
    if not page.scope.is_system and not is_its_own and page.is_used(name):
        page.suggested = name.name
        raise Refused(
            "name",
            CheckError("is another tag: merge into it below, if both are the same"),
        )
    _explain_move(page, page.name, name)
    return becoming(page.facts.here, page.name, name)


def _unname(page: TagPage) -> Changes:
    return {page.name: {"becomes": None}}


def _merge(page: TagPage) -> Changes:
    name = page.read_name("into")
    called = page.facts.vocabulary.called(name)
    if called.key == page.key:
        raise Refused("into", CheckError("is this tag itself, or another word for it"))
    other = page.find(called)
    if other is None:
        raise Refused("into", CheckError("is no tag yet: rename it above instead"))
    _explain_move(page, page.name, other)
    return becoming(page.facts.here, page.name, other)


def _add_alias(page: TagPage) -> Changes:
    alias = page.read_name("alias")
    if alias.key == page.key:
        raise Refused("alias", CheckError("is this tag itself: rename it above"))
    _explain_move(page, alias, page.name)
    return becoming(page.facts.here, alias, page.name)


def _take_alias(page: TagPage) -> Changes:
    key = request.form.get("alias_key", "")
    alias = next((each for each in page.facts.aliases if each.key == key), None)
    if alias is None:
        raise Refused("alias", CheckError("has no such word any more"))
    name = TagName(alias.key, alias.name)
    return {name: {"becomes": None if alias.is_own else alias.name}}


def _set_rules(page: TagPage) -> Changes:
    page.read_rules()
    own = page.proposal.after.own
    return {
        page.name: {field.name: own.get(("", field.name)) for field in RULES.fields}
    }


def _delete(page: TagPage) -> Changes:
    if "save" in request.form and "sure" not in request.form:
        raise Refused("sure", CheckError("must be ticked first"))
    now = datetime.now(UTC).replace(tzinfo=None)
    return {page.name: {"blocked": True, "dropped_at": now}}


def _clear(page: TagPage) -> Changes:
    return {page.name: {each.name: None for each in fields(Word)}}


def _take(page: TagPage) -> Changes:
    proposed = request.form.get("proposed", "")
    if proposed == BLOCK:
        return {page.name: {"blocked": True}}
    try:
        return {page.name: {"threshold": checks.fraction(proposed)}}
    except CheckError as error:
        raise Refused("proposed", error) from None


def _explain_move(page: TagPage, name: TagName, other: TagName) -> None:
    """Say on how many images both are, before one becomes the other."""
    if page.scope.is_system or name.key == other.key:
        return
    of_one, of_other = page.count(name).applied, page.count(other).applied
    about = {
        "name": name.name,
        "other": other.name,
        "images": f"{of_one:,}",
        "others": f"{of_other:,}",
    }
    page.explanations.append(
        gettext(
            "This is a merge: there will be %(other)s only. Images with %(name)s:"
            " %(images)s; with %(other)s: %(others)s.",
            **about,
        )
        if of_one and of_other
        else gettext(
            "%(name)s becomes %(other)s. Images with %(name)s: %(images)s.", **about
        )
    )


#: By the value of the button.
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
