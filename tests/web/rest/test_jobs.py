"""Jobs: enqueued and read, on each database."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from flask_autotag import AssetRef, image_uploaded
from flask_autotag.jobs.worker import Worker

from ...hosts import ESPRESSO
from .conftest import NEWS, PHOTO, PREFIX, SHOP, Program, Service, open_service, refusal


def enqueue(program: Program) -> Any:
    response = program.post(f"{SHOP}/jobs", type=PHOTO.type, id=PHOTO.id)
    assert response.status_code == 202, response.text
    return response.json


def test_a_known_asset_is_classified_again(any_service: Service) -> None:
    host, mia = any_service.host, any_service.program("mia")
    host.autotag.image_loader(lambda asset: ESPRESSO)
    job = enqueue(mia)
    assert datetime.fromisoformat(job.pop("created_at")).utcoffset() is not None
    assert job == {
        "id": job["id"],
        "url": f"{SHOP}/jobs/{job['id']}",
        "kind": "tag",
        "asset": {"type": "photo", "id": "7"},
        "state": "queued",
        "failures": 0,
        "error": None,
        "finished_at": None,
    }
    assert enqueue(mia)["id"] == job["id"]
    Worker(host.app, host.autotag.state_of(host.app)).drain()
    done: Any = mia.get(job["url"]).json
    assert done["state"] == "done"
    assert done["finished_at"] >= done["created_at"]
    assert "espresso" in mia.tags()


def test_the_address_of_a_job_under_another_name(sqlite_url: str) -> None:
    with open_service(sqlite_url, AUTOTAG_BLUEPRINT="image_tags") as service:
        service.host.autotag.image_loader(lambda asset: ESPRESSO)
        job = enqueue(service.program("mia"))
        assert job["url"] == f"{SHOP}/jobs/{job['id']}"


def test_why_a_job_failed(any_service: Service) -> None:
    host, mia = any_service.host, any_service.program("mia")

    @host.autotag.image_loader
    def load(_asset: AssetRef) -> Any:
        raise LookupError

    job = enqueue(mia)
    Worker(host.app, host.autotag.state_of(host.app)).drain()
    failed: Any = mia.get(job["url"]).json
    assert (failed["state"], failed["error"]) == ("failed", "image_missing")


def test_the_file_of_another_instance_is_not_read(
    service: Service, tmp_path: Path
) -> None:
    """Two tenants have an image of the same name, one of them as a file."""
    host, mia = service.host, service.program("mia")
    theirs, own = tmp_path / "theirs.jpg", tmp_path / "own.jpg"
    for path in (theirs, own):
        path.write_bytes(ESPRESSO.read_bytes())

    def upload(path: Path, instance: str) -> None:
        with host.app.app_context():
            image_uploaded.send(host.app, asset=PHOTO, image=path, instance=instance)
        Worker(host.app, host.autotag.state_of(host.app)).drain()

    upload(theirs, "news")
    response = mia.post(f"{SHOP}/jobs", type=PHOTO.type, id=PHOTO.id)
    assert refusal(response)[0] == 409
    upload(own, "shop")
    upload(theirs, "news")
    job = enqueue(mia)
    [path] = [row.path for row in host.jobs() if row.id == job["id"]]
    assert path == str(own)


def test_the_runner_is_told(sqlite_url: str) -> None:
    with open_service(sqlite_url, AUTOTAG_RUNNER="inline") as service:
        service.host.autotag.image_loader(lambda asset: ESPRESSO)
        assert enqueue(service.program("mia"))["state"] == "done"


def test_an_image_that_nothing_finds(ada: Program) -> None:
    response = ada.post(f"{SHOP}/jobs", type="photo", id="7")
    assert refusal(response) == (
        409,
        "The image of photo 7 cannot be found: register an image_loader.",
        "id",
    )


def test_what_nobody_knows_is_refused(service: Service) -> None:
    service.host.autotag.image_loader(lambda asset: ESPRESSO)
    response = service.program("ada").post(f"{SHOP}/jobs", type="photo", id="8")
    assert refusal(response) == (404, "This instance does not know photo 8.", "id")
    assert service.host.jobs() == []


def test_a_job_of_another_instance(service: Service) -> None:
    service.host.autotag.image_loader(lambda asset: ESPRESSO)
    job = enqueue(service.program("ada"))
    response = service.program("ada").get(f"{NEWS}/jobs/{job['id']}")
    assert refusal(response) == (404, "This instance has no job with this id.", "job")


@pytest.mark.parametrize("job", [0, 7, 2**63 - 1, 2**63, 10**30])
def test_a_job_that_is_not_there(read_service: Service, job: int) -> None:
    response = read_service.program("ada").get(f"{SHOP}/jobs/{job}")
    assert refusal(response) == (404, "This instance has no job with this id.", "job")


@pytest.mark.parametrize("job", ["x", "-1", "1.5", ""])
def test_what_is_no_job(ada: Program, job: str) -> None:
    response = ada.get(f"{PREFIX}/instances/shop/jobs/{job}")
    assert refusal(response)[:2] == (404, "There is nothing at this address.")


def test_the_job_of_new_rules(service: Service) -> None:
    from flask_autotag.jobs.reapply_job import enqueue_for

    host = service.host
    with host.app.app_context():
        state = host.autotag.state_of(host.app)
        with state.database.begin() as session:
            [job_id] = enqueue_for(session, state, "shop").jobs
    found: Any = service.program("ada").get(f"{SHOP}/jobs/{job_id}").json
    assert (found["kind"], found["asset"]) == ("rules", None)


def test_a_job_of_rules_is_no_image(service: Service) -> None:
    """The row of such a job contains the name of a possible asset."""
    from flask_autotag.jobs.reapply_job import enqueue_for

    host = service.host
    with host.app.app_context():
        state = host.autotag.state_of(host.app)
        with state.database.begin() as session:
            enqueue_for(session, state, "shop")
    ada = service.program("ada")
    named = AssetRef("autotag_rules", "shop")
    assert refusal(ada.decide("add", "Rex", named))[0] == 404
