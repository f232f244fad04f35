"""The commands of the documentation produce the documented responses."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import request
from flask.testing import FlaskClient

from flask_autotag import AssetRef

from ...hosts import ESPRESSO, make_host, store_labels
from .conftest import PREFIX

TEXT = (Path(__file__).parents[3] / "docs" / "json.rst").read_text("utf-8")
TOKEN = "Bearer secret"
VARIABLES = {"$API": f"{PREFIX}/instances/shop", "$AUTH": f"Authorization: {TOKEN}"}


def read_examples() -> Iterator[tuple[str, Any]]:
    """Return each command with the JSON below it."""
    for block in re.findall(
        r"^\.\. code-block:: console\n\n((?:    .*\n|\n)+)", TEXT, re.M
    ):
        for example in re.split(r"^    \$ ", block, flags=re.M)[1:]:
            command, _, answer = example.partition("\n")
            yield command, json.loads(answer)


EXAMPLES = list(read_examples())


def curl(client: FlaskClient, command: str) -> Any:
    """Send the request of a command."""
    for name, value in VARIABLES.items():
        command = command.replace(name, value)
    parser = argparse.ArgumentParser()
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-H", action="append", default=[])
    parser.add_argument("-X", default="POST")
    parser.add_argument("--json")
    parser.add_argument("url")
    told = parser.parse_args(shlex.split(command)[1:])
    headers = dict(header.split(": ", 1) for header in told.H)
    if told.json is None:
        return client.get(told.url, headers=headers)
    return client.open(
        told.url,
        method=told.X,
        headers=headers,
        data=told.json,
        content_type="application/json",
    )


def without_times(text: str) -> Any:
    return json.loads(
        re.sub(r'"\d{4}-\d\d-\d\dT[\d:.]+\+00:00"', '"a time"', text),
    )


@pytest.fixture
def client(sqlite_url: str) -> Iterator[FlaskClient]:
    with make_host(sqlite_url, AUTOTAG_API=PREFIX) as host:
        host.autotag.image_loader(lambda asset: ESPRESSO)
        host.autotag.instance_lister(lambda: ["shop"])
        host.autotag.authorizer(
            lambda _action, _instance: request.headers.get("Authorization") == TOKEN
        )
        with host.app.app_context():
            store_labels(host, AssetRef("photo", "7"), [("dog", 0.9)], "shop")
            store_labels(host, AssetRef("photo", "8"), [("dog", 0.9)], "shop")
            labels = [("dog", 0.9), ("cat", 0.8)]
            store_labels(host, AssetRef("photo", "9"), labels, "shop")
        yield host.app.test_client()


@pytest.mark.parametrize(("command", "answer"), EXAMPLES)
def test_an_example(client: FlaskClient, command: str, answer: Any) -> None:
    response = curl(client, command)
    assert without_times(response.text) == without_times(json.dumps(answer))


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 10
    assert len({command.partition("?")[0] for command, _ in EXAMPLES}) == 8
