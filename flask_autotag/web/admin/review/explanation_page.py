"""The page that explains the tags of one image and offers to change them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from flask import abort, request
from sqlalchemy.orm import Session

from ....errors import AssetError
from ....host.assets import AssetRef
from ....tags.explanation import ExplainedLabel, Explanation, explain
from ....tags.queries.instances import is_known
from ....tags.queries.latest_job import LatestJob, latest_job
from ...access import VIEW, current_state
from ...translation import gettext
from ..page import FormPage
from ..scope import Scope
from .choice import ACTIONS
from .image_tags import ImageTags


@dataclass(kw_only=True)
class ExplanationPage(FormPage):
    """The page of explanation, while it is rendered.

    :param job: the image's latest job, unless that was deleted.
    :param back: the path of the page that the user came from.
    """

    template = "autotag/explanation.html"

    image: ImageTags
    explanation: Explanation
    job: LatestJob | None
    back: str | None

    @property
    def activity_url(self) -> str | None:
        """The page that retries the job, if the user may open it."""
        return self.scope.url_for("activity") if self.scope.may(VIEW) else None

    @property
    def label_groups(self) -> Iterator[tuple[str, str, Iterator[ExplainedLabel]]]:
        """The labels of each provider and model, in the explanation's order."""
        groups = groupby(
            self.explanation.labels, lambda label: (label.provider, label.model)
        )
        for (provider, model), labels in groups:
            yield provider, model, labels


def explanation_page(scope: Scope) -> str:
    """Answer a request for the explanation of an image.

    :raises werkzeug.exceptions.NotFound: if the instance does not know the image.
    """
    asset = _requested_asset(scope)
    choice = ACTIONS.get(request.args.get("done", ""))
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
    """Return the page's HTML.

    :param alert: a message of failure.
    :param notice: a message of success.
    :param back: the path of the page that the user came from.
    """
    state = current_state()
    settings = state.settings_for(scope.instance)

    def work(session: Session) -> tuple[Explanation, LatestJob | None]:
        models, instance = state.database.models, scope.instance
        return (
            explain(session, models, asset, instance, settings, gettext),
            latest_job(session, models, asset, instance),
        )

    explanation, job = state.database.transact(work)
    page = ExplanationPage(
        scope,
        [alert] if alert else [],
        [notice] if notice else [],
        image=ImageTags(asset, scope.instance, is_fresh=True),
        explanation=explanation,
        job=job,
        back=back,
    )
    return page.render()


def _requested_asset(scope: Scope) -> AssetRef:
    """Return the image that the address names."""
    database = current_state().database
    names = [request.args.get(part, "") for part in ("type", "id")]
    try:
        # PostgreSQL refuses texts with a NUL.
        asset = AssetRef(*(name.replace("\0", "") for name in names))
    except AssetError:
        abort(404, gettext("This address does not name an image."))
    if not database.transact(
        lambda session: is_known(session, database.models, asset, scope.instance)
    ):
        sentence = gettext(
            "%(instance)s does not know %(image)s: it has not been tagged yet, or was"
            " deleted.",
            image=asset,
            instance=scope.title,
        )
        abort(404, sentence)
    return asset
