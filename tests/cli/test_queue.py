from __future__ import annotations

import json

from flask_autotag import AssetRef, image_uploaded
from flask_autotag.testing import fake_labels

from ..hosts import ESPRESSO, Host
from .terminals import run_command


def upload(host: Host) -> None:
    """Queue a valid image, an invalid image, and bulk work."""
    image_uploaded.send(host.app, asset=AssetRef("photo", "1"), image=ESPRESSO)
    image_uploaded.send(host.app, asset=AssetRef("photo", "2"), image=b"text")


def test_status(host: Host) -> None:
    upload(host)
    assert run_command(host, "worker", "--drain")[0] == 0
    asset = AssetRef("photo", "3")
    image_uploaded.send(host.app, asset=asset, image=ESPRESSO, bulk=True)
    code, told = run_command(host, "status")
    assert code == 0
    lines = told.splitlines()
    assert lines[:6] == [
        "queued               1",
        "running              0",
        "done                 1",
        "failed               1",
        "quarantined          0",
        "cancelled            0",
    ]
    assert "Queued bulk jobs             1" in lines
    assert "Active workers               none" in lines
    assert (
        "Done                         1 in the last minute, 1 in the last hour" in told
    )
    assert "1 job with the error image_unreadable, for example:" in told
    assert "The file is not an image that can be read" in told


def test_status_for_programs(host: Host) -> None:
    upload(host)
    found = json.loads(run_command(host, "status", "--json")[1])
    assert found["states"] == {"queued": 2}
    assert found["oldest"] >= 0


def test_retry_and_purge(host: Host) -> None:
    upload(host)
    run_command(host, "worker", "--drain")
    assert run_command(host, "retry", "--code", "no_such") == (
        0,
        "0 jobs will be tried again. Jobs failed with: image_unreadable.\n",
    )
    assert run_command(
        host, "retry", "--code", "no_such", "--state", "quarantined"
    ) == (
        0,
        "0 jobs will be tried again. No job has failed.\n",
    )
    assert run_command(host, "retry", "--state", "failed") == (
        0,
        "1 job will be tried again.\n",
    )
    run_command(host, "worker", "--drain")
    assert run_command(host, "purge") == (0, "0 jobs deleted.\n")
    assert run_command(host, "purge", "--days", "0", "--state", "failed") == (
        0,
        "1 job deleted.\n",
    )
    assert [job.state for job in host.jobs()] == ["done"]


def test_without_tables_the_fix_is_named(host: Host) -> None:
    with host.app.app_context():
        host.models.metadata.drop_all(host.db.engine)
    for command in ("status", "retry", "purge"):
        code, told = run_command(host, command)
        assert code == 1
        assert "'flask autotag init-db' makes them" in told


def doctor(host: Host, *options: str) -> tuple[int, str]:
    """Run the command without a child process."""
    with fake_labels(host.app, {}):
        return run_command(host, "doctor", *options)


def test_the_doctor_has_an_exit_status(host: Host) -> None:
    code, told = doctor(host)
    assert code == 0
    assert "ok       tables: Complete." in told
    with host.app.app_context():
        host.models.metadata.drop_all(host.db.engine)
    code, told = doctor(host)
    assert code == 1
    assert "error    tables: Missing: autotag_asset, " in told
    assert "         → Run 'flask autotag init-db', or create a migration." in told


def test_doctor_repairs_counters(any_host: Host) -> None:
    with any_host.app.app_context():
        database = any_host.autotag.state_of(any_host.app).database
        for number in (1, 2):
            any_host.autotag.add_tag(AssetRef("photo", str(number)), "dog")
        any_host.autotag.add_tag(AssetRef("photo", "1"), "cat")
        counter = any_host.models.counter.__table__
        with database.begin() as session:
            session.execute(
                counter.update().where(counter.c.assets == 2).values(assets=9)
            )
            session.execute(counter.delete().where(counter.c.assets == 1))
    code, told = doctor(any_host)
    assert code == 1
    assert "2 of 2 checked tags have a wrong number of images." in told
    assert "flask autotag doctor --repair" in told
    _, told = doctor(any_host, "--repair")
    assert "counters: 2 tags recounted, 2 corrected." in told
    assert "counters: Correct for 2 checked tags." in told
    with any_host.app.app_context():
        counts = {tag.name: tag.count for tag in any_host.autotag.tag_counts()}
    assert counts == {"dog": 2, "cat": 1}
