"""The checks of ``flask autotag doctor`` and their order."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from ...classification import circuit_breaker
from ...classification.request import question
from ...classification.sandbox.confinement import Confinement
from ...db.database import is_shared_memory
from ...errors import ConfigurationError, ModelError, NoImage, TaggingError
from ...host.assets import SYSTEM, AssetRef
from ...jobs.image_loading import load_asset
from ...providers.registry import local_enabled, providers, remote_enabled
from ...providers.remote_call import missing_fields
from ...providers.tensorflow.provider import TensorFlowProvider
from ...runtime.state import State
from ...settings.checks import SHORTEST_SECRET
from ...settings.fields import dotted
from ...settings.secret import Secret
from ...settings.stored import StoredSettings
from ..queue_report import report
from .counters import check_counters
from .finding import ERROR, OK, WARNING, Finding
from .tables import check_tables
from .web import check_api, check_metrics, check_pages, check_requests

if TYPE_CHECKING:
    from flask import Flask

#: The oldest versions with a reliable SKIP LOCKED, which the queue uses.
OLDEST = {"postgresql": (13,), "mariadb": (10, 6), "mysql": (8,)}

Check = Callable[["Flask", State], Iterator[Finding]]


def examine(app: Flask, state: State) -> Iterator[Finding]:
    """Run all checks, in an application context. A check that raises is a finding too.

    After an error of the tables, checks that fail because of it report nothing.
    """
    tables_failed = False
    for subject, check in _CHECKS.items():
        try:
            for finding in check(app, state):
                tables_failed |= (finding.level, finding.subject) == (ERROR, "tables")
                yield finding
        except ConfigurationError as error:
            yield Finding(ERROR, subject, str(error))
            return
        except Exception as error:
            if tables_failed and isinstance(error, OperationalError | ProgrammingError):
                continue
            yield Finding(ERROR, subject, f"The check failed: {type(error).__name__}.")


def _check_server(_app: Flask, state: State) -> Iterator[Finding]:
    engine = state.database.engine
    if engine.dialect.name == "sqlite":
        yield from _check_sqlite(state)
        return
    with engine.connect() as connection:
        version = connection.dialect.server_version_info or ()
    mariadb = getattr(engine.dialect, "is_mariadb", False)
    name = "mariadb" if mariadb else engine.dialect.name
    number = ".".join(str(part) for part in version)
    oldest = OLDEST.get(name)
    if oldest is None:
        yield Finding(
            WARNING,
            "database",
            f"{name} is not supported.",
            "Use SQLite, PostgreSQL, MariaDB or MySQL.",
        )
    elif version < oldest:
        required = ".".join(str(part) for part in oldest)
        yield Finding(
            ERROR,
            "database",
            f"{name} {number} is too old.",
            f"Use {required} or newer.",
        )
    else:
        yield Finding(OK, "database", f"{name} {number}")


def _check_sqlite(state: State) -> Iterator[Finding]:
    engine = state.database.engine
    if is_shared_memory(engine) or not engine.url.database:
        yield Finding(
            ERROR,
            "database",
            "Threads and workers cannot share a SQLite database in memory.",
            "Use a file, or AUTOTAG_RUNNER = 'inline'.",
        )
        return
    with engine.connect() as connection:
        mode = connection.execute(text("PRAGMA journal_mode")).scalar_one()
    if mode == "wal":
        yield Finding(OK, "database", "SQLite with write-ahead logging.")
    else:
        yield Finding(
            WARNING,
            "database",
            f"SQLite's journal mode is {mode!r}: readers and writers block each other.",
            f"Run \"sqlite3 {shlex.quote(engine.url.database)} 'PRAGMA"
            " journal_mode=WAL'\" once, unless the file is on a network file system.",
        )


def _check_runner(app: Flask, state: State) -> Iterator[Finding]:
    runner = state.config.runner
    if runner == "inline":
        yield Finding(
            WARNING,
            "runner",
            "'inline' delays each upload until its image is tagged.",
            "Set AUTOTAG_RUNNER to 'thread', or to 'none' and run a worker.",
        )
    elif runner == "celery":
        from ...jobs.celery import check_broker

        try:
            check_broker(app, state)
        except ConnectionError as error:
            yield Finding(
                ERROR,
                "runner",
                str(error),
                "Start the broker, or correct AUTOTAG_CELERY_BROKER_URL or the host's"
                " Celery configuration.",
            )
        else:
            yield Finding(OK, "runner", "'celery'; the broker answers.")
    elif runner == "none":
        yield Finding(OK, "runner", "'none': run 'flask autotag worker'.")
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
        yield Finding(OK, "images", "No image has been uploaded yet.")
    elif state.hooks.can_load(row.asset_type):
        yield _try_loader(app, state, AssetRef(row.asset_type, row.asset_id))
    elif row.path is None:
        yield Finding(
            OK, "images", "Images are stored with their jobs until they are tagged."
        )
    elif os.access(row.path, os.R_OK):
        yield Finding(OK, "images", "The latest upload can be read.")
    else:
        yield Finding(
            WARNING,
            "images",
            f"The latest upload, {row.path!r}, cannot be read by this process.",
            "Run workers on a machine and as a user that can read the uploads, or"
            " register an image_loader.",
        )


def _try_loader(app: Flask, state: State, asset: AssetRef) -> Finding:
    try:
        with app.app_context():
            size = len(load_asset(state, asset))
    except NoImage as error:
        return Finding(OK, "images", str(error))
    except TaggingError as error:
        return Finding(
            WARNING,
            "images",
            f"The latest upload, {asset}, cannot be loaded: {error.log_text}",
            "Check the application's image_loader, or its watched model.",
        )
    return Finding(
        OK, "images", f"The latest upload, {asset}, can be loaded ({size:,} bytes)."
    )


def _check_model(_app: Flask, state: State) -> Iterator[Finding]:
    settings = state.settings_for(SYSTEM)
    for provider in providers():
        if not settings[provider.name]["enabled"]:
            yield Finding(OK, "provider", f"{provider.name} is turned off.")
    if TensorFlowProvider in local_enabled(settings):
        own, machine = settings[TensorFlowProvider.name], state.config.machine
        try:
            TensorFlowProvider.check_files(own, machine)
            name = TensorFlowProvider.current_model(own, machine)
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
                f"tensorflow: {name}, with correct checksums; it needs no key.",
            )


def _check_keys(app: Flask, state: State) -> Iterator[Finding]:
    stored = state.stored_settings()
    if not stored.sealer.is_ready:
        yield Finding(
            WARNING,
            "keys",
            "API keys cannot be stored: there is no secret to encrypt them.",
            "Set SECRET_KEY, or AUTOTAG_SECRET_KEYS.",
        )
        return
    if not state.config.secret_keys and len(app.config["SECRET_KEY"]) < SHORTEST_SECRET:
        yield Finding(
            WARNING,
            "keys",
            "SECRET_KEY, which encrypts the API keys, is short.",
            f"Use at least {SHORTEST_SECRET} random characters, or set"
            " AUTOTAG_SECRET_KEYS.",
        )
    unreadable = list(_unreadable_keys(state, stored))
    if unreadable:
        yield Finding(
            ERROR,
            "keys",
            f"These stored keys cannot be decrypted: {', '.join(unreadable)}.",
            "Add the secret that encrypted them to AUTOTAG_SECRET_KEYS, or enter the"
            " keys again.",
        )
    else:
        yield Finding(OK, "keys", "All stored keys can be decrypted.")


def _unreadable_keys(state: State, stored: StoredSettings) -> Iterator[str]:
    with state.database.begin() as session:
        names = [SYSTEM, *sorted(stored.instances(session))]
        layers = stored.layers_of(session, names)
    for name in names:
        for path, value in layers[name].own.items():
            if isinstance(value, Secret) and not value.is_readable:
                yield f"{dotted(path)} of {name or 'the system'}"


def _check_remote(_app: Flask, state: State) -> Iterator[Finding]:
    models = state.database.models
    settings = state.settings_for(SYSTEM)
    for provider in remote_enabled(settings):
        missing = missing_fields(provider, settings[provider.name])
        if missing:
            yield Finding(
                WARNING,
                "provider",
                f"{provider.name} is on, but has no {' and no '.join(missing)}.",
                "Set it on the settings page, or turn the provider off.",
            )
        else:
            yield Finding(OK, "provider", f"{provider.name} is on and has a key.")
    with state.database.begin() as session:
        paused = circuit_breaker.read_paused(session, models)
    for instance, name, reason in paused:
        yield Finding(
            WARNING,
            "provider",
            f"{name} is paused in {instance or 'the system'}: {reason}",
            "Correct its key or endpoint on the settings page, or resume it there.",
        )


def _check_child(_app: Flask, state: State) -> Iterator[Finding]:
    from ...classification.decode import sample_image

    started = time.perf_counter()
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
        seconds = time.perf_counter() - started
        yield _report_child(seconds, state.pool.confinement)


def _report_child(seconds: float, confinement: Confinement | None) -> Finding:
    """Report how long a child took, and its confinement.

    :param confinement: ``None`` if fake labels replace the children in tests.
    """
    works = f"Classifies images; ready in {seconds:.1f} s."
    if confinement is None:
        return Finding(OK, "child process", works)
    message = f"{works} Confinement: {confinement}."
    if confinement.is_complete:
        return Finding(OK, "child process", message)
    return Finding(
        WARNING,
        "child process",
        f"{message} An exploit of an image decoder could read the worker's files.",
        "Run workers on Linux 5.13 or later, on x86_64 or aarch64, with Landlock among"
        " the security modules in /sys/kernel/security/lsm; or confine the worker as"
        " described in the documentation on security.",
    )


def _check_queue(_app: Flask, state: State) -> Iterator[Finding]:
    queue = report(state.database)
    if queue.oldest is not None and queue.is_stuck:
        yield Finding(
            WARNING,
            "queue",
            f"Jobs have been waiting for {queue.oldest / 60:.0f} minutes, and no worker"
            " is running jobs.",
            "Run 'flask autotag worker', or set AUTOTAG_RUNNER = 'thread'.",
        )
    else:
        waiting = queue.states.get("queued", 0)
        yield Finding(OK, "queue", f"{waiting:,} jobs are waiting.")


_CHECKS: dict[str, Check] = {
    "tables": check_tables,
    "database": _check_server,
    "runner": _check_runner,
    "images": _check_loader,
    "provider": _check_model,
    "remote providers": _check_remote,
    "keys": _check_keys,
    "pages": check_pages,
    "API": check_api,
    "metrics": check_metrics,
    "requests": check_requests,
    "child process": _check_child,
    "queue": _check_queue,
    "counters": check_counters,
}
