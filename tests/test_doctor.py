from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from flask_migrate import Migrate
from sqlalchemy import text, update

from flask_autotag import AssetRef, ModelError, ProviderRefused, gate, image_uploaded
from flask_autotag.doctor import examine
from flask_autotag.findings import Finding
from flask_autotag.migrations import newest_revision
from flask_autotag.migrations.running import Revision
from flask_autotag.providers.model_file import ModelFile

from .hosts import ESPRESSO, Host, jpeg, make_host
from .settings.desk import Desk

PHOTO = AssetRef("photo", "1")


def diagnose(host: Host) -> dict[str, Finding]:
    with host.app.app_context():
        state = host.autotag.state_of(host.app)
        return {found.subject: found for found in examine(host.app, state)}


def test_a_sound_installation(any_host: Host) -> None:
    found = diagnose(any_host)
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
        # SQLite's default journal.
        "database",
        # The host has neither a SECRET_KEY nor an authorizer.
        "keys",
        "pages",
    }
    assert "its checksum is right; it needs no key" in found["provider"].message
    assert found["child process"].message.startswith("It classifies; ready in ")


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
    assert "keeps every upload waiting" in found["runner"].message


def test_an_old_server(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flask_autotag.doctor._check_sqlite", lambda _: iter(()))
    monkeypatch.setattr("flask_autotag.doctor.OLDEST", {"sqlite": (99,)})
    with host.app.app_context():
        engine = host.db.engine
        from flask_autotag.doctor import _check_server

        monkeypatch.setattr(engine.dialect, "name", "mysql")
        monkeypatch.setattr(engine.dialect, "is_mariadb", True, raising=False)
        state = host.autotag.state_of(host.app)
        [untried] = _check_server(host.app, state)
        monkeypatch.setattr("flask_autotag.doctor.OLDEST", {"mariadb": (99,)})
        [old] = _check_server(host.app, state)
    assert (untried.level, untried.message) == ("warning", "Nobody has tried mariadb.")
    assert old.level == "error"
    assert (old.message.split()[-2:], old.fix) == (["too", "old."], "Use 99 or newer.")


def change_tables(host: Host, *statements: str) -> Finding:
    """Change the tables behind everybody's back, and examine them."""
    with host.app.app_context(), host.db.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    return diagnose(host)["tables"]


def test_tables_of_an_older_release(host: Host) -> None:
    found = change_tables(
        host,
        "DROP TABLE autotag_usage",
        "DROP INDEX ix_autotag_job_due",
        "ALTER TABLE autotag_job DROP COLUMN priority",
        "DELETE FROM autotag_revision",
    )
    assert found == Finding(
        "error",
        "tables",
        "Missing: autotag_job.priority, autotag_job.ix_autotag_job_due, autotag_usage.",
        "Run 'flask autotag upgrade-db'.",
    )
    Migrate(host.app, host.db)
    assert diagnose(host)["tables"].fix == (
        "Make a migration with Flask-Migrate, and run it."
    )


def test_without_tables_nothing_else_is_said_to_be_broken(host: Host) -> None:
    with host.app.app_context():
        host.models.metadata.drop_all(host.db.engine)
        state = host.autotag.state_of(host.app)
        found = [*examine(host.app, state)]
    assert [each.subject for each in found if each.level == "error"] == ["tables"]


def test_tables_that_are_not_what_they_say(host: Host) -> None:
    found = change_tables(host, "DROP INDEX ix_autotag_job_due")
    assert found.fix == (
        f"The tables say that they are at revision {newest_revision()}. Run 'flask"
        " autotag upgrade-db --from base', which repeats all; what you added yourself"
        " needs a migration of yours."
    )


def test_tables_of_a_newer_release(host: Host) -> None:
    found = change_tables(host, "UPDATE autotag_revision SET version_num = '9999'")
    assert found.level == "error"
    assert found.message.startswith("The tables are at the revision 9999, and this")


def test_a_revision_that_changes_only_data(host: Host) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "flask_autotag.migrations.running.History.revisions",
            lambda _: [Revision(newest_revision(), "."), Revision("9999", ".")],
        )
        assert diagnose(host)["tables"] == Finding(
            "error",
            "tables",
            "Revisions to come: 9999.",
            "Run 'flask autotag upgrade-db'.",
        )


