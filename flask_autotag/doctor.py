"""Examines an installation, and tells how to mend what it finds."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from . import gate
from .assets import SYSTEM, AssetRef
from .checks import SHORTEST_SECRET
from .database import is_shared_memory
from .doctor_counters import check_counters
from .doctor_tables import check_tables
from .doctor_web import check_api, check_metrics, check_pages
from .errors import ConfigurationError, ModelError, TaggingError
from .findings import ERROR, OK, WARNING, Finding
from .jobs.loading import load_asset
from .jobs.report import report
from .providers import model_file
from .providers.registry import enabled_elsewhere, enabled_here, providers
from .providers.tensorflow import TensorFlowProvider
from .remote import missing_fields
from .settings.fields import dotted
from .settings.secret import Secret
from .settings.stored import StoredSettings
from .state import State
from .tagging import question

if TYPE_CHECKING:
    from flask import Flask

#: The oldest versions whose SKIP LOCKED the queue can rely on.
OLDEST = {"postgresql": (13,), "mariadb": (10, 6), "mysql": (8,)}


Check = Callable[["Flask", State], Iterator[Finding]]


def examine(app: Flask, state: State) -> Iterator[Finding]:
    """Run all checks, in an application context. One that breaks is a finding too.

    Where the tables are found wanting, what breaks for that reason is not told.
    """
    told = False
    for subject, check in _CHECKS.items():
        try:
            for finding in check(app, state):
                told |= (finding.level, finding.subject) == (ERROR, "tables")
                yield finding
        except ConfigurationError as error:
            yield Finding(ERROR, subject, str(error))
            return
        except Exception as error:
            if told and isinstance(error, OperationalError | ProgrammingError):
                continue
            yield Finding(
                ERROR, subject, f"It cannot be examined: {type(error).__name__}."
            )


def _check_server(_app: Flask, state: State) -> Iterator[Finding]:
    engine = state.database.engine
    if engine.dialect.name == "sqlite":
        yield from _check_sqlite(state)
        return
    with engine.connect() as connection:
        version = connection.dialect.server_version_info or ()
    mariadb = getattr(engine.dialect, "is_mariadb", False)
    name = "mariadb" if mariadb else engine.dialect.name
    shown = ".".join(str(part) for part in version)
    oldest = OLDEST.get(name)
    if oldest is None:
        yield Finding(
            WARNING,
            "database",
            f"Nobody has tried {name}.",
            "Use SQLite, PostgreSQL, MariaDB or MySQL.",
        )
    elif version < oldest:
        wanted = ".".join(str(part) for part in oldest)
        yield Finding(
            ERROR, "database", f"{name} {shown} is too old.", f"Use {wanted} or newer."
        )
    else:
        yield Finding(OK, "database", f"{name} {shown}")


def _check_sqlite(state: State) -> Iterator[Finding]:
    engine = state.database.engine
    if is_shared_memory(engine) or not engine.url.database:
        yield Finding(
            ERROR,
            "database",
            "SQLite in memory cannot be shared with a thread or a worker.",
            "Use a file, or AUTOTAG_RUNNER = 'inline'.",
        )
        return
    with engine.connect() as connection:
        mode = connection.execute(text("PRAGMA journal_mode")).scalar_one()
    if mode == "wal":
        yield Finding(OK, "database", "SQLite, with a write-ahead log.")
    else:
        yield Finding(
            WARNING,
            "database",
            f"SQLite's journal mode is {mode!r}: readers and writers wait for each"
            " other.",
            f"Run \"sqlite3 {shlex.quote(engine.url.database)} 'PRAGMA"
            " journal_mode=WAL'\" once, unless it lies on a network file system.",
        )


def _check_runner(app: Flask, state: State) -> Iterator[Finding]:
    runner = state.config.runner
    if runner == "inline":
        yield Finding(
            WARNING,
            "runner",
            "'inline' keeps every upload waiting until its image is tagged.",
            "Set AUTOTAG_RUNNER to 'thread', or to 'none' and run a worker.",
        )
    elif runner == "celery":
        from .jobs.celery import check_broker

        try:
            check_broker(app, state)
        except ConnectionError as error:
            yield Finding(
                ERROR,
                "runner",
                str(error),
                "Start it, or correct AUTOTAG_CELERY_BROKER_URL or the host's"
                " Celery configuration.",
            )
        else:
            yield Finding(OK, "runner", "'celery'; its broker answers.")
    elif runner == "none":
        yield Finding(OK, "runner", "'none': 'flask autotag worker' has to run.")
    else:
        yield Finding(OK, "runner", f"{runner!r}")


def _check_loader(app: Flask, state: State) -> Iterator[Finding]:
    job = state.database.models.job.__table__
    with state.database.begin() as session:
        row = session.execute(
            select(job.c.asset_type, job.c.asset_id, job.c.path)
            .order_by(job.c.id.desc())
            .limit(1)
        ).first()
    if row is None:
        yield Finding(OK, "images", "Nothing was uploaded yet.")
    elif state.hooks.can_load(row.asset_type):
        yield _try_loader(app, state, AssetRef(row.asset_type, row.asset_id))
    elif row.path is None:
        yield Finding(OK, "images", "Their bytes are kept until they are tagged.")
    elif os.access(row.path, os.R_OK):
        yield Finding(OK, "images", "The latest upload can be read.")
    else:
        yield Finding(
            WARNING,
            "images",
            f"The latest upload, {os.path.basename(row.path)!r}, cannot be read by"
            " this process.",
            "Run workers where the uploads are, with the right to read them, or"
            " register an image_loader.",
        )


def _try_loader(app: Flask, state: State, asset: AssetRef) -> Finding:
    try:
        with app.app_context():
            size = len(load_asset(state, asset))
    except TaggingError as error:
        return Finding(
            WARNING,
            "images",
            f"The latest upload, {asset}, cannot be loaded: {error}",
            "Look at the application's image_loader, or its watched model.",
        )
    return Finding(OK, "images", f"The latest upload, {asset}, loads ({size:,} bytes).")


def _check_model(_app: Flask, state: State) -> Iterator[Finding]:
    settings = state.settings_for(SYSTEM)
    for provider in providers():
        if not settings[provider.name]["enabled"]:
            yield Finding(OK, "provider", f"{provider.name} is turned off.")
    if TensorFlowProvider in enabled_here(settings):
        model = settings[TensorFlowProvider.name]["model"]
        try:
            found = model_file.find(model, state.config.model_dir)
            found.check()
        except ModelError as error:
            yield Finding(
                ERROR,
                "provider",
                str(error),
                "Install the package, or the model in AUTOTAG_MODEL_DIR, again.",
            )
        else:
            yield Finding(
                OK,
                "provider",
                f"tensorflow: {found.name} {found.version}, its checksum is"
                " right; it needs no key.",
            )


def _check_keys(app: Flask, state: State) -> Iterator[Finding]:
    stored = state.stored_settings()
    if not stored.sealer.is_ready:
        yield Finding(
            WARNING,
            "keys",
            "There is nothing to encrypt API keys with; none can be stored.",
            "Set SECRET_KEY, or AUTOTAG_SECRET_KEYS.",
        )
        return
    if not state.config.secret_keys and len(app.config["SECRET_KEY"]) < SHORTEST_SECRET:
        yield Finding(
            WARNING,
            "keys",
            "SECRET_KEY is short, and API keys are encrypted under it.",
            f"Use {SHORTEST_SECRET} random characters or more, or set"
            " AUTOTAG_SECRET_KEYS.",
        )
    unreadable = list(_unreadable_keys(state, stored))
    if unreadable:
        yield Finding(
            ERROR,
            "keys",
            f"Stored, but cannot be decrypted: {', '.join(unreadable)}.",
            "Add the secret that they were stored under to AUTOTAG_SECRET_KEYS, or type"
            " the keys again.",
        )
    else:
        yield Finding(OK, "keys", "Those that are stored can be decrypted.")


def _unreadable_keys(state: State, stored: StoredSettings) -> Iterator[str]:
    with state.database.begin() as session:
        names = [SYSTEM, *sorted(stored.instances(session))]
        layers = stored.layers_of(session, names)
    for name in names:
        for path, value in layers[name].own.items():
            if isinstance(value, Secret) and not value.is_readable:
                yield f"{dotted(path)} of {name or 'the system'}"


def _check_elsewhere(_app: Flask, state: State) -> Iterator[Finding]:
    models = state.database.models
    settings = state.settings_for(SYSTEM)
    for provider in enabled_elsewhere(settings):
        missing = missing_fields(provider, settings[provider.name])
        if missing:
            yield Finding(
                WARNING,
                "provider",
                f"{provider.name} is on, but has no {' and no '.join(missing)}.",
                "Set it on the settings page, or turn the provider off.",
            )
        else:
            yield Finding(OK, "provider", f"{provider.name} is on, and has its key.")
    with state.database.begin() as session:
        paused = gate.read_paused(session, models)
    for instance, name, reason in paused:
        yield Finding(
            WARNING,
            "provider",
            f"{name} is paused in {instance or 'the system'}: {reason}",
            "Correct its key or endpoint on the settings page, or resume it there.",
        )


def _check_child(_app: Flask, state: State) -> Iterator[Finding]:
    from .images import sample_image

    begun = time.perf_counter()
    try:
        state.pool.classify(
            question(sample_image(), state.settings_for(SYSTEM), state.config.machine)
        )
    except TaggingError as error:
        yield Finding(
            ERROR if error.code != "tagging_off" else WARNING,
            "child process",
            str(error),
            "See AUTOTAG_MEMORY_LIMIT, AUTOTAG_TIMEOUT and AUTOTAG_ENABLED.",
        )
    else:
        seconds = time.perf_counter() - begun
        yield Finding(OK, "child process", f"It classifies; ready in {seconds:.1f} s.")


def _check_queue(_app: Flask, state: State) -> Iterator[Finding]:
    now = report(state.database)
    if now.oldest is not None and now.is_stuck:
        yield Finding(
            WARNING,
            "queue",
            f"Jobs have been waiting for {now.oldest / 60:.0f} minutes, and nobody"
            " works on any.",
            "Run 'flask autotag worker', or set AUTOTAG_RUNNER = 'thread'.",
        )
    else:
        waiting = now.states.get("queued", 0)
        yield Finding(OK, "queue", f"{waiting:,} jobs wait.")


_CHECKS: dict[str, Check] = {
    "tables": check_tables,
    "database": _check_server,
    "runner": _check_runner,
    "images": _check_loader,
    "provider": _check_model,
    "providers elsewhere": _check_elsewhere,
    "keys": _check_keys,
    "pages": check_pages,
    "API": check_api,
    "metrics": check_metrics,
    "child process": _check_child,
    "queue": _check_queue,
    "counters": check_counters,
}
