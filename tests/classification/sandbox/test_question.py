"""The answers of children, which may be forged, are read as untrusted data."""

from __future__ import annotations

import dataclasses
import json
import math
import unicodedata
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from flask_autotag import TaggingError
from flask_autotag.classification.sandbox.question import read_answer
from flask_autotag.errors import ClassifierCrashed, ClassifierError, UnreadableImage
from flask_autotag.providers.base import (
    MOST_LOCAL,
    Label,
    Prediction,
    SentImage,
)

from .conftest import default_question, encode

NO_USABLE_ANSWER = "The child process gave no usable answer."


def answer_of(*labels: Any, provider: Any = "tensorflow", model: Any = "m 1") -> Any:
    item = {"provider": provider, "model": model, "labels": list(labels)}
    return {"predictions": [item]}


QUESTION = default_question(b"")


def read_one(answer: dict[str, Any]) -> Prediction:
    (prediction,) = read_answer(answer, b"", QUESTION).predictions
    return prediction


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(["tensorflow", "TaggingError", "AutoTagError"]),
    lambda values: (
        st.lists(values, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["predictions", "error", "message", "provider", "model", "labels", "x"]
            ),
            values,
            max_size=4,
        )
    ),
    max_leaves=20,
)
ITEMS = st.fixed_dictionaries(
    {"provider": st.just("tensorflow"), "model": JSON | st.text()},
    optional={"labels": JSON | st.lists(st.tuples(st.text(), st.text(), JSON))},
)


def test_a_good_answer_is_read() -> None:
    assert read_one(answer_of(["n1", "dog", 0.75], ["n2", "cat", 0.25])) == (
        Prediction(
            "tensorflow",
            "m 1",
            (Label("n1", "dog", 0.75), Label("n2", "cat", 0.25)),
        )
    )


@given(
    st.dictionaries(st.sampled_from(["predictions", "error", "message"]), JSON)
    | st.fixed_dictionaries({"predictions": st.lists(ITEMS, max_size=2)})
)
@example({"predictions": [{"provider": "tensorflow", "model": "", "labels": {}}]})
def test_whatever_it_says_is_a_prediction_or_a_tagging_error(
    answer: dict[str, Any],
) -> None:
    answer = json.loads(json.dumps(answer))
    predictions, message = [], ""
    try:
        predictions = list(read_answer(answer, b"", QUESTION).predictions)
    except TaggingError as error:
        message = str(error)
    assert message.isprintable()
    for prediction in predictions:
        assert prediction.provider == "tensorflow"
        assert prediction.model.isprintable()
        for label in prediction.labels:
            assert 0 <= label.confidence <= 1
            assert label.id.isprintable()
            kinds = set(map(unicodedata.category, label.name))
            assert not kinds & {"Cc", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize(
    "confidence", [float("nan"), float("inf"), None, "sure", [], {}, 10**400]
)
def test_a_confidence_that_is_no_number(confidence: Any) -> None:
    with pytest.raises(ClassifierCrashed) as caught:
        read_one(answer_of(["n1", "dog", confidence]))
    assert str(caught.value) == NO_USABLE_ANSWER


@pytest.mark.parametrize(("said", "meant"), [(7, 1.0), (-1, 0.0), (1.0001, 1.0)])
def test_a_confidence_that_is_out_of_range_is_brought_back(
    said: float, meant: float
) -> None:
    assert read_one(answer_of(["n1", "dog", said])).labels[0].confidence == meant


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"predictions": None},
        {"predictions": 5},
        {"predictions": "text"},
        {"predictions": []},
        {"predictions": [5]},
        {"predictions": [{}]},
        answer_of(["n1", "dog"]),
        answer_of(["n1", "dog", 0.5, 0.5]),
        answer_of("n1", "dog"),
        answer_of([1, "dog", 0.5]),
        answer_of(["n1", None, 0.5]),
        answer_of(["n1", "dog", 0.5], model=None),
        answer_of(["n1", "dog", 0.5], provider="google"),
        answer_of(["n1", "dog", 0.5], provider=["tensorflow"]),
        {"predictions": answer_of()["predictions"] * 2},
        *({**answer_of(), "seconds": each} for each in (-1, 3601, "x", None, [])),
        {**answer_of(), "seconds": math.nan},
        {"error": 5, "message": "text"},
        {"error": "TaggingError"},
        {"error": "TaggingError", "message": None},
    ],
)
def test_an_answer_of_another_form(answer: dict[str, Any]) -> None:
    with pytest.raises(ClassifierCrashed) as caught:
        read_answer(answer, b"", QUESTION)
    assert str(caught.value) == NO_USABLE_ANSWER