def test_tables_of_flask_migrate(host: Host) -> None:
    """It notes no revision of ours, and none is asked for."""
    Migrate(host.app, host.db)
    found = change_tables(host, "DELETE FROM autotag_revision")
    assert (found.level, found.message) == ("ok", "All are there.")


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
        "The latest upload, photo 1, loads"
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
        "The latest upload, 'gone.jpg', cannot be read by this process.",
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
        ("warning", "SECRET_KEY is short, and API keys are encrypted under it."),
        ("error", "Stored, but cannot be decrypted: google.api_key of shop."),
    ]


def test_pages(sqlite_url: str) -> None:
    with make_host(sqlite_url) as host:
        assert diagnose(host)["pages"].message == (
            "Nobody may open the settings pages at /autotag/."
        )
        host.autotag.authorizer(lambda _action, _instance: True)
        assert diagnose(host)["pages"].message == "They are at /autotag/."


def test_an_api_for_nobody(sqlite_url: str) -> None:
    with make_host(sqlite_url, AUTOTAG_API="/api/autotag") as host:
        found = diagnose(host)["API"]
        assert (found.level, found.message, found.fix) == (
            "warning",
            "Nobody may use the JSON API at /api/autotag/.",
            "Register an authorizer, or set AUTOTAG_API = None.",
        )
        host.autotag.authorizer(lambda _action, _instance: True)
        assert diagnose(host)["API"].message == "It is at /api/autotag/."


def test_metrics_for_nobody(sqlite_url: str) -> None:
    with make_host(sqlite_url, AUTOTAG_METRICS="/metrics/autotag") as host:
        found = diagnose(host)["metrics"]
        assert (found.level, found.message, found.fix) == (
            "warning",
            "Nobody may read the metrics at /metrics/autotag.",
            "Register an authorizer, or set AUTOTAG_METRICS = None.",
        )
        host.autotag.authorizer(lambda _action, _instance: True)
        assert diagnose(host)["metrics"].message == "They are at /metrics/autotag."


def test_no_pages(sqlite_url: str) -> None:
    with make_host(sqlite_url, AUTOTAG_URL_PREFIX=None) as host:
        assert diagnose(host)["pages"].level == "ok"


def test_a_template_that_is_not_there(sqlite_url: str) -> None:
    with make_host(sqlite_url, AUTOTAG_BASE_TEMPLATE="none.html") as host:
        found = diagnose(host)["pages"]
    assert (found.level, found.message, found.fix) == (
        "error",
        "There is no template 'none.html'.",
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
        assert diagnose(host)["provider"].message == "google is on, and has its key."
        state = host.autotag.state_of(host.app)
        with host.app.app_context(), state.database.begin() as session:
            error = ProviderRefused("Google Cloud Vision answered 403.")
            gate.note_failure(session, host.models, "shop", "google", error)
        assert diagnose(host)["provider"].message == (
            "google is paused in shop: Google Cloud Vision answered 403."
        )


def test_nobody_works(host: Host) -> None:
    image_uploaded.send(host.app, asset=PHOTO, image=ESPRESSO)
    with host.app.app_context(), host.db.engine.begin() as connection:
        connection.execute(update(host.models.job.__table__).values(run_at=1))
    found = diagnose(host)["queue"]
    assert found.level == "warning"
    assert "nobody works on any" in found.message


def test_a_broker_that_is_down(sqlite_url: str) -> None:
    with make_host(
        sqlite_url,
        AUTOTAG_RUNNER="celery",
        AUTOTAG_CELERY_BROKER_URL="redis://:secret@127.0.0.1:1/0",
    ) as host:
        found = diagnose(host)["runner"]
    assert found.level == "error"
    assert found.message.startswith("The broker of Celery cannot be reached (")
    assert "secret" not in found.message


def test_a_check_that_breaks_is_a_finding(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("flask_autotag.doctor.report", broken)
    found = diagnose(host)["queue"]
    assert found.message == "It cannot be examined: ZeroDivisionError."
