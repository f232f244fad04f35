"""The page of an instance's images, on many of which one decides at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from flask import redirect, request
from flask.typing import ResponseReturnValue
from sqlalchemy import Connection, func, select
from sqlalchemy.orm import Session

from ....db.models import Models
from ....host.assets import AssetRef
from ....settings.checks import CheckError
from ....tags.queries import applied_tags, image_list
from ....tags.queries.applied_tags import AppliedTag
from ....tags.queries.autocomplete import words_to_add
from ....tags.queries.image_list import ImageFilter, ListedImage
from ...signed_asset import can_sign, sign
from ...translation import gettext
from ..form import can_be_trusted, refuse_button, refuse_incomplete
from ..page import FormPage
from ..review.choice import ACTIONS
from ..review.image_tags import explain_url
from ..scope import Scope
from ..setting_text import translated
from .bulk_form import BulkForm
from .decisions import Decision, Done, decide_on_matching, decide_on_rows, undo
from .filter_form import FilterForm
from .outcome import Outcome, read_outcome, with_outcome

#: The images of a page, the most tags of one that it shows, and the most words to
#: choose from where no script completes the typed text.
_PAGE, _TAGS, _WORDS = 48, 5, 200
#: Matching images are counted up to this number.
_COUNTED = 10_000
#: The decisions.
COMMANDS = ("add", "remove", "accept", "reject")


@dataclass(frozen=True)
class Listed:
    """What the page reads from the database.

    :param images: those of the page, and one more if another page follows.
    :param total: the number of matching images, or one more than :data:`_COUNTED`.
    :param newest: the row of the newest image of the instance.
    """

    images: Sequence[ListedImage] = ()
    total: int = 0
    newest: int = 0
    tags: Mapping[object, Sequence[AppliedTag]] = field(default_factory=dict)
    words: Sequence[str] = ()


@dataclass(kw_only=True)
class ImagesPage(FormPage):
    """The page of images, while it is rendered.

    :param filter: the form of the filter.
    :param sent: the form that is shown again, if there is one.
    :param chosen: the signed names of the images that were checked in it, by row.
    :param outcome: the outcome of the last action.
    """

    template = "autotag/images.html"

    filter: FilterForm
    sent: BulkForm | None = None
    chosen: Mapping[int, str] = field(default_factory=dict)
    outcome: Outcome | None = None

    @property
    def url(self) -> str:
        """The page's address."""
        return self.scope.url_for("images")

    @property
    def here(self) -> str:
        """The address of the page with its filter."""
        return self.scope.url_for("images", **self.filter.place)

    @property
    def running_url(self) -> str:
        """The address of the page that tells the progress of the last action."""
        action = self.outcome and self.outcome.action
        return with_outcome(self.here, Done(action.id)) if action else self.here

    @property
    def complete_url(self) -> str:
        """The address that completes words."""
        return self.scope.url_for("complete")

    @cached_property
    def may_decide(self) -> bool:
        """Whether forms can be protected."""
        return can_be_trusted() and can_sign()

    @cached_property
    def form(self) -> BulkForm:
        """The form of decisions."""
        sent = self.sent
        word = self.filter.suggestion.data if sent is None else sent.word.data
        data = {
            "word": word,
            "newest": self.listed.newest,
            "next": sent and sent.back,
        }
        return BulkForm(None, data=data)

    @property
    def undo_form(self) -> BulkForm:
        """The form that undoes the last action."""
        action = self.outcome and self.outcome.action
        return BulkForm(None, data={"action": action and action.id, "next": self.here})

    @cached_property
    def listed(self) -> Listed:
        """The images and their tags."""
        wanted = self.filter.wanted
        if wanted is None:
            return Listed()
        return self.transact(_read, wanted, self.filter.before.data)

    @property
    def images(self) -> Sequence[ListedImage]:
        """The images of the page."""
        return self.listed.images[:_PAGE]

    @property
    def next_before(self) -> int | None:
        """The parameter ``before`` of the next page, if there is one."""
        images = self.listed.images
        return images[_PAGE - 1].row if len(images) > _PAGE else None

    @property
    def total(self) -> str:
        """The number of images that match."""
        if self.listed.total > _COUNTED:
            return gettext("more than %(number)s", number=f"{_COUNTED:,}")
        return f"{self.listed.total:,}"

    @property
    def others(self) -> Sequence[str]:
        """The signed names of checked images that are not on the page."""
        shown = {image.row for image in self.images}
        return [text for row, text in self.chosen.items() if row not in shown]

    def tags(self, image: ListedImage) -> Sequence[AppliedTag]:
        """Return the tags of an image that the page shows."""
        return self.listed.tags[image.asset][:_TAGS]

    def sign(self, image: ListedImage) -> str:
        """Return the signed name of an image."""
        return sign(image.row, self.scope.instance)

    def explain_url(self, asset: AssetRef) -> str:
        """Return the address of the page that explains the tags of an image."""
        return explain_url(asset, self.scope.instance)

    def refuse(self, sentence: str, status: int) -> ResponseReturnValue:
        """Show the page again with an error."""
        self.alerts.append(sentence)
        return self.render(), status


