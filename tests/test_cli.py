from __future__ import annotations

import json

from flask_autotag import AssetRef, image_uploaded

from .hosts import ESPRESSO, Host


def run(host: Host, *arguments: str) -> tuple[int, str]:
    result = host.app.test_cli_runner().invoke(args=["autotag", *arguments])
    return result.exit_code, result.output


def upload(host: Host) -> None:
    """Queue a good and a bad image, and bulk work."""
    image_uploaded.send(host.app, asset=AssetRef("photo", "1"), image=ESPRESSO)
    image_uploaded.send(host.app, asset=AssetRef("photo", "2"), image=b"text")


def test_status(host: Host) -> None:
    upload(host)
    assert run(host, "worker", "--drain")[0] == 0
    asset = AssetRef("photo", "3")
    image_uploaded.send(host.app, asset=asset, image=ESPRESSO, bulk=True)
    code, told = run(host, "status")
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
    assert "Bulk work among the queued   1" in lines
    assert "Workers at work              none" in lines
    assert (
        "Done                         1 in the last minute, 1 in the last hour" in told
    )
    assert "1 times image_unreadable, such as:" in told
    assert "The file is not an image that can be read" in told


def test_status_for_programs(host: Host) -> None:
    upload(host)
    found = json.loads(run(host, "status", "--json")[1])
    assert found["states"] == {"queued": 2}
    assert found["oldest"] >= 0


def test_retry_and_purge(host: Host) -> None:
    upload(host)
    run(host, "worker", "--drain")
    assert run(host, "retry", "--code", "no_such") == (
        0,
        "0 jobs will be tried again. Jobs failed with: image_unreadable.\n",
    )
    assert run(host, "retry", "--code", "no_such", "--state", "quarantined") == (
        0,
        "0 jobs will be tried again. No job has failed.\n",
    )
    assert run(host, "retry", "--state", "failed") == (
        0,
        "1 job will be tried again.\n",
    )
    run(host, "worker", "--drain")
    assert run(host, "purge") == (0, "0 jobs deleted.\n")
    assert run(host, "purge", "--days", "0", "--state", "failed") == (
        0,
        "1 job deleted.\n",
    )
    assert [job.state for job in host.jobs()] == ["done"]


def test_without_tables_the_fix_is_named(host: Host) -> None:
    with host.app.app_context():
        host.models.metadata.drop_all(host.db.engine)
    for command in ("status", "retry", "purge"):
        code, told = run(host, command)
        assert code == 1
        assert "'flask autotag init-db' makes them" in told


def test_the_doctor_has_an_exit_status(host: Host) -> None:
    code, told = run(host, "doctor")
    assert code == 0
    assert "ok       tables: All are there." in told
    with host.app.app_context():
        host.models.metadata.drop_all(host.db.engine)
    code, told = run(host, "doctor")
    assert code == 1
    assert "error    tables: Missing: autotag_asset, " in told
    assert "         → Run 'flask autotag init-db', or make a migration." in told


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
    code, told = run(any_host, "doctor")
    assert code == 1
    assert "Of 2 tags that were looked at, 2 have a wrong number of images." in told
    assert "flask autotag doctor --repair" in told
    _, told = run(any_host, "doctor", "--repair")
    assert "counters: Counted for 2 tags, and 2 corrected." in told
    assert "counters: Right for 2 tags." in told
    with any_host.app.app_context():
        counts = {tag.name: tag.count for tag in any_host.autotag.tag_counts()}
    assert counts == {"dog": 2, "cat": 1}
