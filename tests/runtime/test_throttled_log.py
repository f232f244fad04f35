"""A recurring error is logged less and less often."""

from __future__ import annotations

import logging

import pytest
from sqlalchemy.exc import OperationalError

from flask_autotag.runtime import throttled_log
from flask_autotag.runtime.throttled_log import LONGEST_SILENCE, ThrottledLog


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(throttled_log.time, "monotonic", lambda: now[0])
    return now


def trouble(sentence: str = "Nothing works.") -> None:
    try:
        raise RuntimeError("of the host")
    except RuntimeError as error:
        kept.log(sentence, error)


kept = ThrottledLog()


@pytest.fixture(autouse=True)
def nothing_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "kept", ThrottledLog())


def test_the_first_time_with_a_traceback(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    trouble()
    assert "Nothing works.\nTraceback" in caplog.text
    assert "RuntimeError: of the host" in caplog.text


def test_then_ever_more_rarely(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    told = []
    for second in range(0, 20_000, 5):
        clock[0] = second
        before = len(caplog.records)
        trouble()
        if len(caplog.records) > before:
            told.append(second)
    assert told[:5] == [0, 60, 180, 420, 900]
    assert told[-1] - told[-2] == LONGEST_SILENCE


def test_another_one_and_one_that_had_passed_are_new(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    for clock[0] in (0, 60, 61):
        trouble()
    trouble("Nothing else does.")
    assert len(caplog.records) == 3
    clock[0] += 3 * LONGEST_SILENCE
    trouble()
    clock[0] += 60
    trouble()
    assert len(caplog.records) == 5


def test_of_a_database_its_own_words_do(caplog: pytest.LogCaptureFixture) -> None:
    said = Exception("no such table: autotag_job\nLINE 1: SELECT")
    error = OperationalError("SELECT secret", {"key": "secret"}, said)
    kept.log("The queue cannot be read.", error, logging.WARNING)
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.exc_info is None
    assert record.getMessage() == (
        "The queue cannot be read. OperationalError: no such table: autotag_job. If the"
        " tables are missing, 'flask autotag init-db' makes them, or a migration; those"
        " of an older release need 'flask autotag upgrade-db'."
    )


def test_the_lines_of_an_error_without_its_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = ThrottledLog()
    for _ in range(2):
        try:
            raise KeyError("the " + "key")
        except KeyError as error:
            log.log_lines("It raised KeyError in", error)
    [record] = caplog.records
    assert record.getMessage().startswith("It raised KeyError in\n  File ")
    assert "test_the_lines_of_an_error_without_its_words" in caplog.text
    assert "the key" not in caplog.text
