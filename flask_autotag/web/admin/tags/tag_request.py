"""Answers requests for the page of one tag."""

from __future__ import annotations

from flask import abort, redirect, request
from flask.typing import ResponseReturnValue

from ....settings.tag_names import tag_name
from ...translation import gettext
from ..scope import Scope
from .tag_actions import ACTIONS
from .tag_page import TagPage
from .word_form import TagForm
from .word_page import BOTH, answer


def tag_page(scope: Scope) -> ResponseReturnValue:
    """Answer a request for the page of one tag."""
    try:
        name = tag_name(request.args.get("key", ""))
    except ValueError:
        abort(404, gettext("There is no tag of this name."))
    page = TagPage(scope, form=TagForm(), asked_for=name)
    page.warn_without_key()
    called = page.facts.vocabulary.called(name)
    if page.form["reset"].data is not None:
        return _show_reset(page)
    if request.method == "POST":
        return answer(page, ACTIONS)
    if called.key != page.key:
        marks = {mark: "1" for mark in ("saved", BOTH) if mark in request.args}
        return redirect(
            scope.url_for("tag", key=called.key, was=page.facts.name.name, **marks)
        )
    page.add_notices()
    _add_notice_of_old_name(page, request.args.get("was", ""))
    return page.render()


def _add_notice_of_old_name(page: TagPage, text: str) -> None:
    """Add a notice if the request named a former name of the tag."""
    try:
        old = tag_name(text)
    except ValueError:
        return
    called = page.facts.vocabulary.called(old)
    if called.key == page.key != old.key:
        page.notices.append(
            gettext("%(old)s is now called %(new)s.", old=old.name, new=page.name.name)
        )


def _show_reset(page: TagPage) -> ResponseReturnValue:
    page.read_rules()
    page.notices.append(
        gettext("Fields that you reset inherit again as soon as you save.")
    )
    return page.render()