def test_how_long_it_took() -> None:
    answer = {**answer_of(), "seconds": 0.25}
    assert read_answer(answer, b"", QUESTION).seconds == 0.25
    assert read_answer(answer_of(), b"", QUESTION).seconds is None


def test_only_so_many_labels_are_read() -> None:
    labels = [[f"n{number}", "dog", 0.5] for number in range(2 * MOST_LOCAL)]
    assert len(read_one(answer_of(*labels)).labels) == MOST_LOCAL


def test_the_part_of_a_label() -> None:
    prediction = read_one(answer_of(["n1", "sky", 0.5, "general"], ["n2", "dog", 0.4]))
    assert [label.is_general for label in prediction.labels] == [True, False]
    assert read_one(answer_of(["n1", "dog", 0.5, "detected"])).labels[0].is_detected
    for part in ("secret", None, ["general"]):
        with pytest.raises(ClassifierCrashed):
            read_one(answer_of(["n1", "sky", 0.5, part]))


def test_a_reduced_image_is_what_was_asked_for() -> None:
    reducing = dataclasses.replace(QUESTION, reduce_to=100)
    good = {"predictions": [answer_of()["predictions"][0]], "size": [100, 60]}
    jpeg = encode(Image.new("RGB", (100, 60)), "JPEG")
    sent = read_answer(good, jpeg, reducing).reduced
    assert sent == SentImage(jpeg, 100, 60)
    for size in ([101, 60], [0, 60], ["x", 1], [1], None, [1, True, 3], [1, True]):
        with pytest.raises(ClassifierCrashed):
            read_answer({**good, "size": size}, jpeg, reducing)
    for data in (b"", b"text", jpeg[:-1], jpeg + b"more"):
        with pytest.raises(ClassifierCrashed):
            read_answer(good, data, reducing)


def test_a_reduced_image_that_nobody_asked_for() -> None:
    with pytest.raises(ClassifierCrashed):
        read_answer(answer_of(), b"jpeg", QUESTION)


def test_long_texts_are_cut() -> None:
    long = "x" * 100_000
    prediction = read_one(answer_of([long, long, 0.5], model=long))
    (label,) = prediction.labels
    assert (len(label.id), len(prediction.model)) == (100, 128)
    # Still too long for a tag, so that half a name never becomes one.
    assert len(label.name) == 101


@pytest.mark.parametrize("character", ["\0", "\n", "\x1b", "\ud800", "\u202e"])
def test_characters_that_databases_or_pages_do_not_bear_go(character: str) -> None:
    text = f"a{character}b"
    prediction = read_one(answer_of([text, text, 0.5], model=text))
    assert prediction == Prediction("tensorflow", "a b", (Label("a b", "a b", 0.5),))
    with pytest.raises(TaggingError) as caught:
        read_answer({"error": "TaggingError", "message": text}, b"", QUESTION)
    assert str(caught.value) == "a b"


def test_an_error_keeps_its_class_and_message() -> None:
    with pytest.raises(UnreadableImage) as caught:
        read_answer(
            {"error": "UnreadableImage", "message": "It is empty."}, b"", QUESTION
        )
    assert str(caught.value) == "It is empty."


@pytest.mark.parametrize(
    "name",
    [
        "Exception",
        "SystemExit",
        "AutoTagError",
        "AssetError",
        "ClassVar",
        "",
        "x.y",
        # Errors that only the parent can detect.
        "TaggingError",
        "TaggingOff",
        "TryLater",
        "UnexpectedError",
        "LoaderError",
        "ImageMissing",
        "ClassifierCrashed",
        "ClassifierTimeout",
        "ProviderRefused",
        "ProviderPaused",
        "ProviderRejected",
        "ProviderLimit",
        "ProviderBusy",
        "ProviderUnreachable",
    ],
)
def test_an_error_of_an_unknown_class_is_the_classifiers(name: str) -> None:
    with pytest.raises(TaggingError) as caught:
        read_answer({"error": name, "message": "Something."}, b"", QUESTION)
    assert type(caught.value) is ClassifierError
    assert str(caught.value) == "Something."


def test_a_long_message_is_cut() -> None:
    with pytest.raises(ClassifierError) as caught:
        read_answer({"error": "ClassifierError", "message": "x" * 9999}, b"", QUESTION)
    assert str(caught.value) == "x" * 500
