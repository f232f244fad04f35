"""From an upload to its tags, with the real model."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import IO, Any

import pytest
from flask import Flask
from sqlalchemy import update

from flask_autotag import AssetRef, image_tagged, image_uploaded, tagging_failed
from flask_autotag.classification.sandbox.child_process import ChildProcess
from flask_autotag.jobs.leases import Leases
from flask_autotag.jobs.worker import Worker

from ..hosts import ESPRESSO, ESPRESSO_TAGS, Host, jpeg, make_host
from ..waiting import wait_for
from .queues import make_due

PHOTO = AssetRef("photo", "1")


def test_an_upload_ends_as_tags(host_database_url: str) -> None:
    with make_host(host_database_url, AUTOTAG_RUNNER="inline") as host:
        with host.app.app_context():
            photo = host.Photo(path=str(ESPRESSO))
            host.db.session.add(photo)
            image_uploaded.send(host.app, asset=photo, image=ESPRESSO, instance="acme")
            host.db.session.commit()
            tags = host.autotag.tags_for(photo, "acme")
        [job] = host.jobs()
    assert [tag.name for tag in tags] == ESPRESSO_TAGS
    assert (job.state, job.run_at, job.lease_token) == ("done", None, None)
    [told] = host.tagged
    assert (told["asset"], told["instance"], told["tags"]) == (PHOTO, "acme", tags)
    assert host.failures == []


def test_the_images_of_a_batch_are_worked_on_tenant_by_tenant(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, begin = [], ChildProcess.begin

    def note(child: ChildProcess, tenant: str, choices: Any) -> None:
        begin(child, tenant, choices)
        begun.append((tenant, child.pid))

    monkeypatch.setattr(ChildProcess, "begin", note)
    with make_host(sqlite_url, AUTOTAG_RUNNER="none") as host:
        state = host.autotag.state_of(host.app)
        for number, instance in enumerate(["b", "a", "b", "c", "a", "b"]):
            asset = AssetRef("photo", str(number))
            image_uploaded.send(
                host.app, asset=asset, image=ESPRESSO, instance=instance
            )
        assert Worker(host.app, state, Leases(host.app, state)).drain() == 6
        assert {job.state for job in host.jobs()} == {"done"}
        told = [(each["instance"], each["asset"].id) for each in host.tagged]
    assets = {"a": ["1", "4"], "b": ["0", "2", "5"], "c": ["3"]}
    order = [tenant for tenant, _ in begun]
    assert sorted(order) == ["a", "b", "c"]
    assert told == [(tenant, each) for tenant in order for each in assets[tenant]]
    assert len({pid for _, pid in begun}) == 3


def test_bytes_without_a_loader(host_database_url: str) -> None:
    with make_host(host_database_url, AUTOTAG_RUNNER="inline") as host:
        image_uploaded.send(host.app, asset=PHOTO, image=ESPRESSO.read_bytes())
        [told] = host.tagged
    assert [tag.name for tag in told["tags"]] == ESPRESSO_TAGS


def test_a_loader_finds_what_is_no_longer_at_its_path(
    inline_host: Host, tmp_path: Path
) -> None:
    @inline_host.autotag.image_loader
    def load(asset: AssetRef) -> Path:
        assert asset == PHOTO
        return ESPRESSO

    image_uploaded.send(inline_host.app, asset=PHOTO, image=tmp_path / "elsewhere.jpg")
    assert [tag.name for tag in inline_host.tagged[0]["tags"]] == ESPRESSO_TAGS


def test_what_the_host_opens_for_a_worker_is_closed(inline_host: Host) -> None:
    opened: list[IO[bytes]] = []

    def open_photo(_photo: object) -> IO[bytes]:
        opened.append(ESPRESSO.open("rb"))
        return opened[-1]

    inline_host.autotag.image_loader(open_photo)
    inline_host.autotag.watch(inline_host.Photo, image=open_photo)
    image_uploaded.send(inline_host.app, asset=AssetRef("file", "1"))
    with inline_host.app.app_context():
        inline_host.add_photo()
    assert len(inline_host.tagged) == 2
    assert [file.closed for file in opened] == [True, True]


@pytest.mark.parametrize(
    ("image", "code", "message"),
    [
        (b"<svg/>", "image_unreadable", "is not an image that can be read (JPEG, PNG"),
        (b"", "image_unreadable", "The file is empty."),
        (ESPRESSO.read_bytes()[:9000], "image_unreadable", "damaged or incomplete"),
    ],
)
def test_a_bad_image_is_a_failed_job_with_a_sentence(
    inline_host: Host, image: bytes, code: str, message: str
) -> None:
    image_uploaded.send(inline_host.app, asset=PHOTO, image=image, instance="acme")
    [failure] = inline_host.failures
    [job] = inline_host.jobs()
    assert (failure["asset"], failure["instance"]) == (PHOTO, "acme")
    assert failure["code"] == job.error_code == code
    assert message in failure["message"]
    assert failure["message"] == job.error_text
    assert job.state == "failed"


def test_a_file_deleted_before_its_turn(
    host: Host, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "gone.jpg"
    path.write_bytes(jpeg())
    image_uploaded.send(host.app, asset=PHOTO, image=path)
    path.unlink()
    drain(host)
    assert host.failures[0]["code"] == "image_missing"
    assert "no readable file 'gone.jpg'" in host.failures[0]["message"]
    # Pages show the stored text; only the log may name folders of the server.
    [job] = host.jobs()
    assert job.error_text == host.failures[0]["message"]
    assert str(tmp_path) not in job.error_text
    assert f"Its path is '{path}'." in caplog.text


def test_a_file_that_is_too_large(sqlite_url: str, tmp_path: Path) -> None:
    with make_host(
        sqlite_url, AUTOTAG_RUNNER="inline", AUTOTAG_MAX_IMAGE_BYTES=1000
    ) as host:
        image_uploaded.send(host.app, asset=PHOTO, image=ESPRESSO)
        [failure] = host.failures
    assert failure["code"] == "image_too_large"
    assert "more than 1,000 bytes" in failure["message"]


def test_a_loader_that_raises_is_tried_again(
    inline_host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    @inline_host.autotag.image_loader
    def load(_asset: AssetRef) -> bytes:
        raise ConnectionError("secret storage address")

    image_uploaded.send(inline_host.app, asset=PHOTO)
    [job] = inline_host.jobs()
    assert (job.state, job.failures, job.error_code) == ("queued", 1, "loader_failed")
    assert job.error_text == "The application's image loader raised ConnectionError."
    assert inline_host.failures == []
    # The text of the error is only for the developer, and logged at the first attempt.
    assert "raised ConnectionError.\nTraceback" in caplog.text
    assert "ConnectionError: secret storage address" in caplog.text


def test_a_watched_model_whose_function_raises(
    inline_host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    inline_host.autotag.watch(inline_host.Photo, image=lambda photo: photo.no_such)
    with inline_host.app.app_context():
        inline_host.add_photo("a")
    [job] = inline_host.jobs()
    assert job.error_text == (
        "The image function of the watched model Photo raised AttributeError."
    )
    assert "no_such" in caplog.text


def test_a_loader_that_knows_no_such_asset(inline_host: Host) -> None:
    @inline_host.autotag.image_loader
    def load(_asset: AssetRef) -> bytes:
        raise LookupError

    image_uploaded.send(inline_host.app, asset=PHOTO)
    assert (
        inline_host.failures[0]["message"]
        == "The application reports that photo 1 is gone."
    )


def test_a_failure_after_a_later_upload_is_tagged_is_signalled(host: Host) -> None:
    with host.app.app_context():
        image_uploaded.send(host.app, asset=PHOTO, image=b"no image")
        table = host.models.job.__table__
        later = update(table).values(run_at=table.c.run_at + 1000)
        host.db.session.execute(later)
        host.db.session.commit()
        image_uploaded.send(host.app, asset=PHOTO, image=ESPRESSO)
        worker = Worker(host.app, host.autotag.state_of(host.app))
        worker.drain()
        make_due(host)
        worker.drain()
    assert [job.state for job in host.jobs()] == ["cancelled", "done"]
    assert [each["code"] for each in host.failures] == ["image_unreadable"]


@pytest.mark.parametrize(
    "config", [{"AUTOTAG_ENABLED": False}, {"AUTOTAG_TENSORFLOW_ENABLED": "off"}]
)
def test_nothing_is_tagged_where_it_is_turned_off(
    sqlite_url: str, config: dict[str, Any]
) -> None:
    with make_host(sqlite_url, AUTOTAG_RUNNER="inline", **config) as host:
        image_uploaded.send(host.app, asset=PHOTO, image=ESPRESSO)
        [job] = host.jobs()
    assert (job.state, job.error_code) == ("cancelled", "tagging_off")
    assert (host.tagged, host.failures) == ([], [])


def test_threshold_and_maximum_hold(sqlite_url: str) -> None:
    with make_host(
        sqlite_url,
        AUTOTAG_RUNNER="inline",
        AUTOTAG_TENSORFLOW_CONFIDENCE_THRESHOLD=0.01,
        AUTOTAG_MAX_TAGS=2,
    ) as host:
        image_uploaded.send(host.app, asset=PHOTO, image=ESPRESSO)
        [told] = host.tagged
    assert [tag.name for tag in told["tags"]] == ["drink", "espresso"]
    assert told["tags"][0].confidence > told["tags"][1].confidence >= 0.01


def test_receivers_that_raise_cost_nothing(
    inline_host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_sender: Flask, **_arguments: Any) -> None:
        raise ValueError("the host's own mistake")

    with (
        image_tagged.connected_to(broken, inline_host.app),
        tagging_failed.connected_to(broken, inline_host.app),
    ):
        image_uploaded.send(inline_host.app, asset=PHOTO, image=ESPRESSO)
        image_uploaded.send(inline_host.app, asset=AssetRef("photo", "2"), image=b"x")
    assert [job.state for job in inline_host.jobs()] == ["done", "failed"]
    assert caplog.text.count("raised; it is ignored") == 2


def test_an_unexpected_error_is_kept_without_its_words(
    inline_host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise KeyError("password")

    monkeypatch.setattr("flask_autotag.jobs.worker.question", broken)
    image_uploaded.send(inline_host.app, asset=PHOTO, image=ESPRESSO)
    [job] = inline_host.jobs()
    assert (job.state, job.error_text) == (
        "queued",
        "Tagging failed unexpectedly: KeyError.",
    )
    assert "Tagging photo 1 failed unexpectedly." in caplog.text


def drain(host: Host) -> str:
    """Run the worker command."""
    result = host.app.test_cli_runner().invoke(args=["autotag", "worker", "--drain"])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_separate_worker_drains_the_queue(host: Host) -> None:
    for number in range(3):
        image_uploaded.send(
            host.app, asset=AssetRef("photo", str(number)), image=jpeg("green")
        )
    assert [job.state for job in host.jobs()] == ["queued"] * 3
    assert "Stopped: 3 tagged." in drain(host)
    assert [job.state for job in host.jobs()] == ["done"] * 3


@pytest.mark.parametrize(
    ("option", "told"), [("--drain", "1 tagged"), ("--once", "Worked on 1 job")]
)
def test_what_a_killed_worker_left_is_worked_off_first(
    host: Host, option: str, told: str
) -> None:
    image_uploaded.send(host.app, asset=PHOTO, image=ESPRESSO)
    with host.app.app_context(), host.db.engine.begin() as connection:
        table = host.models.job.__table__
        lost = {"state": "running", "lease_owner": "gone:1", "lease_token": "x"}
        connection.execute(update(table).values(run_at=1, **lost))
    result = host.app.test_cli_runner().invoke(args=["autotag", "worker", option])
    assert told in result.output + result.stderr
    assert [job.state for job in host.jobs()] == ["done"]


def test_once_is_one_job(host: Host) -> None:
    for number in range(2):
        image_uploaded.send(
            host.app, asset=AssetRef("photo", str(number)), image=jpeg("green")
        )
    result = host.app.test_cli_runner().invoke(args=["autotag", "worker", "--once"])
    assert result.output.endswith("Worked on 1 job.\n")
    assert [job.state for job in host.jobs()] == ["done", "queued"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM handlers")
def test_a_worker_stops_when_it_is_told_to(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        textwrap.dedent("""
            from flask import Flask
            from flask_autotag import AutoTag

            app = Flask(__name__, instance_path=__file__ + ".d")
            AutoTag(app)
        """)
    )
    worker = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "app", "autotag", "worker"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with worker:
        assert worker.stdout is not None
        assert worker.stdout.readline().endswith("INFO Tagging queued images.\n")
        worker.send_signal(signal.SIGTERM)
        rest = worker.stdout.read()
    assert worker.returncode == 0
    assert rest.endswith("INFO Stopped: 0 tagged.\n")


def test_the_thread_tags_in_the_background(sqlite_url: str) -> None:
    with make_host(sqlite_url, AUTOTAG_RUNNER="thread") as host:
        with host.app.app_context():
            photo = host.Photo(path=str(ESPRESSO))
            host.db.session.add(photo)
            image_uploaded.send(host.app, asset=photo, image=ESPRESSO)
            host.db.session.commit()
        wait_for(lambda: host.tagged)
        assert [tag.name for tag in host.tagged[0]["tags"]] == ESPRESSO_TAGS


def test_no_thread_before_it_is_needed(sqlite_url: str) -> None:
    def threads() -> list[str]:
        return [
            thread.name
            for thread in threading.enumerate()
            if thread.name.startswith(("flask-autotag-worker", "flask-autotag-leases"))
        ]

    with make_host(sqlite_url, AUTOTAG_RUNNER="thread") as host:
        host.app.add_url_rule("/", view_func=lambda: "hello")
        assert threads() == []
        assert host.app.test_client().get("/").text == "hello"
        assert sorted(threads()) == ["flask-autotag-leases", "flask-autotag-worker-0"]
    wait_for(lambda: threads() == [])


def test_the_thread_takes_up_jobs_that_were_left(sqlite_url: str) -> None:
    with make_host(sqlite_url) as before:
        image_uploaded.send(before.app, asset=PHOTO, image=ESPRESSO)
    with make_host(sqlite_url, AUTOTAG_RUNNER="thread") as host:
        host.app.add_url_rule("/", view_func=lambda: "hello")
        host.app.test_client().get("/")
        wait_for(lambda: host.tagged)


def test_a_command_leaves_its_jobs_to_the_server(sqlite_url: str) -> None:
    with make_host(sqlite_url, AUTOTAG_RUNNER="thread") as host:

        @host.app.cli.command("import-photos")
        def import_photos() -> None:
            image_uploaded.send(host.app, asset=PHOTO, image=ESPRESSO)

        result = host.app.test_cli_runner().invoke(args=["import-photos"])
        assert result.exit_code == 0
        assert host.autotag.state_of(host.app).runner._threads is None  # type: ignore[attr-defined]
        assert [job.state for job in host.jobs()] == ["queued"]


def test_a_database_in_memory_is_refused_with_a_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with make_host("sqlite://", AUTOTAG_RUNNER="thread") as host:
        with host.app.app_context():
            image_uploaded.send(host.app, asset=PHOTO, image=ESPRESSO)
        assert host.autotag.state_of(host.app).runner._threads is None  # type: ignore[attr-defined]
    assert "cannot use a SQLite database in memory" in caplog.text


def test_a_queue_that_cannot_be_read_is_logged_and_tried_again(
    sqlite_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_autotag.jobs.worker_threads.POLL", 0.05)
    with make_host(sqlite_url, AUTOTAG_RUNNER="thread") as host:
        with host.app.app_context():
            host.models.metadata.drop_all(host.db.engine)
            state = host.autotag.state_of(host.app)
            state.runner.wake(host.app, state, [])
            wait_for(lambda: "Queued images cannot be tagged" in caplog.text)
            assert "'flask autotag init-db' makes them" in caplog.text
            assert "Traceback" not in caplog.text
            host.db.create_all()
        with caplog.at_level(logging.CRITICAL):
            image_uploaded.send(host.app, asset=PHOTO, image=ESPRESSO)
        wait_for(lambda: host.tagged)
