"""From what an administrator typed to what is stored: checked together, then saved."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from .. import gate
from ..checks import CheckError, shown
from ..database import Database
from ..errors import SettingsError, StaleSettings
from .fields import Field, Layer, Path, changed_paths, paths, smaller_limit
from .resolution import Layers, Settings
from .secret import Secret
from .stored import StoredSettings

_AGAIN = (
    "must be typed again: the one that is stored was saved for another endpoint, or"
    " cannot be decrypted"
)


@dataclass(frozen=True)
class Proposal:
    """Settings that somebody wants, checked but not saved.

    :param before: what is stored.
    :param after: what would be, as far as it was accepted.
    :param errors: what was not, by field.
    :param cleared: secrets that go because they would be sent elsewhere.
    """

    before: Layers
    after: Layers
    errors: Mapping[Path, CheckError]
    cleared: tuple[Path, ...]

    @property
    def changes_anything(self) -> bool:
        """Whether anything would be stored."""
        return bool(changed_paths(self.before.own, self.after.own))


def propose(
    layers: Layers,
    typed: Mapping[Path, Any],
    *,
    model_dir: str | None,
    can_seal: bool = True,
) -> Proposal:
    """Check what was typed, field by field and then together.

    :param layers: what is stored.
    :param typed: field → a text or value, or ``None`` to inherit. What is not there
        stays as it is.
    :param model_dir: where further models are.
    :param can_seal: whether secrets can be stored.
    """
    fields = paths(layers.sections)
    own: dict[Path, Any] = dict(layers.own)
    errors: dict[Path, CheckError] = {}
    for path, value in typed.items():
        if value is None:
            own.pop(path, None)
            continue
        try:
            _check_scope(fields[path], layers)
            own[path] = _check_one(fields[path], value, model_dir, can_seal)
        except CheckError as error:
            errors[path] = error
    own, cleared = _bind(layers, own, typed)
    after = layers.with_own(own)
    errors = {**_check_together(layers, after, cleared), **errors}
    return Proposal(layers, after, errors, cleared)


def save(
    database: Database,
    stored: StoredSettings,
    instance: str,
    typed: Mapping[Path, Any],
    *,
    model_dir: str | None,
    who: str | None,
    version: int | None = None,
    also: Callable[[Session], None] | None = None,
) -> Proposal:
    """Store what was typed; all of it, or nothing.

    :param instance: or :data:`.stored.SYSTEM`.
    :param typed: see :func:`propose`.
    :param who: the user's name, for those who look later.
    :param version: of the settings that the user saw; ``None`` if that is no matter.
    :param also: done in the same transaction.
    :raises SettingsError: if a value is not accepted.
    :raises StaleSettings: if somebody else has saved since that version.
    """

    def work(session: Session) -> Proposal:
        proposal = save_in(
            session,
            stored,
            instance,
            typed,
            model_dir=model_dir,
            who=who,
            version=version,
        )
        if also is not None:
            also(session)
        return proposal

    return database.transact(work)


def save_in(
    session: Session,
    stored: StoredSettings,
    instance: str,
    typed: Mapping[Path, Any],
    *,
    model_dir: str | None,
    who: str | None,
    version: int | None = None,
) -> Proposal:
    """Do the same in a transaction of the caller's, who rolls back what is refused."""
    now = stored.lock(session, instance)
    if version is not None and version != now:
        latest = stored.changes(session, instance, limit=1)
        raise StaleSettings(latest[0].changed_by if latest else None)
    proposal = propose(
        stored.layers(session, instance),
        typed,
        model_dir=model_dir,
        can_seal=stored.sealer.is_ready,
    )
    if proposal.errors:
        raise SettingsError(proposal.errors)
    changed = stored.write(
        session, instance, proposal.before.own, proposal.after.own, who
    )
    if changed:
        # What was not accepted may be now.
        gate.resume(session, stored.models, instance, {path[0] for path in changed})
    return proposal


def _check_scope(field: Field, layers: Layers) -> None:
    if field.system_only and layers.instance is not None:
        raise CheckError("can only be set for the system, not for an instance")


def _check_one(field: Field, value: Any, model_dir: str | None, can_seal: bool) -> Any:
    if field.is_secret and not can_seal:
        raise CheckError(
            "cannot be stored: set AUTOTAG_SECRET_KEYS or SECRET_KEY in the"
            " application's configuration"
        )
    try:
        checked = field.check(value)
    except CheckError:
        raise
    except ValueError as error:
        # Of a provider that makes its own.
        raise CheckError("%(error)s", error=str(error)) from None
    choices = field.choices(model_dir) if field.choices else None
    if choices is not None and checked not in choices:
        raise CheckError(
            "must be one of %(choices)s, not %(value)s",
            choices=", ".join(choices),
            value=shown(value),
        )
    return checked


def _bind(
    layers: Layers, own: dict[Path, Any], typed: Mapping[Path, Any]
) -> tuple[dict[Path, Any], tuple[Path, ...]]:
    """Bind new secrets to where they will be sent; drop old ones sent elsewhere."""
    settings = layers.with_own(own).resolve()
    cleared = []
    for path, field in paths(layers.sections).items():
        if not field.bound_to or path not in own:
            continue
        place = settings.value((path[0], field.bound_to))
        if typed.get(path) is not None:
            own[path] = own[path].bound(place)
        elif own[path].is_readable and own[path].bound_to != place:
            del own[path]
            cleared.append(path)
    return own, tuple(cleared)


def _check_together(
    before: Layers, after: Layers, cleared: Collection[Path]
) -> dict[Path, CheckError]:
    settings, inherited = after.resolve(), after.inherited()
    touched = {section for section, _ in changed_paths(before.own, after.own)}
    errors: dict[Path, CheckError] = {}
    for path, field in paths(after.sections).items():
        error = _check_limit(path, field, after, inherited)
        if error is None and path[0] in touched:
            error = _check_required(path, field, after, settings)
        if error is not None and path in cleared:
            error = _elsewhere(before.own[path])
        if error is not None:
            errors[path] = error
    return errors


def _check_limit(
    path: Path, field: Field, after: Layers, inherited: Settings
) -> CheckError | None:
    """Refuse more than the system allows."""
    if field.combine is not smaller_limit or after.instance is None:
        return None
    own, most = after.own.get(path), inherited.value(path)
    if own is None or smaller_limit(most, own) == own:
        return None
    return CheckError(
        "must be from 1 to %(most)s, because the system allows no more", most=most
    )


def _check_required(
    path: Path, field: Field, after: Layers, settings: Settings
) -> CheckError | None:
    """Refuse to turn on what cannot work yet."""
    if not field.required or not settings[path[0]].get("enabled"):
        return None
    if settings.value(path) is not None:
        return None
    if any(isinstance(layer.get(path), Secret) for layer in _stored(after)):
        return CheckError(_AGAIN)
    return CheckError("must be set before this provider is enabled")


def _elsewhere(secret: Secret) -> CheckError:
    """Ask for the secret of another endpoint than that of the stored one."""
    if secret.bound_to is None:
        return CheckError(_AGAIN)
    if not secret.ending:
        return CheckError(
            "must be typed again, because the endpoint has changed: the stored one"
            " belongs to %(place)s",
            place=secret.bound_to,
        )
    return CheckError(
        "must be typed again, because the endpoint has changed: the stored one, ending"
        " in %(ending)s, belongs to %(place)s",
        ending=secret.ending,
        place=secret.bound_to,
    )


def _stored(layers: Layers) -> list[Layer]:
    return [layers.config, layers.system, layers.instance or {}]
