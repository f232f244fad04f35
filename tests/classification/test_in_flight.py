"""The same bytes are sent once, whichever worker handles them or is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from flask_autotag import AssetRef, Models, ProviderError
from flask_autotag.classification import in_flight
from flask_autotag.classification.in_flight import Inquiry
from flask_autotag.errors import ProviderBusy
from flask_autotag.jobs import claims
from flask_autotag.providers.base import Label
from flask_autotag.settings.stored_words import change_words
from flask_autotag.settings.tag_names import tag_name

from ..hosts import Host, make_host
from ..jobs.programs import write_program
from ..providers.clouds import (
    GOOGLE_ON,
    LOCAL,
    answer_each,
    be_due,
    drain,
    images_sent,
    let_it_in,
    photo,
    tags,
    upload,
)
from ..providers.vendors import Answer, Recorded, Vendor, vendor
from ..settings.desk import Desk

CUP = (Label("/m/02p5f1q", "Cup", 0.9),)
ONE, TWO = "1" * 64, "2" * 64


def models_of(host: Host) -> Models:
    return host.autotag.state_of(host.app).database.models


class Asker:
    """A worker that reserves images for Google, without sending them."""

    def __init__(self, host: Host, model: str = "builtin/stable") -> None:
        self.host = host
        self.inquiry = Inquiry(models_of(host), "shop", "google", model)

    def transact(self, work: Any) -> Any:
        with self.host.app.app_context():
            return self.host.autotag.state_of(self.host.app).database.transact(work)

    def reserve(self, *contents: str) -> set[str]:
        reserved: set[str] = self.transact(
            lambda session: self.inquiry.reserve(session, contents)
        )
        return reserved

    def answer(self, *contents: str) -> None:
        said = dict.fromkeys(contents, CUP)
        self.transact(lambda session: self.inquiry.store(session, said))

    def release(self, *contents: str) -> None:
        self.transact(lambda session: self.inquiry.release(session, contents))

    def answers(self, *contents: str) -> dict[str, Any]:
        found: dict[str, Any] = self.transact(
            lambda session: self.inquiry.answers(session, contents)
        )
        return found


def rows(host: Host) -> list[Any]:
    with host.app.app_context(), host.db.engine.connect() as connection:
        return list(connection.execute(select(models_of(host).inquiry.__table__)))


def let_pass(host: Host, contents: Collection[str] | None = None) -> None:
    """Let the rows expire."""
    table = models_of(host).inquiry.__table__
    statement = update(table).values(until=1)
    if contents is not None:
        statement = statement.where(table.c.sha256.in_(contents))
    with host.app.app_context(), host.db.engine.begin() as connection:
        connection.execute(statement)


class TestReserving:
    def test_one_asks_and_others_wait(self, any_host: Host) -> None:
        first, second = Asker(any_host), Asker(any_host)
        assert first.reserve(ONE) == {ONE}
        assert second.reserve(ONE, TWO) == {TWO}
        first.answer(ONE)
        assert second.answers(ONE, TWO) == {ONE: CUP}
        assert second.reserve(ONE) == set()

    def test_what_has_no_answer_is_free_again(self, any_host: Host) -> None:
        first, second = Asker(any_host), Asker(any_host)
        first.reserve(ONE)
        first.release(ONE)
        assert rows(any_host) == []
        assert second.reserve(ONE) == {ONE}

    def test_an_old_reservation_is_taken_over(self, any_host: Host) -> None:
        first, second, third = (Asker(any_host) for _ in range(3))
        first.reserve(ONE)
        let_pass(any_host)
        assert second.reserve(ONE) == {ONE}
        # The first worker wakes up too late to store its answer.
        first.answer(ONE)
        first.release(ONE)
        assert third.answers(ONE) == {}
        assert third.reserve(ONE) == set()

    def test_another_model_is_asked_too(self, any_host: Host) -> None:
        first, second = Asker(any_host), Asker(any_host, "4.0 de")
        first.reserve(ONE)
        assert second.reserve(ONE) == set()
        first.answer(ONE)
        assert second.answers(ONE) == {}
        assert second.reserve(ONE) == {ONE}

    def test_an_answer_without_labels_is_one(self, any_host: Host) -> None:
        first, second = Asker(any_host), Asker(any_host)
        first.reserve(ONE)
        first.transact(lambda session: first.inquiry.store(session, {ONE: ()}))
        assert second.answers(ONE) == {ONE: ()}
        assert second.reserve(ONE) == set()

    def test_of_many_at_once_each_content_has_one(self, any_host: Host) -> None:
        contents = [f"{number:064}" for number in range(16)]
        ready = threading.Barrier(8)
        reserved: list[str] = []

        def work(shift: int) -> None:
            asker = Asker(any_host)
            ready.wait()
            reserved.extend(asker.reserve(*contents[shift:], *contents[:shift]))

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(reserved) == contents

    def test_what_is_old_goes_in_portions(
        self, any_host: Host, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(in_flight, "_CLEANUP_INTERVAL", 1)
        monkeypatch.setattr(in_flight, "_CLEANUP_BATCH", 3)
        contents = [f"{number:064}" for number in range(9)]
        asker = Asker(any_host)
        asker.reserve(*contents)
        asker.answer(*contents)
        table = models_of(any_host).inquiry.__table__
        with any_host.app.app_context():
            for time, content in enumerate(contents[:8]):
                with any_host.db.engine.begin() as connection:
                    connection.execute(
                        update(table)
                        .where(table.c.sha256 == content)
                        .values(until=time)
                    )
            database = any_host.autotag.state_of(any_host.app).database
            left = []
            for _ in range(3):
                in_flight.delete_expired(database)
                left.append(sorted(row.sha256 for row in rows(any_host)))
        assert left == [contents[4:], contents[8:], contents[8:]]


@pytest.fixture
def slow(google: Vendor) -> Iterator[threading.Event]:
    """Google answers when the event is set."""
    may_answer = threading.Event()

    def wait(recorded: Recorded) -> Answer:
        assert may_answer.wait(20)
        return answer_each(recorded)

    google.answer = wait
    yield may_answer
    may_answer.set()


def be_asked(google: Vendor) -> None:
    pause = threading.Event()
    while not google.requests:
        pause.wait(0.02)


def test_two_workers_with_the_same_bytes_send_them_once(
    cloud_host: Host, google: Vendor, slow: threading.Event
) -> None:
    upload(cloud_host, 1, same=True)
    first = threading.Thread(target=drain, args=(cloud_host,))
    first.start()
    be_asked(google)
    upload(cloud_host, 2, same=True)
    drain(cloud_host)
    waiting = cloud_host.jobs()[1]
    assert (waiting.state, waiting.failures) == ("queued", 0)
    assert 0 < waiting.run_at - waiting.created_at < 60
    slow.set()
    first.join()
    be_due(cloud_host)
    drain(cloud_host)
    assert images_sent(google) == 1
    assert [job.state for job in cloud_host.jobs()] == ["done"] * 2
    for number in (1, 2):
        assert tags(cloud_host, number) == {**LOCAL, "Cup": "google"}


def test_a_worker_that_is_killed_after_the_answer(
    cloud_host: Host, google: Vendor, tmp_path: Path
) -> None:
    write_program(
        tmp_path,
        cloud_host,
        after="""
        import os, signal
        from flask_autotag.jobs import worker

        def store(*_):
            os.kill(os.getpid(), signal.SIGKILL)

        worker.store = store
        """,
        AUTOTAG_GOOGLE_ENDPOINT=google.url,
        AUTOTAG_ALLOWED_ORIGINS=[google.url],
        **GOOGLE_ON,
    )
    upload(cloud_host, 1)
    killed = subprocess.run(
        [
            sys.executable,
            "-c",
            "from program import app, autotag, worker\n"
            "worker.Worker(app, autotag.state_of(app)).drain()",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert killed.returncode == -9
    assert tags(cloud_host, 1) == {}
    table = models_of(cloud_host).job.__table__
    with cloud_host.app.app_context():
        with cloud_host.db.engine.begin() as connection:
            connection.execute(update(table).values(run_at=1))
        claims.requeue_expired(cloud_host.autotag.state_of(cloud_host.app).database)
    drain(cloud_host)
    assert images_sent(google) == 1
    assert tags(cloud_host, 1) == {**LOCAL, "Cup": "google"}


def test_one_that_is_killed_before_it_is_asked_again(
    cloud_host: Host, google: Vendor
) -> None:
    upload(cloud_host, 1)
    content = photo_digest(1)
    Asker(cloud_host).reserve(content)
    drain(cloud_host)
    assert images_sent(google) == 0
    let_pass(cloud_host)
    be_due(cloud_host)
    drain(cloud_host)
    assert images_sent(google) == 1
    assert "Cup" in tags(cloud_host, 1)


def photo_digest(number: int) -> str:
    import hashlib

    return hashlib.sha256(photo(number)).hexdigest()


def test_after_a_failure_it_is_sent_again(cloud_host: Host, google: Vendor) -> None:
    bad = {"error": {"code": 14, "message": "Unavailable."}}
    upload(cloud_host, 1)
    for failure in (Answer(500), Answer(body={"responses": [bad]})):
        google.answer = failure
        drain(cloud_host)
        assert rows(cloud_host) == []
        be_due(cloud_host)
    google.answer = answer_each
    let_it_in(cloud_host)
    drain(cloud_host)
    assert images_sent(google) == 3
    assert "Cup" in tags(cloud_host, 1)


def test_what_the_limit_does_not_grant_is_not_reserved(
    cloud_host: Host, google: Vendor
) -> None:
    desk = Desk(cloud_host)
    desk.save({("google", "monthly_limit"): 1, ("google", "over_limit"): "wait"})
    upload(cloud_host, 1, 2)
    drain(cloud_host)
    assert len(rows(cloud_host)) == 1
    desk.save({("google", "monthly_limit"): 2})
    be_due(cloud_host)
    drain(cloud_host)
    assert images_sent(google) == 2
    assert all("Cup" in tags(cloud_host, number) for number in (1, 2))


def test_a_paused_provider_reserves_nothing(cloud_host: Host, google: Vendor) -> None:
    google.answer = Answer(403)
    upload(cloud_host, 1, 2)
    drain(cloud_host)
    assert len(google.requests) == 1
    assert rows(cloud_host) == []


def test_another_language_is_asked_for(sqlite_url: str) -> None:
    values = [{"name": "cup", "confidence": 0.9}]
    with (
        vendor() as microsoft,
        make_host(
            sqlite_url,
            AUTOTAG_ALLOWED_ORIGINS=[microsoft.url],
            AUTOTAG_MICROSOFT_ENABLED=True,
            AUTOTAG_MICROSOFT_ENDPOINT=microsoft.url,
            AUTOTAG_MICROSOFT_API_KEY="0123456789",
        ) as host,
    ):
        microsoft.answer = Answer(body={"tagsResult": {"values": values}})
        upload(host, 1, same=True)
        drain(host)
        Desk(host).save({("microsoft", "language"): "de"})
        upload(host, 2, same=True)
        drain(host)
        upload(host, 3, same=True)
        drain(host)
        assert [each.query["language"] for each in microsoft.requests] == ["en", "de"]


class TestAtOnce:
    @pytest.fixture(autouse=True)
    def elsewhere_only(self, cloud_host: Host) -> None:
        Desk(cloud_host).save({("tensorflow", "enabled"): False})

    def test_tag_now_says_that_it_is_being_asked(
        self, cloud_host: Host, google: Vendor
    ) -> None:
        Asker(cloud_host).reserve(photo_digest(1))
        with (
            cloud_host.app.app_context(),
            pytest.raises(
                ProviderBusy, match="Another worker is sending the same image now"
            ),
        ):
            cloud_host.autotag.tag_now(AssetRef("photo", "1"), photo(1), "shop")
        assert google.requests == []

    def test_and_finds_the_answer(self, cloud_host: Host, google: Vendor) -> None:
        asker = Asker(cloud_host)
        asker.reserve(photo_digest(1))
        asker.answer(photo_digest(1))
        with cloud_host.app.app_context():
            [tag] = cloud_host.autotag.tag_now(AssetRef("photo", "1"), photo(1), "shop")
        assert (tag.name, google.requests) == ("Cup", [])

    def test_words_that_change_while_it_is_asked_count(
        self, cloud_host: Host, google: Vendor
    ) -> None:
        state = cloud_host.autotag.state_of(cloud_host.app)

        def answer(recorded: Recorded) -> Answer:
            with cloud_host.app.app_context(), state.database.begin() as session:
                blocked = {tag_name("cup"): {"blocked": True}}
                change_words(session, cloud_host.models, "shop", blocked, None)
            return answer_each(recorded)

        google.answer = answer
        with cloud_host.app.app_context():
            found = cloud_host.autotag.tag_now(AssetRef("photo", "1"), photo(1), "shop")
        assert found == []

    def test_what_cannot_be_stored_is_no_answer(
        self, cloud_host: Host, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from flask_autotag.providers.google_vision import GoogleVisionProvider

        def classify(*_: Any) -> Any:
            return [[Label("x", "x", float("nan"))]]

        monkeypatch.setattr(GoogleVisionProvider, "classify", classify)
        with (
            cloud_host.app.app_context(),
            pytest.raises(ProviderError, match="Google Cloud Vision raised ValueError"),
        ):
            cloud_host.autotag.tag_now(AssetRef("photo", "1"), photo(1), "shop")
        assert rows(cloud_host) == []
