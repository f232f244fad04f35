"""The metrics endpoint of hosts and workers, and access to it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from flask import redirect, request
from flask.typing import ResponseReturnValue
from prometheus_client.openmetrics import parser as strict_parser
from prometheus_client.parser import text_string_to_metric_families

from flask_autotag import AssetRef, ConfigurationError, image_uploaded
from flask_autotag.cli.options import read_address

from ..hosts import ESPRESSO, Host, make_host
from ..jobs.programs import start_worker, write_program
from ..jobs.queues import upload_photos
from ..monitoring.test_metrics import Values, value, values_in
from ..waiting import wait_for

PATH = "/metrics/autotag"
TOKEN = {"Authorization": "Bearer scraper"}


@pytest.fixture
def served(sqlite_url: str) -> Iterator[Host]:
    """A host that serves its metrics to a program with a token."""
    with make_host(sqlite_url, AUTOTAG_RUNNER="inline", AUTOTAG_METRICS=PATH) as host:

        @host.autotag.authorizer
        def may(action: str, instance: str | None) -> ResponseReturnValue | bool:
            if not request.headers.get("Authorization"):
                return redirect("/sign-in")
            ours = request.headers["Authorization"] == TOKEN["Authorization"]
            return ours and (action, instance) == ("view_metrics", None)

        yield host


def test_the_host_serves_them(served: Host) -> None:
    with served.app.app_context():
        for name, image in {"1": str(ESPRESSO), "2": b"no image"}.items():
            image_uploaded.send(served.app, asset=AssetRef("photo", name), image=image)
    response = served.app.test_client().get(PATH, headers=TOKEN)
    assert response.status_code == 200
    assert response.content_type.startswith("text/plain; version=")
    assert response.headers["Cache-Control"] == "no-store"
    found = values_in(text_string_to_metric_families(response.text))
    assert value(found, "up") == 1
    assert value(found, "jobs", state="failed") == 1
    assert value(found, "jobs_ended_total", state="done", reason="") == 1


def test_the_form_that_prometheus_prefers(served: Host) -> None:
    accept = {"Accept": "application/openmetrics-text;version=1.0.0,*/*;q=0.1"}
    response = served.app.test_client().get(PATH, headers={**TOKEN, **accept})
    assert response.content_type.startswith("application/openmetrics-text")
    assert list(strict_parser.text_string_to_metric_families(response.text))


def test_nobody_else_gets_in(served: Host) -> None:
    client = served.app.test_client()
    other = client.get(PATH, headers={"Authorization": "Bearer other"})
    assert other.status_code == 403
    assert "Your account may not see metrics." in other.text
    unknown = client.get(PATH)
    assert (unknown.status_code, unknown.location) == (302, "/sign-in")
    assert client.post(PATH, headers=TOKEN).status_code == 405
    for response in (other, unknown):
        assert "autotag_" not in response.text


def test_without_an_authorizer_they_are_closed(sqlite_url: str) -> None:
    with make_host(sqlite_url, AUTOTAG_METRICS=PATH) as host:
        assert host.app.test_client().get(PATH).status_code == 403


@pytest.mark.parametrize("action", ["view_settings", "view_tags", "change_settings"])
def test_other_rights_do_not_open_them(sqlite_url: str, action: str) -> None:
    with make_host(sqlite_url, AUTOTAG_METRICS=PATH) as host:
        host.autotag.authorizer(lambda asked, _instance: asked == action)
        assert host.app.test_client().get(PATH).status_code == 403


def test_they_are_off_unless_told_where(host: Host) -> None:
    host.autotag.authorizer(lambda _action, _instance: True)
    assert host.app.test_client().get(PATH).status_code == 404


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"AUTOTAG_METRICS": "/autotag"},
            "AUTOTAG_METRICS must not be '/autotag', which is also AUTOTAG_URL_PREFIX:"
            " use another path.",
        ),
        (
            {"AUTOTAG_METRICS": "/api", "AUTOTAG_API": "/api"},
            "AUTOTAG_METRICS must not be '/api', which is also AUTOTAG_API: use another"
            " path.",
        ),
        (
            {"AUTOTAG_METRICS": "metrics"},
            "AUTOTAG_METRICS must be a path such as /admin/autotag, not 'metrics'.",
        ),
    ],
)
def test_where_they_cannot_be(
    sqlite_url: str, config: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigurationError) as caught, make_host(sqlite_url, **config):
        pass
    assert str(caught.value) == message


def test_below_the_pages_they_are_still_themselves(sqlite_url: str) -> None:
    with make_host(sqlite_url, AUTOTAG_METRICS="/autotag/metrics") as host:
        host.autotag.authorizer(lambda action, _instance: action == "view_metrics")
        response = host.app.test_client().get("/autotag/metrics")
        assert "autotag_up 1.0" in response.text


WITHOUT = """
import sys
sys.modules["prometheus_client"] = None
sys.modules["prometheus_client.core"] = None
from flask import Flask
from flask_autotag import AutoTag, ConfigurationError
app = Flask("host", instance_path="/nowhere")
{}
"""


def told_without_the_extra(statements: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(statements)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode, done.stdout
    return done.stderr.strip().splitlines()[-1]


INSTALL = "Metrics need prometheus-client: pip install 'flask-autotag[metrics]'."


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        (
            f"app.config['AUTOTAG_METRICS'] = {PATH!r}; AutoTag(app)",
            "flask_autotag.errors.ConfigurationError: AUTOTAG_METRICS is set. "
            + INSTALL,
        ),
        (
            "AutoTag(app); app.cli.main(['autotag', 'worker', '--metrics', '9187'],"
            " obj=__import__('flask').cli.ScriptInfo(create_app=lambda: app))",
            "Error: --metrics was given. " + INSTALL,
        ),
        ("import flask_autotag.monitoring.metrics", "ImportError: " + INSTALL),
    ],
)
def test_without_the_extra(statements: str, told: str) -> None:
    assert told_without_the_extra(statements) == told


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("127.0.0.1:9187", ("127.0.0.1", 9187)),
        ("9187", ("127.0.0.1", 9187)),
        (":9187", ("127.0.0.1", 9187)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
        ("[::1]:9187", ("::1", 9187)),
        ("metrics.internal:80", ("metrics.internal", 80)),
    ],
)
def test_an_address(typed: str, address: tuple[str, int]) -> None:
    assert read_address(None, None, typed) == address  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "typed", ["", "localhost", "::1:9187", "127.0.0.1:65536", "http://a:80", "a:-1"]
)
def test_what_is_no_address(typed: str) -> None:
    with pytest.raises(click.BadParameter) as caught:
        read_address(None, None, typed)  # type: ignore[arg-type]
    assert str(caught.value) == f"{typed!r} is not an address such as 127.0.0.1:9187."


def test_a_port_that_is_in_use(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "{}:{}".format(*taken.getsockname())
        command = ["autotag", "worker", "--once", "--metrics", address]
        done = host.app.test_cli_runner().invoke(args=command)
    assert done.exit_code == 1
    assert done.output.endswith(
        f"Error: Metrics cannot be served at {address}: Address already in use.\n"
    )


def test_an_address_of_another_machine(host: Host) -> None:
    command = ["autotag", "worker", "--once", "--metrics", "[2001:db8::1]:9187"]
    done = host.app.test_cli_runner().invoke(args=command)
    assert done.exit_code == 1
    assert "Error: Metrics cannot be served at [2001:db8::1]:9187: " in done.output


def read(url: str) -> Values:
    with urllib.request.urlopen(url, timeout=30) as response:
        return values_in(text_string_to_metric_families(response.read().decode()))


@pytest.mark.skipif(sys.platform == "win32", reason="uses Unix signals")
def test_a_worker_serves_its_own(any_host: Host, tmp_path: Path) -> None:
    upload_photos(any_host, 8)
    program = write_program(tmp_path, any_host)
    options = ("--processes", "1", "--log", "plain", "--metrics", "0")
    with start_worker(program, *options) as running:
        assert running.stderr is not None
        url = running.stderr.readline().split()[-1].rstrip(".")
        assert url.startswith("http://127.0.0.1:")
        done = {"state": "done", "reason": ""}
        wait_for(lambda: value(read(url), "jobs_ended_total", **done) == 8)
        found = read(url)
        assert value(found, "up") == 1
        assert value(found, "jobs", state="queued") == 0
        stages = {
            stage: value(found, "stage_seconds_count", stage=stage, provider="")
            for stage in ("load", "classify", "store")
        }
        assert (stages["load"], stages["classify"]) == (8, 8)
        assert stages["store"]
        assert found["process_resident_memory_bytes", frozenset()] > 0
        running.send_signal(signal.SIGTERM)
        told = running.communicate(timeout=30)[1]
    assert running.returncode == 0
    assert "Stopped: 8 tagged." in told
    with pytest.raises(urllib.error.URLError):
        read(url)
