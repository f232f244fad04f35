"""Rules for words, written to a CSV file and read from it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pytest

from flask_autotag import VocabularyError
from flask_autotag.settings.stored_words import change_words, read_words
from flask_autotag.settings.tag_names import tag_name
from flask_autotag.settings.vocabulary import WordRule
from flask_autotag.settings.words_csv import read_csv, write_csv

from ..hosts import Host

SHOP = "shop"


def change(host: Host, changes: Mapping[str, Mapping[str, Any]]) -> None:
    """Change the rules of the shop."""
    named = {tag_name(word): fields for word, fields in changes.items()}
    state = host.autotag.state_of(host.app)
    with host.app.app_context(), state.database.begin() as session:
        change_words(session, host.models, SHOP, named, "ada")


def written(host: Host) -> str:
    file = io.StringIO()
    state = host.autotag.state_of(host.app)
    with host.app.app_context(), state.database.begin() as session:
        write_csv(file, session, host.models, SHOP)
    return file.getvalue()


def test_what_is_written_is_read_again(host: Host) -> None:
    words: dict[str, dict[str, Any]] = {
        "Tabby, striped": {"becomes": 'The "cat"'},
        "dog": {"blocked": True, "threshold": 0.25},
        "fox": {"blocked": False, "listed": True},
    }
    change(host, words)
    text = written(host)
    assert text.splitlines() == [
        '"word","becomes","blocked","listed","threshold"',
        '"dog","","yes","","0.25"',
        '"fox","","no","yes",""',
        '"Tabby, striped","The ""cat""","","",""',
    ]
    read = read_csv(io.StringIO(text))
    assert {name.name: WordRule(**fields) for name, fields in read.items()} == {
        word: WordRule(**fields) for word, fields in words.items()
    }


def test_no_word_is_a_formula_nor_changed(host: Host) -> None:
    names = ["=1+1", "x;=cmd|' /C calc'!A0", "'=1", 'a"=1', "x; @b", "\uff1d1"]
    names += ["-ish", "a|+1", "''-b", "می\u200cرویم", "👨\u200d👩\u200d👧"]
    words = {name: WordRule(becomes=f"{name}, -1") for name in names}
    change(host, {name: {"becomes": word.becomes} for name, word in words.items()})
    text = written(host)
    assert "\"x;'=cmd|' /C calc'!A0\"" in text
    read = read_csv(io.StringIO(text, newline=""))
    assert {name.name: WordRule(**fields) for name, fields in read.items()} == words


def test_a_missing_column_says_nothing_and_an_empty_cell_takes_back() -> None:
    [(name, fields)] = read_csv(["word,blocked\n", "Dog,\n"]).items()
    assert (name.key, fields) == ("dog", {"blocked": None})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Line 0 has no column 'word': the first line names the columns."),
        (
            "tag\ndog\n",
            "Line 1 has the unknown column 'tag'; the columns are: word, becomes,"
            " blocked, listed, threshold.",
        ),
        (
            "word;blocked\ndog;yes\n",
            "Line 1 has semicolons between cells: save the file with commas.",
        ),
        ("word,blocked\n,yes\n", "Line 2 has no word."),
        (
            "word,blocked\ndog,perhaps\n",
            "Line 2 has an invalid value for 'blocked': must be yes, no or empty,"
            " not 'perhaps'.",
        ),
        (
            "word,threshold\ndog,2\n",
            "Line 2 has an invalid value for 'threshold': must be a number from 0"
            " to 1, not '2'; for 2 % write 0.02, with a point.",
        ),
        (
            f"word,becomes\ndog,{'x' * 101}\n",
            "Line 2 has an invalid value for 'becomes': a tag's name has at most"
            " 100 characters.",
        ),
        (
            "word,blocked\ndog,yes\nDOG,no\n",
            "Line 3 repeats the word DOG.",
        ),
        (
            "word,blocked\ndog,yes,no\n",
            "Line 2 has more or fewer cells than the first line.",
        ),
        (
            "word,blocked\ndog\n",
            "Line 2 has more or fewer cells than the first line.",
        ),
    ],
)
def test_the_line_that_is_wrong_is_named(text: str, sentence: str) -> None:
    with pytest.raises(VocabularyError) as caught:
        read_csv(io.StringIO(text))
    assert str(caught.value) == sentence


def test_a_file_may_name_more_words_than_a_statement_takes_parameters(
    any_host: Host,
) -> None:
    read = read_csv(["word\n", *(f"w{number}\n" for number in range(70_000))])
    change(any_host, {name.name: fields for name, fields in read.items()})
    with any_host.app.app_context(), any_host.db.engine.connect() as connection:
        assert read_words(connection, any_host.models, [SHOP])[SHOP] == {}


def test_what_is_no_csv_file_is_refused() -> None:
    with pytest.raises(VocabularyError, match=r"The file is not CSV: .*"):
        read_csv(io.StringIO('word\n"dog'))
