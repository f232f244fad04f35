from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import text
from sqlalchemy.orm import DeclarativeBase

from flask_autotag import AssetRef, AutoTag, create_models, image_uploaded
from flask_autotag.classification import circuit_breaker
from flask_autotag.classification.sandbox.confinement import Confinement
from flask_autotag.db.revisions import newest_revision
from flask_autotag.errors import ModelError, ProviderRefused
from flask_autotag.monitoring.doctor.checkup import _report_child, examine
from flask_autotag.monitoring.doctor.finding import Finding
from flask_autotag.providers.tensorflow.model_file import ModelFile
from flask_autotag.testing import fake_labels

from ..db.migrations.next_release import REVISIONS, install_next_release
from ..hosts import ESPRESSO, Host, close, jpeg, make_host
from ..jobs.queues import make_due
from ..providers.tensorflow.models import make_detector
from ..settings.desk import Desk

PHOTO = AssetRef("photo", "1")


def read_findings(host: Host) -> dict[str, Finding]:
    with host.app.app_context():
        state = host.autotag.state_of(host.app)
        return {found.subject: found for found in examine(host.app, state)}


def diagnose(host: Host) -> dict[str, Finding]:
    """Run the checks without a child process."""
    with fake_labels(host.app, {}):
        return read_findings(host)


def test_a_sound_installation(any_host: Host) -> None:
    found = read_findings(any_host)
    assert list(found) == [
        "tables",
        "database",
        "runner",
        "images",
        "provider",
        "keys",
        "pages",
        "child process",
        "queue",
        "counters",
    ]
    assert {subject for subject, each in found.items() if each.level != "ok"} <= {
        # SQLite's default journal mode.
        "database",
        # The host has neither a SECRET_KEY nor an authorizer.
        "keys",
        "pages",
    }
    assert "with correct checksums; it needs no key" in found["provider"].message
    assert found["child process"].message.startswith("Classifies images; ready in ")
    assert "Confinement: " in found["child process"].message


@pytest.mark.parametrize(
    ("confinement", "level", "words"),
    [
        (
            Confinement(7, True),
            "ok",
            "Confinement: Landlock 7, seccomp filter, limits of resources.",
        ),
        (
            Confinement(0, True),
            "warning",
            "Confinement: no Landlock, seccomp filter, limits of resources. An",
        ),
        (
            Confinement(3, False),
            "warning",
            "Confinement: Landlock 3, no seccomp filter, limits of resources. An",
        ),
    ],
)
def test_what_confines_the_child_is_told(
    confinement: Confinement, level: str, words: str
) -> None:
    found = _report_child(0.5, confinement)
    assert found.level == level
    assert words in found.message
    assert (found.fix is None) is (level == "ok")


def test_sqlite_without_a_write_ahead_log(host: Host) -> None:
    found = diagnose(host)["database"]
    assert found.level == "warning"
    assert found.fix is not None
    with host.app.app_context(), host.db.engine.connect() as connection:
        file = host.db.engine.url.database
        assert f"sqlite3 {file} 'PRAGMA journal_mode=WAL'" in found.fix
        connection.execute(text("PRAGMA journal_mode=WAL"))
    assert diagnose(host)["database"].level == "ok"


def test_a_database_in_memory() -> None:
    with make_host("sqlite://", AUTOTAG_RUNNER="inline") as host:
        found = diagnose(host)
    assert found["database"].level == "error"
    assert found["runner"].level == "warning"
    assert "delays each upload" in found["runner"].message


def test_an_old_server(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "flask_autotag.monitoring.doctor.checkup._check_sqlite", lambda _: iter(())
    )
    monkeypatch.setattr(
        "flask_autotag.monitoring.doctor.checkup.OLDEST", {"sqlite": (99,)}
    )
    with host.app.app_context():
        engine = host.db.engine
        from flask_autotag.monitoring.doctor.checkup import _check_server

        monkeypatch.setattr(engine.dialect, "name", "mysql")
        monkeypatch.setattr(engine.dialect, "is_mariadb", True, raising=False)
        state = host.autotag.state_of(host.app)
        [untried] = _check_server(host.app, state)
        monkeypatch.setattr(
            "flask_autotag.monitoring.doctor.checkup.OLDEST", {"mariadb": (99,)}
        )
        [old] = _check_server(host.app, state)
    assert (untried.level, untried.message) == ("warning", "mariadb is not supported.")
    assert old.level == "error"
    assert (old.message.split()[-2:], old.fix) == (["too", "old."], "Use 99 or newer.")


def change_tables(host: Host, *statements: str) -> Finding:
    """Change the tables by hand, then run their check."""
    with host.app.app_context(), host.db.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    return diagnose(host)["tables"]


