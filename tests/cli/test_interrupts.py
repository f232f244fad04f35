"""Killed commands are run again: their work is complete and not repeated."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from sqlalchemy import func, select

from flask_autotag import AssetRef

from ..hosts import ESPRESSO, Host, store_labels
from ..jobs.programs import write_program
from ..waiting import wait_for
from .terminals import told

IMAGES = 100

#: Small transactions, with a pause after each for the kill.
SLOW = """
import signal
import time
from flask_autotag.db import database
from flask_autotag.jobs.bulk import untagged
from flask_autotag.tags import batches

# SIGINT is ignored if a shell runs the tests in the background.
signal.signal(signal.SIGINT, signal.default_int_handler)
untagged.BATCH_SIZE = batches.BATCH_SIZE = 10
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
    for number in range({IMAGES}):
        yield Upload(AssetRef("photo", str(number)), {str(ESPRESSO)!r})
"""

SMALL_ACTIONS = """
from flask_autotag.tags import bulk_actions

bulk_actions.BATCH_SIZE = 10
"""

#: Watches the photos, of which there are no rows.
WATCHED = """
from flask_autotag.jobs.bulk import orphans

class Photo(db.Model):
    id = db.Column(db.Integer, primary_key=True)

orphans.BATCH_SIZE = 10
autotag.watch(Photo, lambda photo: b"")
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


def test_tag_untagged(any_host: Host, tmp_path: Path) -> None:
    stop_and_repeat(any_host, tmp_path, signal.SIGKILL)


def test_ctrl_c(host: Host, tmp_path: Path) -> None:
    code, errors = stop_and_repeat(host, tmp_path, signal.SIGINT)
    assert code == 130
    assert (
        "Stopped. Finished work is kept. Run the command again to continue." in errors
    )


def stop_and_repeat(host: Host, tmp_path: Path, number: int) -> tuple[int, str]:
    program = write_program(tmp_path, host, before=SLOW, after=LISTER)
    running = start(program, "tag-untagged")
    wait_for(lambda: count(host, "job") > 0)
    errors = interrupt(running, number)
    assert 0 < count(host, "job") < IMAGES
    again = start(program, "tag-untagged")
    with again:
        assert again.wait(60) == 0
    counted = Counter(job.asset_id for job in host.jobs())
    assert counted == {str(place): 1 for place in range(IMAGES)}
    return running.returncode, errors


def fill(host: Host) -> None:
    with host.app.app_context():
        for place in range(IMAGES):
            store_labels(host, AssetRef("photo", str(place)), [("dog", 0.9)])
        host.autotag.add_tag(AssetRef("photo", "0"), "rex")


def test_untag(host: Host, tmp_path: Path) -> None:
    fill(host)
    program = write_program(tmp_path, host, before=SLOW)
    running = start(program, "untag", "--yes")
    wait_for(lambda: count(host, "assignment", "provider") < IMAGES)
    interrupt(running, signal.SIGKILL)
    left = count(host, "assignment", "provider")
    assert 0 < left == count(host, "prediction")
    assert told(host, "untag", "--yes")[0] == (
        f"{left} images with {left} tags and 0 suggestions of providers."
    )
    assert count(host, "assignment", "provider") == 0
    assert count(host, "prediction") == 0
    assert count(host, "assignment", "person") == 1


def test_forget_orphans(host: Host, tmp_path: Path) -> None:
    fill(host)
    program = write_program(tmp_path, host, before=SLOW, after=WATCHED)
    running = start(program, "forget-orphans", "--yes")
    wait_for(lambda: count(host, "asset") < IMAGES)
    errors = interrupt(running, signal.SIGINT)
    assert running.returncode == 130
    assert "Run the command again to continue." in errors
    left = count(host, "asset")
    assert 0 < left < IMAGES
    assert left == count(host, "prediction") == count(host, "assignment", "provider")
    with start(program, "forget-orphans", "--yes") as again:
        output, _ = again.communicate(timeout=60)
    assert f"{left} images and 0 jobs forgotten." in output
    assert count(host, "asset") == count(host, "assignment") == 0


def test_commit(host: Host, tmp_path: Path) -> None:
    fill(host)
    program = write_program(tmp_path, host, before=SLOW)
    running = start(program, "commit", "--yes")
    wait_for(lambda: count(host, "assignment", "person") > 1)
    interrupt(running, signal.SIGKILL)
    assert 1 < count(host, "assignment", "person") <= IMAGES
    told(host, "commit", "--yes")
    assert count(host, "assignment", "person") == IMAGES + 1
    assert count(host, "assignment", "provider") == 0


def test_retag(host: Host, tmp_path: Path) -> None:
    fill(host)
    host.autotag.image_loader(lambda asset: ESPRESSO)
    loader = f"autotag.image_loader(lambda asset: {str(ESPRESSO)!r})"
    program = write_program(tmp_path, host, before=SLOW, after=loader)
    running = start(program, "retag")
    wait_for(lambda: count(host, "job") > 0)
    interrupt(running, signal.SIGKILL)
    assert 0 < count(host, "job") < IMAGES
    told(host, "retag")
    counted = Counter(job.asset_id for job in host.jobs())
    assert counted == {str(place): 1 for place in range(IMAGES)}


def test_tag(any_host: Host, tmp_path: Path) -> None:
    fill(any_host)
    program = write_program(tmp_path, any_host, before=SLOW + SMALL_ACTIONS)
    arguments = ("tag", "--add", "zoo", "--where-tag", "dog")
    running = start(program, *arguments)
    wait_for(lambda: count(any_host, "assignment", "person") > 1)
    interrupt(running, signal.SIGKILL)
    before = count(any_host, "assignment", "person")
    assert 1 < before <= IMAGES
    assert told(any_host, *arguments) == [
        f"{IMAGES} images: {IMAGES} changed, 0 unchanged."
    ]
    # One image had a person's tag "rex" before.
    assert count(any_host, "assignment", "person") == IMAGES + 1
    assert count(any_host, "bulk_action") == 1
    assert count(any_host, "bulk_item") == IMAGES
