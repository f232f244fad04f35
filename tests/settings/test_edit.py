"""From typed values to stored settings, on each database."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import select, text, update

from flask_autotag.errors import StaleSettings
from flask_autotag.host.assets import SYSTEM
from flask_autotag.settings.edit import check_changes
from flask_autotag.settings.encryption import Sealer
from flask_autotag.settings.fields import Path
from flask_autotag.settings.resolution import Origin

from ..hosts import Host
from .desk import Desk

THRESHOLD, MAXIMUM = ("tensorflow", "confidence_threshold"), ("", "max_tags")
ENDPOINT, KEY = ("microsoft", "endpoint"), ("microsoft", "api_key")
ON = ("microsoft", "enabled")
GOOGLE, GOOGLE_KEY = ("google", "enabled"), ("google", "api_key")
PLACE, OTHER_PLACE = (f"https://{x}.cognitiveservices.azure.com" for x in "ab")


@pytest.fixture
def desk(any_host: Host) -> Desk:
    return Desk(any_host)


@pytest.fixture
def sqlite_desk(host: Host) -> Desk:
    return Desk(host)


def test_what_was_saved_holds_at_once(desk: Desk) -> None:
    assert desk.settings("shop").value(THRESHOLD) == 0.5
    desk.save({THRESHOLD: "0.1", MAXIMUM: 5})
    desk.save({THRESHOLD: 0.9}, "shop")
    assert desk.settings().value(THRESHOLD) == 0.1
    assert desk.settings("news").value(THRESHOLD) == 0.1
    assert desk.settings("shop").value(THRESHOLD) == 0.9
    assert desk.settings("shop").origins[THRESHOLD] is Origin.INSTANCE
    assert desk.settings("shop").max_tags == 5
    desk.save({THRESHOLD: None}, "shop")
    assert desk.settings("shop").value(THRESHOLD) == 0.1


def test_what_is_the_systems_alone_is_refused_for_an_instance(desk: Desk) -> None:
    together = ("google", "total_limit")
    desk.save({together: 7})
    assert desk.refusals({together: 9}, "shop") == {
        together: "can only be set for the system, not for an instance"
    }
    desk.save({together: None}, "shop")
    assert desk.settings("shop").value(together) == 7
    # A row of an instance in the table has no effect.
    table = desk.state.database.models.setting.__table__
    section, name = together
    row = {"instance": "shop", "section": section, "name": name, "value": "9"}
    desk.execute(table.insert().values(row))
    assert desk.settings("shop").value(together) == 7


def test_who_changed_what_is_kept(desk: Desk) -> None:
    desk.save({THRESHOLD: 0.1, MAXIMUM: 5})
    desk.save({THRESHOLD: 0.1, MAXIMUM: None}, who="b" * 200)
    desk.save({GOOGLE_KEY: "AIza-secret"}, "shop", who=None)
    assert [
        (change.path, change.old, change.new, change.changed_by)
        for change in desk.changes()
    ] == [
        (MAXIMUM, 5, None, "b" * 100),
        (THRESHOLD, None, 0.1, "ada"),
        (MAXIMUM, None, 5, "ada"),
    ]
    [change] = desk.changes("shop")
    assert (change.old, change.new, change.changed_by) == (None, True, None)
    assert change.changed_at.tzinfo is not None


def test_what_did_not_change_is_no_change(desk: Desk) -> None:
    desk.save({THRESHOLD: 0.1})
    before = desk.version()
    desk.save({THRESHOLD: "0.10", MAXIMUM: None})
    assert desk.version() == before
    assert len(desk.changes()) == 1


def test_a_key_is_not_in_the_database(desk: Desk) -> None:
    desk.save({GOOGLE_KEY: "AIza-secret-0123", GOOGLE: True}, "shop")
    secret = desk.settings("shop").value(GOOGLE_KEY)
    assert secret.reveal() == "AIza-secret-0123"
    with desk.host.app.app_context(), desk.host.db.engine.connect() as connection:
        for table in desk.host.models.tables:
            for row in connection.execute(select(table)):
                assert "AIza" not in repr(tuple(row))


def test_with_another_secret_the_key_has_to_be_typed_again(desk: Desk) -> None:
    desk.save({GOOGLE_KEY: "AIza-secret-0123", GOOGLE: True})
    desk.host.app.config["SECRET_KEY"] = "another one, which is as long as that"
    assert desk.settings().value(GOOGLE_KEY) is None
    assert desk.refusals({("google", "confidence_threshold"): 0.7}) == {
        GOOGLE_KEY: "must be typed again: the stored one was saved for another"
        " endpoint, or cannot be decrypted"
    }
    desk.save({GOOGLE_KEY: "AIza-secret-0123"})
    assert desk.settings().value(GOOGLE_KEY).reveal() == "AIza-secret-0123"


def test_without_any_secret_no_key_is_stored(sqlite_desk: Desk) -> None:
    del sqlite_desk.host.app.config["SECRET_KEY"]
    assert sqlite_desk.refusals({GOOGLE_KEY: "AIza-secret"}) == {
        GOOGLE_KEY: "cannot be stored: set AUTOTAG_SECRET_KEYS or SECRET_KEY in the"
        " application's configuration"
    }


def test_another_endpoint_clears_the_key(desk: Desk) -> None:
    desk.save({ENDPOINT: PLACE, KEY: "microsoft-key", ON: True})
    desk.save({ON: False})
    assert desk.settings().value(KEY).reveal() == "microsoft-key"
    saved = desk.save({ENDPOINT: OTHER_PLACE})
    assert saved.cleared == (KEY,)
    assert desk.settings().value(KEY) is None
    desk.save({ENDPOINT: PLACE})
    assert desk.settings().value(KEY) is None


def test_another_endpoint_of_the_system_silences_the_instances_key(desk: Desk) -> None:
    desk.save({ENDPOINT: PLACE})
    desk.save({KEY: "shops-key", ON: True}, "shop")
    assert desk.settings("shop").value(KEY).reveal() == "shops-key"
    desk.save({ENDPOINT: OTHER_PLACE})
    assert desk.settings("shop").value(KEY) is None


@pytest.mark.parametrize(
    ("typed", "instance", "refusals"),
    [
        (
            {THRESHOLD: "high", MAXIMUM: "2.5"},
            SYSTEM,
            {
                THRESHOLD: "must be a number from 0 to 1, not 'high'",
                MAXIMUM: "must be a whole number from 0 to 1000, not '2.5'",
            },
        ),
        (
            {("tensorflow", "model"): "inception5h"},
            "shop",
            {
                ("tensorflow", "model"): "must be one of efficientnet-lite0, not"
                " 'inception5h'"
            },
        ),
        (
            {ON: "on"},
            SYSTEM,
            {
                ENDPOINT: "must be set before this provider is enabled",
                KEY: "must be set before this provider is enabled",
            },
        ),
        (
            {ON: True, ENDPOINT: "http://localhost", KEY: "two words"},
            SYSTEM,
            {
                ENDPOINT: "must begin with https://, such as"
                " https://my-resource.cognitiveservices.azure.com",
                KEY: "must be a key of ASCII letters, digits and symbols, without"
                " spaces",
            },
        ),
        (
            {THRESHOLD: "x" * 2**20},
            SYSTEM,
            {THRESHOLD: f"must be a number from 0 to 1, not '{'x' * 79}"},
        ),
    ],
)
def test_errors_are_reported_and_nothing_is_saved(
    sqlite_desk: Desk, typed: dict[Path, Any], instance: str, refusals: dict[Path, str]
) -> None:
    before = sqlite_desk.settings(instance)
    assert sqlite_desk.refusals({**typed, ("", "enabled"): "off"}, instance) == refusals
    assert sqlite_desk.settings(instance) == before
    assert sqlite_desk.changes(instance) == []


@pytest.mark.parametrize("own", [0, 6])
def test_an_instance_cannot_have_more_than_the_system(
    sqlite_desk: Desk, own: int
) -> None:
    sqlite_desk.save({MAXIMUM: 5})
    assert sqlite_desk.refusals({MAXIMUM: own}, "shop") == {
        MAXIMUM: "must be from 1 to 5, because the system allows no more"
    }
    sqlite_desk.save({MAXIMUM: 5}, "shop")
    sqlite_desk.save({MAXIMUM: 0})
    sqlite_desk.save({MAXIMUM: own}, "shop")


def test_a_section_that_was_not_touched_does_not_stop_the_others(
    sqlite_desk: Desk,
) -> None:
    sqlite_desk.save({GOOGLE_KEY: "key-of-the-system", GOOGLE: True})
    sqlite_desk.save({GOOGLE: True}, "shop")
    sqlite_desk.save({GOOGLE: None, GOOGLE_KEY: None})
    sqlite_desk.save({MAXIMUM: 3}, "shop")
    assert GOOGLE_KEY in sqlite_desk.refusals({("google", "enabled"): True}, "news")


def test_the_second_of_two_writers_is_refused(desk: Desk) -> None:
    seen = desk.version()
    desk.save({THRESHOLD: 0.1}, version=seen, who="ada")
    with pytest.raises(StaleSettings) as caught:
        desk.save({THRESHOLD: 0.2}, version=seen, who="bob")
    assert str(caught.value) == "ada has saved these settings meanwhile."
    assert desk.settings().value(THRESHOLD) == 0.1
    desk.save({THRESHOLD: 0.2}, version=desk.version())


def test_one_of_many_concurrent_writers_succeeds(desk: Desk) -> None:
    outcomes: list[str] = []
    ready = threading.Barrier(6)

    def run(number: int) -> None:
        ready.wait()
        try:
            desk.save({MAXIMUM: number}, version=0, who=str(number))
            outcomes.append(str(number))
        except StaleSettings:
            outcomes.append("refused")

    threads = [threading.Thread(target=run, args=(n,)) for n in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("refused") == 5
    [first] = set(outcomes) - {"refused"}
    assert desk.settings().max_tags == int(first)


def test_a_stored_value_that_is_no_longer_accepted_is_left_out(
    sqlite_desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    sqlite_desk.save({THRESHOLD: 0.1, MAXIMUM: 5})
    table = sqlite_desk.state.database.models.setting.__table__
    sqlite_desk.execute(
        update(table).where(table.c.name == "confidence_threshold").values(value="7"),
        text("INSERT INTO autotag_setting VALUES ('', 'gone', 'x', '1')"),
    )
    assert sqlite_desk.settings().value(THRESHOLD) == 0.5
    assert sqlite_desk.settings().max_tags == 5
    assert "tensorflow.confidence_threshold must be a number from 0 to 1" in caplog.text


def test_a_check_saves_nothing(sqlite_desk: Desk) -> None:
    with (
        sqlite_desk.host.app.app_context(),
        sqlite_desk.state.database.begin() as session,
    ):
        layers = sqlite_desk.state.stored_settings().layers(session, "shop")
        change = check_changes(layers, {THRESHOLD: 0.2, MAXIMUM: "x"}, model_dir=None)
    assert change.after.resolve().value(THRESHOLD) == 0.2
    assert list(change.errors) == [MAXIMUM]
    assert sqlite_desk.settings("shop").value(THRESHOLD) == 0.5


def test_keys_are_encrypted_anew(desk: Desk) -> None:
    old, new = "old" * 11, "new" * 11
    desk.host.app.config["SECRET_KEY"] = old
    desk.save({GOOGLE_KEY: "AIza-secret-0123", THRESHOLD: 0.1}, "shop")
    desk.host.app.config.update(SECRET_KEY=new, SECRET_KEY_FALLBACKS=[old])
    with desk.host.app.app_context(), desk.state.database.begin() as session:
        assert desk.state.stored_settings().rotate(session) == (1, 0)
    desk.host.app.config.update(SECRET_KEY_FALLBACKS=[])
    assert desk.settings("shop").value(GOOGLE_KEY).reveal() == "AIza-secret-0123"
    desk.host.app.config.update(SECRET_KEY=old)
    with desk.host.app.app_context(), desk.state.database.begin() as session:
        assert desk.state.stored_settings().rotate(session) == (0, 1)


def test_a_row_that_is_copied_over_another_opens_nothing(sqlite_desk: Desk) -> None:
    sqlite_desk.save({GOOGLE_KEY: "key-of-the-system"})
    sealer = Sealer([sqlite_desk.host.app.config["SECRET_KEY"]])
    table = sqlite_desk.state.database.models.setting.__table__
    sqlite_desk.execute(update(table).where(table.c.name != "").values(instance="shop"))
    key = select(table.c.value).where(table.c.name == "api_key")
    with sqlite_desk.host.app.app_context():
        sealed = sqlite_desk.host.db.session.scalars(key).one()
    assert sqlite_desk.settings("shop").value(GOOGLE_KEY) is None
    assert sealer.open(SYSTEM, GOOGLE_KEY, sealed).reveal() == "key-of-the-system"
