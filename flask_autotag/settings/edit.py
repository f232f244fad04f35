"""Changes of settings: typed values are checked together and then saved."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from ..db.database import Database
from ..errors import SettingsError, StaleSettings
from .checks import CheckError
from .fields import Field, Path, changed_paths, paths, smaller_limit
from .resolution import Layers, Settings
from .secret import Secret
from .stored import StoredSettings

_RETYPE = (
    "must be typed again: the stored one was saved for another endpoint, or cannot be"
    " decrypted"
)


@dataclass(frozen=True)
class SettingsChange:
    """Changed settings, checked but not saved.

    :param before: the stored values.
    :param after: the values after the change, without those that were refused.
    :param errors: the errors of refused values.
    :param cleared: stored secrets that the change deletes, because they were saved for
        another endpoint.
    """

    before: Layers
    after: Layers
    errors: Mapping[Path, CheckError]
    cleared: tuple[Path, ...]

    @property
    def changes_anything(self) -> bool:
        """Whether it changes any stored value."""
        return bool(changed_paths(self.before.own, self.after.own))


def check_changes(
    layers: Layers,
    typed: Mapping[Path, Any],
    *,
    model_dir: str | None,
    can_seal: bool = True,
) -> SettingsChange:
    """Check typed values, each by itself and then all together; store nothing.

    :param layers: the stored values.
    :param typed: path → a text or value, or ``None`` to inherit. Other fields keep
        their values.
    :param model_dir: the value of ``AUTOTAG_MODEL_DIR``.
    :param can_seal: whether secrets can be encrypted, and so stored.
    """
    fields = paths(layers.sections)
    own: dict[Path, Any] = dict(layers.own)
    errors: dict[Path, CheckError] = {}
    secrets: set[Path] = set()
    for path, value in typed.items():
        if value is None:
            own.pop(path, None)
            continue
        try:
            _check_scope(fields[path], layers)
            own[path] = _check_one(fields[path], value, model_dir, can_seal)
        except CheckError as error:
            errors[path] = error
        else:
            secrets |= {path} if fields[path].is_secret else set()
    restored = _restore(secrets, errors, layers, own)
    own, cleared = _bind(layers, own, secrets - restored)
    after = layers.with_own(own)
    together = _check_together(layers, after, cleared)
    for path in restored:
        together.pop(path, None)
    return SettingsChange(layers, after, {**together, **errors}, cleared)


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
) -> SettingsChange:
    """Check and store typed values in a transaction: all of them, or none.

    :param instance: or :data:`.SYSTEM`.
    :param typed: as for :func:`check_changes`.
    :param model_dir: the value of ``AUTOTAG_MODEL_DIR``.
    :param who: the user's name, for the log of changes.
    :param version: the version of the settings that the user saw; ``None`` overwrites
        any version.
    :param also: called in the same transaction, after the change.
    :raises SettingsError: if a value is not accepted.
    :raises StaleSettings: if somebody else has saved since *version*.
    """

    def work(session: Session) -> SettingsChange:
        change = save_in_transaction(
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
        return change

    return database.transact(work)


def save_in_transaction(
    session: Session,
    stored: StoredSettings,
    instance: str,
    typed: Mapping[Path, Any],
    *,
    model_dir: str | None,
    who: str | None,
    version: int | None = None,
) -> SettingsChange:
    """Do as :func:`save` in the caller's transaction, which must end after an error."""
    current = stored.lock(session, instance)
    if version is not None and version != current:
        latest = stored.changes(session, instance, limit=1)
        raise StaleSettings(latest[0].changed_by if latest else None)
    change = check_changes(
        stored.layers(session, instance),
        typed,
        model_dir=model_dir,
        can_seal=stored.sealer.is_ready,
    )
    if change.errors:
        raise SettingsError(change.errors)
    changed = stored.write(session, instance, change.before.own, change.after.own, who)
    if changed:
        stored.on_write(session, stored.models, instance, {path[0] for path in changed})
    return change


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
        # A provider's own check may raise any ValueError.
        raise CheckError("%(error)s", error=str(error)) from None
    field.check_choice(checked, model_dir)
    return checked


def _restore(
    secrets: Collection[Path],
    errors: Collection[Path],
    layers: Layers,
    own: dict[Path, Any],
) -> set[Path]:
    """Replace new secrets by the stored ones in sections with a refused value.

    The refused value may be the endpoint for which the secret was typed.

    :param secrets: the paths of the new secrets.
    :param own: the values after the change; modified.
    :return: the paths of the replaced secrets.
    """
    refused = {section for section, _ in errors}
    restored = {path for path in secrets if path[0] in refused}
    for path in restored:
        del own[path]
        if path in layers.own:
            own[path] = layers.own[path]
    return restored


def _bind(
    layers: Layers, own: dict[Path, Any], new: Collection[Path]
) -> tuple[dict[Path, Any], tuple[Path, ...]]:
    """Bind new secrets to their endpoint; drop stored ones of another endpoint.

    :param new: the paths of the secrets that were typed now and accepted. Stored
        secrets stay bound to the endpoint for which they were saved.
    """
    settings = layers.with_own(own).resolve()
    cleared = []
    for path, field in paths(layers.sections).items():
        if not field.bound_to or path not in own:
            continue
        endpoint = settings.value((path[0], field.bound_to))
        if path in new:
            own[path] = own[path].bound(endpoint)
        elif own[path].is_readable and own[path].bound_to != endpoint:
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
            error = _ask_for_secret(before.own[path])
        if error is not None:
            errors[path] = error
    return errors


def _check_limit(
    path: Path, field: Field, after: Layers, inherited: Settings
) -> CheckError | None:
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
    """Refuse to enable a provider without a value that it needs."""
    if not field.required or not settings[path[0]].get("enabled"):
        return None
    if settings.value(path) is not None:
        return None
    layers = (after.config, after.system, after.instance or {})
    if any(isinstance(layer.get(path), Secret) for layer in layers):
        return CheckError(_RETYPE)
    return CheckError("must be set before this provider is enabled")


def _ask_for_secret(stored: Secret) -> CheckError:
    """Return an error that asks for a new secret, because the endpoint has changed."""
    if stored.bound_to is None:
        return CheckError(_RETYPE)
    if not stored.ending:
        return CheckError(
            "must be typed again, because the endpoint has changed: the stored one"
            " belongs to %(place)s",
            place=stored.bound_to,
        )
    return CheckError(
        "must be typed again, because the endpoint has changed: the stored one, ending"
        " in %(ending)s, belongs to %(place)s",
        ending=stored.ending,
        place=stored.bound_to,
    )
