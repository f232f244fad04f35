from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_autotag.providers import limits
from flask_autotag.settings import checks

ANYTHING = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.lists(st.integers(), max_size=3)
)
CHECKS = {
    "boolean": checks.boolean,
    "fraction": checks.fraction,
    "whole_number": checks.whole_number(0, 1000),
    "one_of": checks.one_of("thread", "none"),
    "text": checks.text,
    "folder": checks.folder,
    "price": limits.price,
    "language": checks.language,
}


@pytest.mark.parametrize("name", CHECKS)
@given(value=ANYTHING)
def test_a_check_accepts_or_raises_value_error_and_accepts_its_result(
    name: str, value: Any
) -> None:
    check = CHECKS[name]
    refusal = "must be "
    try:
        checked = check(value)
    except ValueError as error:
        refusal = str(error)
    else:
        assert check(checked) == checked
    assert refusal.startswith("must be ")


@pytest.mark.parametrize("value", [True, "true", "True", " yes ", "ON", "1", 1])
def test_boolean_accepts_the_spellings_of_true(value: Any) -> None:
    assert checks.boolean(value) is True


@pytest.mark.parametrize("value", [False, "false", "no", "Off", "0", 0])
def test_boolean_accepts_the_spellings_of_false(value: Any) -> None:
    assert checks.boolean(value) is False


@pytest.mark.parametrize("value", ["", "maybe", None, 2, 1.0, []])
def test_boolean_refuses_the_rest(value: Any) -> None:
    with pytest.raises(ValueError) as caught:
        checks.boolean(value)
    assert str(caught.value) == f"must be true or false, not {value!r}"


@pytest.mark.parametrize(
    ("value", "number"), [(0, 0.0), (1, 1.0), (0.25, 0.25), ("0.5", 0.5), (" 1 ", 1.0)]
)
def test_fraction_accepts_numbers_and_their_texts(value: Any, number: float) -> None:
    checked = checks.fraction(value)
    assert checked == number
    assert isinstance(checked, float)


@pytest.mark.parametrize(
    "value",
    [-0.01, 1.01, "high", "", None, math.nan, math.inf, "nan", True, [], 2**9999],
)
def test_fraction_refuses_what_is_no_number_from_0_to_1(value: Any) -> None:
    with pytest.raises(ValueError) as caught:
        checks.fraction(value)
    assert str(caught.value) == f"must be a number from 0 to 1, not {value!r:.80}"


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("50", "for 50 % write 0.5"),
        (50, "for 50 % write 0.5"),
        ("30%", "for 30 % write 0.3"),
        ("12,5 %", "for 12.5 % write 0.125"),
        ("0,3", "for 30 % write 0.3"),
        ("1,5", None),
        ("101", None),
        ("-50", None),
    ],
)
def test_fraction_guesses_what_was_meant(value: Any, hint: str | None) -> None:
    with pytest.raises(ValueError) as caught:
        checks.fraction(value)
    end = f"; {hint}, with a point" if hint else ""
    assert str(caught.value) == f"must be a number from 0 to 1, not {value!r}{end}"


@pytest.mark.parametrize(
    ("value", "number"), [(2, 2), (10, 10), ("3", 3), (4.0, 4), (" 5", 5)]
)
def test_whole_number_accepts_numbers_and_their_texts(value: Any, number: int) -> None:
    checked = checks.whole_number(2, 10)(value)
    assert checked == number
    assert type(checked) is int


@pytest.mark.parametrize(
    "value", [1, 11, 2.5, "2.5", "two", "", None, True, math.inf, math.nan, 10**400]
)
def test_whole_number_refuses_what_is_out_of_range_or_broken(value: Any) -> None:
    with pytest.raises(ValueError) as caught:
        checks.whole_number(2, 10)(value)
    assert (
        str(caught.value) == f"must be a whole number from 2 to 10, not {value!r:.80}"
    )


def test_one_of_accepts_a_choice() -> None:
    assert checks.one_of("a", "b")("b") == "b"


@pytest.mark.parametrize("value", ["c", "A", "", None, 1, ["a"]])
def test_one_of_names_the_choices(value: Any) -> None:
    with pytest.raises(ValueError) as caught:
        checks.one_of("a", "b")(value)
    assert str(caught.value) == f"must be one of 'a', 'b', not {value!r}"


def test_text_is_stripped() -> None:
    assert checks.text("  a model ") == "a model"


@pytest.mark.parametrize("value", ["", " \n", None, 5, b"bytes"])
def test_text_refuses_blanks_and_what_is_no_text(value: Any) -> None:
    with pytest.raises(ValueError) as caught:
        checks.text(value)
    assert str(caught.value) == f"must be a text, not {value!r}"


def test_a_folder_may_be_left_out() -> None:
    assert checks.folder(None) is None


def test_a_folder_becomes_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    assert checks.folder("models") == str(tmp_path / "models")
    assert checks.folder(tmp_path) == str(tmp_path)


@pytest.mark.parametrize("value", ["missing", "file", "", 3, "nul\0"])
def test_a_folder_has_to_exist(
    value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError) as caught:
        checks.folder(value)
    assert str(caught.value) == f"must be the path of an existing folder, not {value!r}"


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(ValueError) as caught:
        checks.boolean("x" * 10_000)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize(
    ("value", "price"),
    [(None, None), (" $1.50 ", "$1.50"), ("1.50 €", "1.50 €"), (1.5, "1.5"), (2, "2")],
)
def test_price_stays_as_it_is_typed(value: Any, price: str | None) -> None:
    assert limits.price(value) == price


@pytest.mark.parametrize("value", ["", "cheap", "1,50 €", "$-1", True, math.nan, []])
def test_price_refuses_what_is_none(value: Any) -> None:
    with pytest.raises(ValueError) as caught:
        limits.price(value)
    assert str(caught.value) == (
        f"must be a price such as 1.50, $1.50, 1.50 € or EUR 1.50, not {value!r}"
    )


@pytest.mark.parametrize(
    "code", ["en", "de", "pt-BR", "zh-Hans", " fil ", "sr-Latn-RS"]
)
def test_language_accepts_codes(code: str) -> None:
    assert checks.language(code) == code.strip()


@pytest.mark.parametrize(
    "value",
    ["<b>", "", "e", "english", "en_GB", "en-", "en\n-x", "en-" + "x" * 500, None],
)
def test_language_refuses_what_is_no_code(value: Any) -> None:
    with pytest.raises(
        ValueError, match=r"^must be a code such as en, de or pt-BR, not"
    ):
        checks.language(value)
