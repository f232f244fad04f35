"""Tests whether a remote provider answers, with the settings typed in the form."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from ....classification import circuit_breaker, quota
from ....errors import ProviderUnreachable, TaggingError
from ....providers import remote_call
from ....providers.base import RemoteProvider, SentImage
from ....providers.http import Http
from ....providers.registry import remote_providers
from ....runtime.state import State
from ....settings.resolution import Settings
from ...translation import gettext

_SIDE = 64


@dataclass(frozen=True)
class ConnectionTest:
    """The result of a test.

    :param provider: the provider's name.
    :param works: whether it answered, and accepted the key.
    :param sentence: the result, for the user.
    """

    provider: str
    works: bool
    sentence: str


def try_connection(
    state: State, instance: str, name: str, settings: Settings, saved: Settings
) -> ConnectionTest:
    """Send a small grey image to a provider; it counts towards the monthly limit.

    :param instance: or :data:`.stored.SYSTEM`.
    :param name: the provider's name.
    :param settings: the typed settings, which are not saved yet.
    :param saved: the saved settings, whose limits apply.
    """
    failed = partial(ConnectionTest, name, False)
    provider = find(name)
    if provider is None:
        return failed(gettext("There is no such provider."))
    values = settings[name]
    if remote_call.missing_fields(provider, values):
        return failed(gettext("Type the key, and what else it needs, first."))
    models = state.database.models

    def work(session: Session) -> str | None:
        if not circuit_breaker.reserve_test(session, models, instance, name):
            return gettext("It was tried just now. Wait ten seconds.")
        limits = quota.Limits.of(instance, saved[name])
        if not quota.count(session, models, instance, name, 1, limits):
            return gettext(
                "The images of this month are used up; a test would be one more."
            )
        return None

    refusal = state.database.transact(work)
    if refusal is not None:
        return failed(refusal)
    return _ask(state, instance, provider, values)


def find(name: str) -> type[RemoteProvider] | None:
    """Return a remote provider by its name."""
    return next((one for one in remote_providers() if one.name == name), None)


def _ask(
    state: State, instance: str, provider: type[RemoteProvider], values: Any
) -> ConnectionTest:
    failed = partial(ConnectionTest, provider.name, False)
    http = Http(state.config.allowed_origins)
    try:
        provider.model(values)
        [answer] = remote_call.ask(provider, [_grey()], values, http)
    except ProviderUnreachable as error:
        _give_back(state, instance, provider.name)
        return failed(
            gettext(
                "%(sentence)s Can this machine connect to it? Proxies of the"
                " environment are not used.",
                sentence=str(error),
            )
        )
    except TaggingError as error:
        return failed(str(error))
    except Exception as error:
        kind = type(error).__name__
        state.throttled_log.log_lines(
            f"{provider.section.title} raised {kind} in", error
        )
        return failed(gettext("It failed (%(kind)s).", kind=kind))
    if isinstance(answer, TaggingError):
        return failed(str(answer))
    return ConnectionTest(
        provider.name, True, gettext("It answers, and accepts the key.")
    )


def _give_back(state: State, instance: str, name: str) -> None:
    state.database.transact(
        lambda session: quota.refund(session, state.database.models, instance, name, 1)
    )


def _grey() -> SentImage:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (_SIDE, _SIDE), "grey").save(file, "JPEG")
    return SentImage(file.getvalue(), _SIDE, _SIDE)
