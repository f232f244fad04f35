"""The outputs of commands in the documentation are those that they print."""

from __future__ import annotations

import re
from textwrap import dedent

from flask import Flask

from flask_autotag import AssetRef, image_uploaded
from flask_autotag.classification.request import Classified
from flask_autotag.jobs.worker import Worker
from flask_autotag.providers.base import Label, Prediction
from flask_autotag.tags.store import Entry, store

from ..hosts import ESPRESSO, Host, make_host
from ..providers.clouds import GOOGLE_ON
from .documents import TEXTS

#: The parts that differ between runs.
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d|waiting for \d+ s")


def shown(name: str, beginning: str) -> str:
    """Return the literal block of a document that begins so, without its command."""
    blocks = re.findall(r"::\n\n((?: +.*\n|\n)+)", TEXTS[name])
    [block] = [text for each in blocks if (text := dedent(each)).startswith(beginning)]
    return neutral(block.removeprefix(beginning) if beginning[0] == "$" else block)


def printed(app: Flask, *command: str) -> str:
    done = app.test_cli_runner().invoke(args=["autotag", *command])
    assert done.exit_code == 0, done.output
    return neutral(done.output)


def neutral(text: str) -> str:
    return TIME.sub("…", text).strip()


def test_explain(sqlite_url: str) -> None:
    ref = AssetRef("photo", "42")
    said = [
        Prediction("google", "builtin/stable", (Label("/m/0", "wolf", 0.66),)),
        Prediction(
            "tensorflow",
            "efficientnet-lite0 2",
            (Label("n1", "tabby", 0.71), Label("n2", "timber wolf", 0.31)),
        ),
    ]
    with make_host(sqlite_url, **GOOGLE_ON) as host, host.app.app_context():
        state = host.autotag.state_of(host.app)
        settings = state.settings_for("news")
        entry = Entry(ref, "news", Classified("0" * 64, said), settings)
        with state.database.begin() as session:
            store(session, host.models, [entry])
        host.autotag.reject_tag(ref, "wolf", instance="news", person="ada")
        output = printed(host.app, "explain", "photo", "42")
    assert output == shown("commands", "$ flask autotag explain photo 42")


def test_status(host: Host) -> None:
    for number, image in enumerate([ESPRESSO, b"<svg/>"]):
        image_uploaded.send(host.app, asset=AssetRef("photo", str(number)), image=image)
    Worker(host.app, host.autotag.state_of(host.app)).drain()
    image_uploaded.send(
        host.app, asset=AssetRef("photo", "3"), image=ESPRESSO, bulk=True
    )
    assert shown("workers", "queued ") == printed(host.app, "status")
