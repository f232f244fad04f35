"""Celery with real brokers: jobs are sent, run once, and sent again when lost."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from flask import Flask

from flask_autotag import AssetRef, AutoTag, ConfigurationError, image_uploaded
from flask_autotag.jobs import celery as runner

from ..hosts import ESPRESSO, Host, make_host
from ..servers import free_port
from ..services import BROKERS, broker_url, missing
from ..waiting import wait_for
from .programs import write_program
from .queues import ONCE, stored

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Celery needs Unix")

#: Short intervals and margins, to keep the tests quick.
IMPATIENT = """
from flask_autotag.jobs import celery as runner, worker
runner.RESEND_INTERVAL, worker.LEASE_MARGIN = 1.0, 1.0
"""


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest) -> str:
    """The URL of each kind of broker."""
    return broker_url(request.param)


@contextmanager
def celery_host(folder: Path, broker: str) -> Iterator[Host]:
    """A host with its own Celery queue."""
    name = f"autotag-test-{uuid.uuid4().hex}"
    with make_host(
        f"sqlite:///{folder / 'host.sqlite'}",
        AUTOTAG_RUNNER="celery",
        AUTOTAG_CELERY_BROKER_URL=broker,
        AUTOTAG_CELERY_QUEUE=name,
    ) as host:
        try:
            yield host
        finally:
            with celery_of(host).connection_for_write() as connection:
                try:
                    channel = connection.default_channel
                    channel.queue_delete(name)
                except OSError:
                    pass  # The test has stopped the broker.


def celery_of(host: Host) -> Any:
    return host.app.extensions["celery"]


def queue_of(host: Host) -> str:
    return str(host.app.config["AUTOTAG_CELERY_QUEUE"])


@contextmanager
def celery_worker(
    host: Host, folder: Path, *, lease: int = 90
) -> Iterator[subprocess.Popen[str]]:
    """Run a Celery worker during the block.

    :param lease: seconds of a lease; one less is the time limit of an image.
    """
    keys = ("AUTOTAG_RUNNER", "AUTOTAG_CELERY_BROKER_URL", "AUTOTAG_CELERY_QUEUE")
    write_program(
        folder,
        host,
        before=IMPATIENT,
        after="celery_app = app.extensions['celery']",
        AUTOTAG_TIMEOUT=lease - 1,
        **{key: host.app.config[key] for key in keys},
    )
    command = [sys.executable, "-m", "celery", "-A", "program:celery_app", "worker"]
    # Another worker at the broker may have the default name.
    command += ["-n", f"{queue_of(host)}@%h"]
    with (
        (folder / "celery.log").open("a") as log,
        subprocess.Popen(
            [*command, "-Q", queue_of(host), "-c", "1", "-l", "info"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=log,
            stderr=log,
            text=True,
            start_new_session=True,
        ) as running,
    ):
        try:
            yield running
        finally:
            kill(running)


def kill(running: subprocess.Popen[str]) -> None:
    """Kill a Celery worker and its child processes."""
    if running.poll() is None:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def upload(host: Host, number: int) -> None:
    asset = AssetRef("photo", str(number))
    image_uploaded.send(host.app, asset=asset, image=ESPRESSO)


def is_done(host: Host, number: int) -> bool:
    return Counter(job.state for job in host.jobs()) == {"done": number}


def messages(host: Host) -> int:
    with celery_of(host).connection_for_read() as connection:
        channel = connection.default_channel
        try:
            found = channel.queue_declare(queue_of(host), passive=True)
        except connection.channel_errors:
            return 0  # Nothing was sent yet.
        return int(found.message_count)


def test_uploads_are_tagged_by_a_celery_worker(tmp_path: Path, broker: str) -> None:
    with celery_host(tmp_path, broker) as host:
        for number in range(5):
            upload(host, number)
        with celery_worker(host, tmp_path):
            wait_for(lambda: is_done(host, 5), 60)
        assert stored(host) == {str(number): ONCE for number in range(5)}
        assert [job.claims for job in host.jobs()] == [1] * 5


def test_a_message_that_comes_five_times_runs_once(tmp_path: Path, broker: str) -> None:
    with celery_host(tmp_path, broker) as host:
        upload(host, 1)
        [job] = host.jobs()
        for _ in range(4):
            celery_of(host).send_task(runner.TASK, (job.id,), queue=queue_of(host))
        with celery_worker(host, tmp_path):
            wait_for(lambda: is_done(host, 1), 60)
            log = tmp_path / "celery.log"
            wait_for(lambda: log.read_text().count("] succeeded in ") >= 5)
        assert [job.claims for job in host.jobs()] == [1]


def test_nothing_is_sent_before_the_commit(tmp_path: Path, broker: str) -> None:
    with celery_host(tmp_path, broker) as host, host.app.app_context():
        upload(host, 1)
        wait_for(lambda: messages(host) == 1)
        photo = host.Photo(path="x")
        host.db.session.add(photo)
        image_uploaded.send(host.app, asset=photo, image=ESPRESSO)
        host.db.session.flush()
        host.db.session.rollback()
        host.db.session.add(host.Photo(path="y"))
        upload(host, 2)
        time.sleep(0.5)
        assert messages(host) == 1
        host.db.session.commit()
        wait_for(lambda: messages(host) == 2)


class Redis:
    """A broker that loses all messages when it is restarted."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        options = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
        self._process = subprocess.Popen(
            [self._program, "--port", str(self._port), *options],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )
        with Celery(broker=self.url).connection_for_write() as connection:
            connection.ensure_connection(max_retries=50, interval_start=0.1)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    program = shutil.which("redis-server")
    if program is None:
        missing("no Redis server is installed to be restarted")
    server = Redis(str(program), tmp_path)
    server.start()
    yield server
    server.stop()


