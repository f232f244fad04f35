"""Commands that are killed, and run again: complete, and nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import func, select

from flask_autotag import AssetRef

from .hosts import ESPRESSO, Host, store_labels
from .jobs.programs import write_program
from .jobs.test_worker import wait_for
from .terminals import told

#: Some images in each transaction, and a pause after it in which to be killed.
SLOW = """
import signal
import time
from flask_autotag import backfill, database, portions

# Ignored where the tests themselves run in the background of a shell.
signal.signal(signal.SIGINT, signal.default_int_handler)
backfill.PORTION = portions.PORTION = 20
transact = database.Database.transact

def slowly(self, *arguments, **more):
    done = transact(self, *arguments, **more)
    time.sleep(0.1)
    return done

database.Database.transact = slowly
"""

LISTER = f"""
from flask_autotag import Upload

@autotag.asset_lister
def images():
    for number in range(200):
        yield Upload(AssetRef("photo", str(number)), {str(ESPRESSO)!r})
"""


def count(host: Host, table_name: str, *where: str) -> int:
    with host.app.app_context(), host.db.engine.connect() as connection:
        table = getattr(host.models, table_name).__table__
        conditions = [table.c.source == source for source in where]
        counted = select(func.count()).select_from(table).where(*conditions)
        return int(connection.scalar(counted) or 0)


def start(program: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", program.stem, "autotag", *arguments],
        cwd=program.parent,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def interrupt(running: subprocess.Popen[str], number: int) -> str:
    with running:
        running.send_signal(number)
        _, errors = running.communicate(timeout=60)
    return errors


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_tag_untagged(any_host: Host, tmp_path: Path, number: int) -> None:
    program = write_program(tmp_path, any_host, before=SLOW, after=LISTER)
    running = start(program, "tag-untagged")
    wait_for(lambda: count(any_host, "job") > 0)
    errors = interrupt(running, number)
    assert 0 < count(any_host, "job") < 200
    if number == signal.SIGINT:
        assert running.returncode == 130
        assert "Stopped. What was done stays; run it again for the rest." in errors
    again = start(program, "tag-untagged")
    with again:
        assert again.wait(60) == 0
    counted = Counter(job.asset_id for job in any_host.jobs())
    assert counted == {str(place): 1 for place in range(200)}


def fill(host: Host) -> None:
    with host.app.app_context():
        for place in range(200):
            store_labels(host, AssetRef("photo", str(place)), [("dog", 0.9)])
        host.autotag.add_tag(AssetRef("photo", "0"), "rex")


def test_untag(any_host: Host, tmp_path: Path) -> None:
    fill(any_host)
    program = write_program(tmp_path, any_host, before=SLOW)
    running = start(program, "untag", "--yes")
    wait_for(lambda: count(any_host, "assignment", "provider") < 200)
    interrupt(running, signal.SIGKILL)
    left = count(any_host, "assignment", "provider")
    assert 0 < left == count(any_host, "prediction")
    assert told(any_host, "untag", "--yes")[0] == (
        f"{left} images with {left} tags and 0 suggestions of providers."
    )
    assert count(any_host, "assignment", "provider") == 0
    assert count(any_host, "prediction") == 0
    assert count(any_host, "assignment", "person") == 1


def test_commit(any_host: Host, tmp_path: Path) -> None:
    fill(any_host)
    program = write_program(tmp_path, any_host, before=SLOW)
    running = start(program, "commit", "--yes")
    wait_for(lambda: count(any_host, "assignment", "person") > 1)
    interrupt(running, signal.SIGKILL)
    assert 1 < count(any_host, "assignment", "person") < 201
    told(any_host, "commit", "--yes")
    assert count(any_host, "assignment", "person") == 201
    assert count(any_host, "assignment", "provider") == 0


def test_retag(any_host: Host, tmp_path: Path) -> None:
    fill(any_host)
    any_host.autotag.image_loader(lambda asset: ESPRESSO)
    loader = f"autotag.image_loader(lambda asset: {str(ESPRESSO)!r})"
    program = write_program(tmp_path, any_host, before=SLOW, after=loader)
    running = start(program, "retag")
    wait_for(lambda: count(any_host, "job") > 0)
    interrupt(running, signal.SIGKILL)
    assert 0 < count(any_host, "job") < 200
    told(any_host, "retag")
    counted = Counter(job.asset_id for job in any_host.jobs())
    assert counted == {str(place): 1 for place in range(200)}