def test_tables_of_an_older_release(host: Host) -> None:
    found = change_tables(
        host,
        "DROP TABLE autotag_usage",
        "DROP INDEX ix_autotag_job_due",
        "DROP INDEX ix_autotag_job_turn",
        "ALTER TABLE autotag_job DROP COLUMN priority",
        "DELETE FROM autotag_revision",
    )
    assert found == Finding(
        "error",
        "tables",
        "Missing: autotag_job.priority, autotag_job.ix_autotag_job_due,"
        " autotag_job.ix_autotag_job_turn, autotag_usage.",
        "Run 'flask autotag upgrade-db'.",
    )
    Migrate(host.app, host.db)
    assert diagnose(host)["tables"].fix == (
        "Create a migration with Flask-Migrate, and run it."
    )


def test_without_tables_nothing_else_is_said_to_be_broken(host: Host) -> None:
    with host.app.app_context():
        host.models.metadata.drop_all(host.db.engine)
        state = host.autotag.state_of(host.app)
        found = [*examine(host.app, state)]
    assert [each.subject for each in found if each.level == "error"] == ["tables"]


def test_models_with_a_base_class_of_their_own(sqlite_url: str) -> None:
    """``create_all`` of such a base creates our tables only if they are on it."""

    class Base(DeclarativeBase):
        pass

    def tables(autotag: AutoTag) -> Finding:
        app, db = Flask("host"), SQLAlchemy()
        app.config.update(SQLALCHEMY_DATABASE_URI=sqlite_url, AUTOTAG_RUNNER="none")
        db.init_app(app)
        autotag.init_app(app)
        with app.app_context():
            Base.metadata.create_all(db.engine)
            found = [*examine(app, autotag.state_of(app))]
        close(app, db)
        return next(each for each in found if each.subject == "tables")

    fix = tables(AutoTag()).fix
    assert fix is not None
    assert "AutoTag(models=create_models(Model.metadata))" in fix
    models = create_models(Base.metadata)
    assert tables(AutoTag(models=models)) == Finding("ok", "tables", "Complete.")


def test_a_lost_index(host: Host) -> None:
    found = change_tables(host, "DROP INDEX ix_autotag_job_due")
    assert found.message == "Missing: autotag_job.ix_autotag_job_due."
    assert found.fix == "Run 'flask autotag upgrade-db'."


def test_a_lost_column(host: Host) -> None:
    found = change_tables(host, "ALTER TABLE autotag_word DROP COLUMN threshold")
    assert found.fix == (
        f"The tables are at revision {newest_revision()}, so no revision adds missing"
        " columns and unique constraints. Add them by hand, or restore a backup;"
        " columns of your own need a migration of yours."
    )


def test_tables_of_a_newer_release(host: Host) -> None:
    found = change_tables(host, "UPDATE autotag_revision SET version_num = '9999'")
    assert found.level == "error"
    assert found.message.startswith("The tables are at revision 9999, but the newest")