def test_a_killed_worker_and_an_emptied_broker_lose_nothing(
    tmp_path: Path, redis: Redis
) -> None:
    with celery_host(tmp_path, redis.url) as host:
        for number in range(40):
            upload(host, number)
        with celery_worker(host, tmp_path, lease=6) as first:
            wait_for(lambda: stored(host), 60)
            kill(first)
        assert not is_done(host, 40)
        redis.stop()
        redis.start()
        for number in range(40, 45):
            upload(host, number)
        with celery_worker(host, tmp_path, lease=6) as second:
            wait_for(lambda: len(stored(host)) > 20, 60)
            redis.stop()
            redis.start()
            with contextlib.suppress(AssertionError):
                wait_for(lambda: is_done(host, 45) or second.poll() is not None, 20)
        # Kombu sometimes ends its worker when the broker disappears during a task
        # ("'NoneType' object has no attribute 'hostname'"). A supervisor would restart
        # the worker.
        with celery_worker(host, tmp_path, lease=6):
            wait_for(lambda: is_done(host, 45), 90)
        assert stored(host) == {str(number): ONCE for number in range(45)}


def test_an_upload_does_not_notice_that_the_broker_is_down(
    tmp_path: Path, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    with celery_host(tmp_path, redis.url) as host:
        # By default each message waits six seconds for the broker.
        celery_of(host).conf.broker_transport_options = {"max_retries": 0}
        redis.stop()
        upload(host, 1)
        assert (host.failures, len(host.jobs())) == ([], 1)
        wait_for(lambda: "The Celery broker does not accept jobs" in caplog.text)
        state = host.autotag.state_of(host.app)
        with pytest.raises(ConnectionError, match="cannot be reached"):
            runner.check_broker(host.app, state)
        redis.start()
        runner.check_broker(host.app, state)
        with celery_worker(host, tmp_path):
            wait_for(lambda: is_done(host, 1), 60)


def test_only_jobs_that_wait_for_long_are_sent_again(
    tmp_path: Path, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "RESEND_INTERVAL", 0.5)
    with celery_host(tmp_path, broker) as host:
        state = host.autotag.state_of(host.app)
        upload(host, 1)
        assert runner.resend_overdue(host.app, state) == 0
        time.sleep(0.6)
        assert runner.resend_overdue(host.app, state) == 1
        assert runner.resend_overdue(host.app, state) == 0


def test_the_celery_application_of_the_host_is_used(sqlite_url: str) -> None:
    app = Flask("host")
    app.config.update(AUTOTAG_RUNNER="celery")
    app.extensions["celery"] = Celery("own", broker="memory://")
    AutoTag(app)
    assert runner.TASK in app.extensions["celery"].tasks


@pytest.mark.parametrize(
    "config",
    [{"CELERY": {"broker_url": "memory://"}}, {"CELERY_BROKER_URL": "memory://"}],
)
def test_one_is_made_from_the_keys_of_celery(config: dict[str, Any]) -> None:
    app = Flask("host")
    app.config.update(config, AUTOTAG_RUNNER="celery")
    AutoTag(app)
    assert app.extensions["celery"].conf.broker_url == "memory://"


def test_no_celery_application_and_no_broker() -> None:
    app = Flask("host")
    app.config.update(AUTOTAG_RUNNER="celery")
    with pytest.raises(ConfigurationError) as caught:
        AutoTag(app)
    assert str(caught.value) == (
        "AUTOTAG_RUNNER is 'celery', but there is no Celery application: set"
        " app.extensions['celery'] before AutoTag.init_app(app), or"
        " AUTOTAG_CELERY_BROKER_URL."
    )


def test_celery_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "celery", None)
    app = Flask("host")
    app.config.update(AUTOTAG_RUNNER="celery")
    with pytest.raises(
        ConfigurationError, match=r"pip install 'flask-autotag\[celery\]'"
    ):
        AutoTag(app)
