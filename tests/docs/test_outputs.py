"""What the documentation shows of a command's output is what it prints."""

from __future__ import annotations

import re
from textwrap import dedent

from flask import Flask

from flask_autotag import AssetRef, image_uploaded
from flask_autotag.jobs.worker import Worker
from flask_autotag.providers.base import Label, Prediction
from flask_autotag.store import Entry, store
from flask_autotag.tagging import Classified

from ..clouds import GOOGLE_ON
from ..hosts import ESPRESSO, Host, make_host
from .documents import TEXTS

#: What differs from one run to the next.
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d|waits for \d+ s")


def shown(name: str, beginning: str) -> str:
    """Give the literal block of a document that begins so, without its command."""
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
            "efficientnet-lite0 1",
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
