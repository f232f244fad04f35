from __future__ import annotations

import copy
import pickle

import pytest

from flask_autotag.settings.secret import Secret

TEXT = "AIzaSyD-0123456789"


@pytest.mark.parametrize("write", [str, repr, "{}".format, "{!r}".format])
def test_it_is_not_written_anywhere(write: object) -> None:
    assert callable(write)
    assert write(Secret(TEXT, "somewhere")) == "<Secret>"


def test_it_is_not_pickled() -> None:
    for duplicate in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError, match=r"A secret cannot be pickled\."):
            duplicate(Secret(TEXT))


def test_its_ending_is_shown_if_it_is_long_enough() -> None:
    assert Secret(TEXT).ending == "6789"
    assert Secret("x" * 11).ending == ""
    assert Secret(None).ending == ""


def test_one_that_cannot_be_decrypted() -> None:
    secret = Secret(None)
    assert not secret.is_readable
    with pytest.raises(LookupError):
        secret.reveal()


def test_secrets_are_equal_with_text_and_place() -> None:
    assert Secret(TEXT, "a") == Secret(TEXT, "a")
    assert Secret(TEXT, "a") != Secret(TEXT, "b")
    assert Secret(TEXT).bound("a") == Secret(TEXT, "a")
    assert Secret(TEXT) != TEXT
    assert len({Secret(TEXT), Secret(TEXT), Secret("other")}) == 2
