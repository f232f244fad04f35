"""Trying whether a provider elsewhere answers, with what is typed in the form."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from .. import gate
from ..errors import ProviderUnreachable, TaggingError
from ..providers.base import RemoteProvider, SentImage
from ..providers.http import Http
from ..providers.registry import elsewhere
from ..remote import missing_fields
from ..settings.resolution import Settings
from ..state import State
from .text import gettext

_SIDE = 64


@dataclass(frozen=True)
class ConnectionTest:
    """What came of a try.

    :param provider: its name.
    :param works: whether it answered, and accepted the key.
    :param sentence: what to tell.
    """

    provider: str
    works: bool
    sentence: str


def try_connection(
    state: State, instance: str, name: str, settings: Settings
) -> ConnectionTest:
    """Send a small grey image. It counts as one of the month, if it was sent.

    :param instance: or :data:`.stored.SYSTEM`.
    :param settings: as typed, not saved yet.
    """
    provider = find(name)
    if provider is None:
        return ConnectionTest(name, False, gettext("There is no such provider."))
    values = settings[name]
    if missing_fields(provider, values):
        return ConnectionTest(
            name, False, gettext("Type the key, and what else it needs, first.")
        )
    models = state.database.models

    def work(session: Session) -> str | None:
        if not gate.may_test(session, models, instance, name):
            return gettext("It was tried just now. Wait ten seconds.")
        limits = gate.Limits.of(instance, values)
        if not gate.count(session, models, instance, name, 1, limits):
            return gettext(
                "The images of this month are used up; a test would be one more."
            )
        return None

    refusal = state.database.transact(work)
    if refusal is not None:
        return ConnectionTest(name, False, refusal)
    return _ask(state, instance, provider, values)


def find(name: str) -> type[RemoteProvider] | None:
    """Give a provider elsewhere by its name."""
    return next((one for one in elsewhere() if one.name == name), None)


def _ask(
    state: State, instance: str, provider: type[RemoteProvider], values: Any
) -> ConnectionTest:
    http = Http(state.config.allowed_origins)
    try:
        provider.model(values)
        [answer] = provider.classify([_grey()], values, http)
    except ProviderUnreachable as error:
        _give_back(state, instance, provider.name)
        return ConnectionTest(
            provider.name,
            False,
            gettext(
                "%(sentence)s Can this machine connect to it? Proxies of the"
                " environment are not used.",
                sentence=str(error),
            ),
        )
    except TaggingError as error:
        return ConnectionTest(provider.name, False, str(error))
    except Exception as error:
        kind = type(error).__name__
        state.troubles.log_lines(f"{provider.section.title} raised {kind} in", error)
        sentence = gettext("It failed (%(kind)s).", kind=kind)
        return ConnectionTest(provider.name, False, sentence)
    if isinstance(answer, TaggingError):
        return ConnectionTest(provider.name, False, str(answer))
    return ConnectionTest(
        provider.name, True, gettext("It answers, and accepts the key.")
    )


def _give_back(state: State, instance: str, name: str) -> None:
    state.database.transact(
        lambda session: gate.give_back(
            session, state.database.models, instance, name, 1
        )
    )


def _grey() -> SentImage:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (_SIDE, _SIDE), "grey").save(file, "JPEG")
    return SentImage(file.getvalue(), _SIDE, _SIDE)
