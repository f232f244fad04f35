"""One image, classified for somebody who looks: what every provider says of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, Select, select

from .. import remote
from ..assets import SYSTEM, AssetRef
from ..errors import TaggingError
from ..jobs.again import last_path
from ..jobs.loading import load_asset
from ..models import Models
from ..providers.base import Label
from ..settings.fields import GENERAL
from ..settings.resolution import Settings
from ..sources import read
from ..state import State
from ..tagging import Choice, Classified, choose
from ..vocabulary import tag_name
from .text import gettext

if TYPE_CHECKING:
    from flask import Flask

#: Images that are offered, the latest ones.
_RECENT = 12
#: Labels that are shown of one provider, the surest ones.
_LABELS = 15


@dataclass(frozen=True)
class RecentImage:
    """An image that can be tried.

    :param key: of its row.
    :param url: of a small picture of it, if the host knows one.
    """

    key: int
    name: str
    url: str | None


@dataclass(frozen=True)
class TriedLabel:
    """What a provider said.

    :param key: of the tag that it would be; empty if it can be none.
    :param outcome: what becomes of it, in words.
    """

    name: str
    key: str
    confidence: float
    applied: bool
    outcome: str


@dataclass(frozen=True)
class TriedProvider:
    """What one provider said."""

    name: str
    title: str
    model: str
    threshold: float
    labels: tuple[TriedLabel, ...]


@dataclass(frozen=True)
class Trial:
    """What came of one image.

    :param subject: which image.
    :param error: why it could not be classified.
    :param max_tags: how many tags it may have, 0 for no limit.
    :param failures: titles of providers that failed, and why.
    """

    subject: str
    providers: tuple[TriedProvider, ...] = ()
    error: str | None = None
    max_tags: int = 0
    failures: tuple[tuple[str, str], ...] = ()

    @property
    def applied(self) -> list[str]:
        """The tags that the image would get."""
        return [
            label.name
            for provider in self.providers
            for label in provider.labels
            if label.applied
        ]


def try_bytes(
    app: Flask,
    state: State,
    data: bytes,
    subject: str,
    instance: str,
    settings: Settings,
) -> Trial:
    """Classify an image; tagging need not be on.

    :param subject: what to call it.
    :param instance: who pays for it.
    """
    if len(data) > state.config.max_image_bytes:
        return Trial(subject, error=gettext("The file is too large."))
    general = {**settings[GENERAL.name], "enabled": True}
    settings = replace(
        settings, values=MappingProxyType({**settings.values, GENERAL.name: general})
    )
    try:
        found = remote.classify(app, state, instance, data, settings)
    except TaggingError as error:
        return Trial(subject, error=str(error))
    return _judge(state, subject, found, settings)


def try_recent(
    app: Flask, state: State, key: int, instance: str, settings: Settings
) -> Trial:
    """Classify an image that was tagged before."""
    models = state.database.models
    table = models.asset.__table__
    with state.database.begin() as session:
        row = session.execute(
            _of(models, instance).where(table.c.id == key)
        ).one_or_none()
        path = None if row is None else last_path(session, models, _ref(row))
    if row is None:
        return Trial("", error=gettext("This image is not there any more."))
    asset = _ref(row)
    try:
        if state.hooks.can_load(asset.type) or path is None:
            data = load_asset(state, asset)
        else:
            data = read(path, state.config.max_image_bytes)
    except TaggingError as error:
        return Trial(str(asset), error=str(error))
    return try_bytes(app, state, data, str(asset), instance, settings)


def recent_images(state: State, instance: str) -> list[RecentImage]:
    """Find the latest images that can be read again."""
    models, find_url = state.database.models, state.hooks.image_url
    table = models.asset.__table__
    with state.database.begin() as session:
        rows = session.execute(
            _of(models, instance).order_by(table.c.id.desc()).limit(_RECENT)
        ).all()
        readable = [
            row
            for row in rows
            if state.hooks.can_load(row.asset_type)
            or last_path(session, models, _ref(row)) is not None
        ]
    return [
        RecentImage(row.id, str(_ref(row)), find_url(_ref(row)) if find_url else None)
        for row in readable
    ]


def _of(models: Models, instance: str) -> Select[Any]:
    table = models.asset.__table__
    found = select(table.c.id, table.c.asset_type, table.c.asset_id)
    return found if instance == SYSTEM else found.where(table.c.instance == instance)


def _ref(row: Row[Any]) -> AssetRef:
    return AssetRef(row.asset_type, row.asset_id)


def _judge(state: State, subject: str, found: Classified, settings: Settings) -> Trial:
    chosen = {choice.key: choice for choice in choose(found.predictions, settings)}
    titles = {section.name: section.title for section in state.sections}
    return Trial(
        subject,
        tuple(
            TriedProvider(
                one.provider,
                gettext(titles[one.provider]),
                one.model,
                settings[one.provider]["confidence_threshold"],
                tuple(
                    _label(label, one.provider, chosen, settings)
                    for label in one.labels[:_LABELS]
                ),
            )
            for one in found.predictions
        ),
        max_tags=settings.max_tags,
        failures=tuple(
            (gettext(titles[name]), str(error))
            for name, error in found.failures.items()
        ),
    )


def _label(
    label: Label, provider: str, chosen: dict[str, Choice], settings: Settings
) -> TriedLabel:
    try:
        key = tag_name(label.name).key
    except ValueError:
        key = ""
    choice = chosen.get(key)
    said = (provider, label.id)
    applied = choice is not None and (choice.provider, choice.concept) == said
    if applied:
        outcome = gettext("applies")
    elif label.confidence < settings[provider]["confidence_threshold"]:
        outcome = gettext("below the threshold")
    elif choice is not None:
        outcome = gettext("applies, surer elsewhere")
    elif key:
        outcome = gettext("over the maximum")
    else:
        outcome = gettext("cannot be a tag")
    return TriedLabel(label.name, key, label.confidence, applied, outcome)
