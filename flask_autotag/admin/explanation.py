"""The page that explains the tags of one image, and lets people change them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from flask import abort, render_template, request
from sqlalchemy.orm import Session

from ..assets import AssetRef
from ..errors import AssetError
from ..explain import ExplainedLabel, Explanation, explain
from ..last_job import LastJob, last_job
from ..review import row_of
from .access import VIEW, current_state
from .decision import CHOICES
from .field import ImageTags
from .page import base_context
from .scope import Scope
from .text import gettext


@dataclass(frozen=True)
class SaidLabels:
    """What one provider said of the image.

    :param title: of the provider.
    """

    title: str
    model: str
    labels: tuple[ExplainedLabel, ...]


@dataclass(frozen=True)
class ExplanationPage:
    """The page, while it is made.

    :param job: its latest job, if that is still known.
    :param alert: what went wrong.
    :param notice: what went well.
    :param back: the path of the page that the user came from.
    """

    scope: Scope
    image: ImageTags
    explanation: Explanation
    job: LastJob | None = None
    alert: str | None = None
    notice: str | None = None
    back: str | None = None

    @property
    def picture(self) -> str | None:
        """The address of a small picture of the image, if the host knows one."""
        find = current_state().hooks.image_url
        return find(self.image.asset) if find else None

    @property
    def job_sentences(self) -> list[str]:
        """Say what its latest job came to; nothing if that is done, or forgotten."""
        return [] if self.job is None else self.job.sentences(gettext)

    @property
    def activity_url(self) -> str | None:
        """The page on which it can be retried, if the user may open that."""
        return self.scope.activity_url if self.scope.may(VIEW) else None

    @cached_property
    def _titles(self) -> dict[str, str]:
        return {section.name: section.title for section in current_state().sections}

    def title(self, provider: str) -> str:
        """Give what people call a provider, also one that is not installed any more."""
        return gettext(self._titles.get(provider, provider))

    @property
    def said(self) -> Iterator[SaidLabels]:
        """What each provider said, in its order."""
        labels = self.explanation.labels
        for (provider, model), group in groupby(
            labels, lambda label: (label.provider, label.model)
        ):
            yield SaidLabels(self.title(provider), model, tuple(group))


def explanation_page(scope: Scope) -> str:
    """Answer a request for the explanation of an image.

    :raises werkzeug.exceptions.NotFound: if nothing is known of it in the instance.
    """
    asset = _asked(scope)
    choice = CHOICES.get(request.args.get("done", ""))
    tag = request.args.get("tag", "")
    return show_explanation(
        scope, asset, notice=choice.sentence(tag) if choice and tag else None
    )


def show_explanation(
    scope: Scope,
    asset: AssetRef,
    alert: str | None = None,
    notice: str | None = None,
    back: str | None = None,
) -> str:
    """Make the page; see :class:`ExplanationPage`."""
    state = current_state()
    settings = state.settings_for(scope.instance)

    def work(session: Session) -> tuple[Explanation, LastJob | None]:
        models, instance = state.database.models, scope.instance
        return (
            explain(session, models, asset, instance, settings, gettext),
            last_job(session, models, asset, instance),
        )

    page = ExplanationPage(
        scope,
        ImageTags(asset, scope.instance, is_fresh=True),
        *state.database.transact(work),
        alert,
        notice,
        back,
    )
    return render_template(
        "autotag/explanation.html", autotag_page=page, **base_context()
    )


def _asked(scope: Scope) -> AssetRef:
    """Find the image that the address names."""
    database = current_state().database
    names = [request.args.get(part, "") for part in ("type", "id")]
    try:
        # No database takes a NUL in a text.
        asset = AssetRef(*(name.replace("\0", "") for name in names))
    except AssetError:
        abort(404, gettext("This address names no image."))
    where = database.models, asset, scope.instance
    is_known = database.transact(
        lambda session: (
            row_of(session, *where) is not None or last_job(session, *where) is not None
        )
    )
    if not is_known:
        sentence = gettext(
            "Nothing is known of %(image)s in %(instance)s: it was not tagged yet, or"
            " was deleted.",
            image=asset,
            instance=scope.title,
        )
        abort(404, sentence)
    return asset