def test_a_pending_revision(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_next_release(tmp_path / "next", monkeypatch)
    assert diagnose(host)["tables"] == Finding(
        "error",
        "tables",
        f"Pending revisions: {', '.join(REVISIONS)}.",
        "Run 'flask autotag upgrade-db'.",
    )


def test_tables_of_flask_migrate(host: Host) -> None:
    """The database stores no revision of ours, and needs none."""
    Migrate(host.app, host.db)
    found = change_tables(host, "DELETE FROM autotag_revision")
    assert (found.level, found.message) == ("ok", "Complete.")


def test_a_loader_that_fails(host: Host) -> None:
    @host.autotag.image_loader
    def load(_asset: AssetRef) -> bytes:
        raise ConnectionError("secret address")

    image_uploaded.send(host.app, asset=PHOTO)
    found = diagnose(host)["images"]
    assert (found.level, found.message) == (
        "warning",
        "The latest upload, photo 1, cannot be loaded: The application's image loader"
        " raised ConnectionError.",
    )


def test_a_loader_that_works(host: Host) -> None:
    host.autotag.image_loader(lambda _asset: ESPRESSO)
    image_uploaded.send(host.app, asset=PHOTO)
    assert diagnose(host)["images"].message.startswith(
        "The latest upload, photo 1, can be loaded"
    )


def test_uploads_that_cannot_be_read_here(host: Host, tmp_path: Path) -> None:
    photo = tmp_path / "gone.jpg"
    photo.write_bytes(jpeg())
    image_uploaded.send(host.app, asset=PHOTO, image=photo)
    assert diagnose(host)["images"].level == "ok"
    os.unlink(photo)
    found = diagnose(host)["images"]
    assert (found.level, found.message) == (
        "warning",
        f"The latest upload, '{photo}', cannot be read by this process.",
    )


def test_a_damaged_model(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: Any) -> None:
        raise ModelError("The file network.tflite is damaged.")

    monkeypatch.setattr(ModelFile, "check", broken)
    found = diagnose(host)["provider"]
    assert (found.level, found.message) == (
        "error",
        "The file network.tflite is damaged.",
    )


def test_tagging_is_off(sqlite_url: str) -> None:
    with make_host(sqlite_url, AUTOTAG_TENSORFLOW_ENABLED=False) as host:
        found = diagnose(host)
        state = host.autotag.state_of(host.app)
        with host.app.app_context():
            told = [each.message for each in examine(host.app, state)]
    assert "tensorflow is turned off." in told
    assert found["child process"].message == "Auto tagging is turned off."


def test_keys(host: Host) -> None:
    found = diagnose(host)["keys"]
    assert (found.level, found.fix) == (
        "warning",
        "Set SECRET_KEY, or AUTOTAG_SECRET_KEYS.",
    )
    desk = Desk(host)
    assert diagnose(host)["keys"].level == "ok"
    desk.save({("google", "api_key"): "AIza-secret"}, "shop")
    assert diagnose(host)["keys"].level == "ok"
    host.app.config["SECRET_KEY"] = "short"
    state = host.autotag.state_of(host.app)
    with host.app.app_context():
        told = [each for each in examine(host.app, state) if each.subject == "keys"]
    assert [(each.level, each.message) for each in told] == [
        ("warning", "SECRET_KEY, which encrypts the API keys, is short."),
        ("error", "These stored keys cannot be decrypted: google.api_key of shop."),
    ]


@pytest.mark.parametrize(
    ("subject", "key", "closed", "address"),
    [
        ("pages", "AUTOTAG_URL_PREFIX", "open the settings pages", "/tags/"),
        ("API", "AUTOTAG_API", "use the JSON API", "/tags/"),
        ("metrics", "AUTOTAG_METRICS", "read the metrics", "/tags"),
    ],
)
def test_without_an_authorizer_nobody_gets_in(
    sqlite_url: str, subject: str, key: str, closed: str, address: str
) -> None:
    with make_host(sqlite_url, **{"AUTOTAG_URL_PREFIX": None, key: "/tags"}) as host:
        found = diagnose(host)[subject]
        assert (found.level, found.message, found.fix) == (
            "warning",
            f"Nobody may {closed} at {address}.",
            f"Register an authorizer, or set {key} = None.",
        )
        host.autotag.authorizer(lambda _action, _instance: True)
        assert diagnose(host)[subject].message == f"Served at {address}."


def test_no_pages(sqlite_url: str) -> None:
    with make_host(sqlite_url, AUTOTAG_URL_PREFIX=None) as host:
        assert diagnose(host)["pages"].level == "ok"


def test_a_template_that_is_not_there(sqlite_url: str) -> None:
    with make_host(sqlite_url, AUTOTAG_BASE_TEMPLATE="none.html") as host:
        found = diagnose(host)["pages"]
    assert (found.level, found.message, found.fix) == (
        "error",
        "The template 'none.html' does not exist.",
        "Correct AUTOTAG_BASE_TEMPLATE.",
    )


def test_providers_elsewhere(sqlite_url: str) -> None:
    with make_host(sqlite_url, AUTOTAG_GOOGLE_ENABLED=True) as host:
        found = diagnose(host)["provider"]
        assert (found.level, found.message) == (
            "warning",
            "google is on, but has no API key.",
        )
        Desk(host).save({("google", "api_key"): "AIza-secret"})
        assert diagnose(host)["provider"].message == "google is on and has a key."
        state = host.autotag.state_of(host.app)
        with host.app.app_context(), state.database.begin() as session:
            error = ProviderRefused("Google Cloud Vision answered 403.")
            circuit_breaker.record_failure(
                session, host.models, "shop", "google", error
            )
        assert diagnose(host)["provider"].message == (
            "google is paused in shop: Google Cloud Vision answered 403."
        )


def test_nobody_works(host: Host) -> None:
    image_uploaded.send(host.app, asset=PHOTO, image=ESPRESSO)
    make_due(host)
    found = diagnose(host)["queue"]
    assert found.level == "warning"
    assert "no worker is running jobs" in found.message


def test_a_broker_that_is_down(sqlite_url: str) -> None:
    with make_host(
        sqlite_url,
        AUTOTAG_RUNNER="celery",
        AUTOTAG_CELERY_BROKER_URL="redis://:secret@127.0.0.1:1/0",
    ) as host:
        found = diagnose(host)["runner"]
    assert found.level == "error"
    assert found.message.startswith("The Celery broker cannot be reached (")
    assert "secret" not in found.message


def test_a_check_that_breaks_is_a_finding(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("flask_autotag.monitoring.doctor.checkup.report", broken)
    found = diagnose(host)["queue"]
    assert found.message == "The check failed: ZeroDivisionError."


def test_a_damaged_detector(sqlite_url: str, tmp_path: Path) -> None:
    folder = make_detector(tmp_path)
    config = {"AUTOTAG_MODEL_DIR": str(tmp_path), "AUTOTAG_TENSORFLOW_DETECTOR": "seer"}
    with make_host(sqlite_url, **config) as host:
        assert diagnose(host)["provider"].message == (
            "tensorflow: efficientnet-lite0 2 + seer 2, with correct checksums; it"
            " needs no key."
        )
        (folder / "model.tflite").write_bytes(b"text")
        found = diagnose(host)["provider"]
    assert found.level == "error"
    assert "The file model.tflite of the model seer is damaged" in found.message