def images_page(scope: Scope) -> ResponseReturnValue:
    """Answer a request for the images of an instance, or the form of decisions."""
    if request.method == "POST":
        return _answer(ImagesPage(scope, filter=FilterForm(request.form)))
    page = ImagesPage(scope, filter=FilterForm(request.args))
    page.warn_without_key()
    page.outcome = read_outcome(page.state, scope.instance)
    return page.render()


def _read(
    session: Session,
    models: Models,
    instance: str,
    wanted: ImageFilter,
    before: int | None,
) -> Listed:
    connection = session.connection()
    listing = image_list.page(connection, models, instance, wanted, _PAGE + 1, before)
    newest = image_list.page(connection, models, instance, ImageFilter(), 1)
    assets = [image.asset for image in listing[:_PAGE]]
    return Listed(
        listing,
        _count(connection, models, instance, wanted),
        newest[0].row if newest else 0,
        applied_tags.preload(
            session, models, {asset: [asset] for asset in assets}, instance
        ),
        words_to_add(connection, models, instance, "", _WORDS),
    )


def _count(
    connection: Connection, models: Models, instance: str, wanted: ImageFilter
) -> int:
    """Count the matching images, up to a limit."""
    some = image_list.matching(connection, models, instance, wanted)
    counted = some.limit(_COUNTED + 1).subquery()
    return connection.scalar(select(func.count()).select_from(counted)) or 0


def _answer(page: ImagesPage) -> ResponseReturnValue:
    form = page.sent = BulkForm()
    command = form.command.data
    if command not in (*COMMANDS, "undo"):
        refuse_button()
    if not form.has_valid_token:
        return page.refuse_token()
    if command == "undo":
        return _undo(page, form)
    invalid = 0
    try:
        if form.everything.data is None:
            page.chosen, invalid = form.rows(page.scope.instance)
        decision = _decision(page, form, command)
    except CheckError as error:
        return page.refuse(translated(error), 422)
    if form.everything.data is None:
        done = decide_on_rows(page.state, decision, page.chosen)
    else:
        done = _decide_on_all(page, form, decision)
    return _return(page, form, done, invalid)


def _decision(page: ImagesPage, form: BulkForm, command: str) -> Decision:
    return Decision(page.scope.instance, form.tag, ACTIONS[command], page.user)


def _decide_on_all(page: ImagesPage, form: BulkForm, decision: Decision) -> Done:
    wanted, newest = page.filter.wanted, form.newest.data
    if wanted is None or newest is None:
        refuse_incomplete()
    return decide_on_matching(page.state, decision, wanted, newest)


def _undo(page: ImagesPage, form: BulkForm) -> ResponseReturnValue:
    action = form.action.data
    if action is None:
        refuse_incomplete()
    if not undo(page.state, page.scope.instance, action, page.user):
        sentence = gettext("This cannot be undone: it is not done yet, or was undone.")
        return page.refuse(sentence, 409)
    return _return(page, form, Done(action), 0)


def _return(
    page: ImagesPage, form: BulkForm, done: Done, invalid: int
) -> ResponseReturnValue:
    return redirect(with_outcome(form.back or page.here, done, invalid), 303)
