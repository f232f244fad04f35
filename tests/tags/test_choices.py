from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_autotag.classification.request import classified, question
from flask_autotag.classification.sandbox.question import Answer
from flask_autotag.errors import TaggingOff
from flask_autotag.providers.base import Label, Prediction
from flask_autotag.providers.registry import sections
from flask_autotag.settings.machine import Machine
from flask_autotag.settings.resolution import Settings, read_settings
from flask_autotag.settings.tag_names import tag_name
from flask_autotag.tags.choices import ChosenTag, choose
from flask_autotag.tags.rules import APPLIED, REJECTED

CONFIDENCES = st.floats(0, 1) | st.sampled_from([0.0, 0.25, 0.5, 1.0])
#: Few names, so that providers agree, and some that are no tags.
NAMES = st.sampled_from(
    ["dog", "Dog", "DOG", "cat", "wolf", "fox", "", "\0", "x" * 101]
)
LABELS = st.builds(Label, st.sampled_from(["n1", "n2"]), NAMES, CONFIDENCES)
#: People's decisions, some of them on tags that no label names.
DECIDED = st.dictionaries(
    st.sampled_from(["dog", "cat", "wolf", "bird"]),
    st.sampled_from([APPLIED, REJECTED]),
)
PROVIDERS = ("first", "second")


def predicted(provider: str, labels: list[Label]) -> Prediction:
    return Prediction(provider, f"{provider} 1", tuple(labels))


PREDICTIONS = st.tuples(
    *(
        st.builds(predicted, st.just(provider), st.lists(LABELS, max_size=8))
        for provider in PROVIDERS
    )
)


def make_settings(
    max_tags: int = 0, first: float = 0.5, second: float = 0.5
) -> Settings:
    return Settings(
        {
            "": {
                "enabled": True,
                "max_tags": max_tags,
                "broader_tags": True,
                "suggestion_threshold": 1.0,
                "vocabulary": "open",
            },
            "first": {"confidence_threshold": first},
            "second": {"confidence_threshold": second},
        }
    )


SETTINGS = st.builds(make_settings, st.integers(0, 5), CONFIDENCES, CONFIDENCES)


def make_choice(
    name: str, confidence: float, provider: str = "first", also: tuple[str, ...] = ()
) -> ChosenTag:
    return ChosenTag(
        key=name.lower(),
        name=name,
        concept=f"id of {name}",
        confidence=confidence,
        provider=provider,
        model=f"{provider} 1",
        providers=also or (provider,),
    )


def predict(provider: str = "first", **confidences: float) -> Prediction:
    return predicted(
        provider,
        [Label(f"id of {name}", name, value) for name, value in confidences.items()],
    )


def expected_best(
    predictions: tuple[Prediction, ...], settings: Settings
) -> dict[str, float]:
    """Compute the confidence of each tag in the simplest way."""
    best: dict[str, float] = {}
    for prediction in predictions:
        threshold = settings[prediction.provider]["confidence_threshold"]
        for label in prediction.labels:
            try:
                key = tag_name(label.name).key
            except ValueError:
                continue
            if label.confidence >= threshold:
                best[key] = max(best.get(key, 0.0), label.confidence)
    return best


@given(PREDICTIONS, SETTINGS, DECIDED)
def test_the_rules_hold_for_any_answer(
    predictions: tuple[Prediction, ...], settings: Settings, decided: dict[str, str]
) -> None:
    chosen = choose(predictions, settings, decided=decided)
    by_people = list(decided.values()).count(APPLIED)
    keys = [choice.key for choice in chosen]
    best = {
        key: value
        for key, value in expected_best(predictions, settings).items()
        if key not in decided
    }
    assert len(set(keys)) == len(keys)
    assert not decided.keys() & keys
    for choice in chosen:
        threshold = settings[choice.provider]["confidence_threshold"]
        assert choice.confidence >= threshold
        assert choice.confidence == best[choice.key]
    ranks = [(-choice.confidence, choice.key) for choice in chosen]
    assert ranks == sorted(ranks)
    if settings.max_tags:
        assert len(chosen) == min(len(best), max(0, settings.max_tags - by_people))
    else:
        assert len(chosen) == len(best)
    left_out = [value for key, value in best.items() if key not in keys]
    assert not chosen or all(value <= chosen[-1].confidence for value in left_out)


@given(PREDICTIONS, SETTINGS)
def test_each_choice_is_a_label_that_was_predicted(
    predictions: tuple[Prediction, ...], settings: Settings
) -> None:
    said = {
        (prediction.provider, prediction.model, label.id, label.confidence)
        for prediction in predictions
        for label in prediction.labels
    }
    for choice in choose(predictions, settings):
        source = (choice.provider, choice.model, choice.concept, choice.confidence)
        assert source in said


def test_a_label_becomes_a_tag_at_its_threshold_and_not_below() -> None:
    chosen = choose([predict(dog=0.5, cat=0.4999)], make_settings())
    assert chosen == [make_choice("dog", 0.5)]


def test_each_provider_has_a_threshold_of_its_own() -> None:
    predictions = [predict("first", dog=0.6), predict("second", cat=0.6)]
    chosen = choose(predictions, make_settings(first=0.7, second=0.6))
    assert chosen == [make_choice("cat", 0.6, "second")]


def test_a_provider_that_was_turned_off_meanwhile_does_not_count() -> None:
    settings = make_settings()
    off = Settings(
        {**settings.values, "first": {**settings["first"], "enabled": False}}
    )
    gone = Settings({name: settings[name] for name in ("", "second")})
    predictions = [predict("first", dog=0.9), predict("second", cat=0.6)]
    for left in (off, gone):
        assert [choice.name for choice in choose(predictions, left)] == ["cat"]


def test_a_tag_of_several_providers_keeps_its_best_confidence_and_names_all() -> None:
    predictions = [predict("first", dog=0.6), predict("second", Dog=0.9)]
    assert choose(predictions, make_settings()) == [
        make_choice("Dog", 0.9, "second", also=("second", "first"))
    ]


def test_of_equal_confidences_the_first_provider_counts() -> None:
    predictions = [predict("first", dog=0.6), predict("second", dog=0.6)]
    assert choose(predictions, make_settings()) == [
        make_choice("dog", 0.6, also=("first", "second"))
    ]


def test_the_surest_come_first_and_equals_by_name() -> None:
    chosen = choose([predict(wolf=0.6, cat=0.6, dog=0.7)], make_settings())
    assert [choice.key for choice in chosen] == ["dog", "cat", "wolf"]


def test_the_maximum_keeps_the_surest() -> None:
    chosen = choose([predict(wolf=0.6, cat=0.8, dog=0.7)], make_settings(max_tags=2))
    assert [choice.key for choice in chosen] == ["cat", "dog"]


def test_tags_of_people_count_towards_the_maximum() -> None:
    predictions, settings = [predict(cat=0.8, dog=0.7)], make_settings(max_tags=2)
    one = choose(predictions, settings, decided={"rex": APPLIED, "wolf": REJECTED})
    assert [choice.key for choice in one] == ["cat"]
    for names in ("ab", "abcdefg"):
        decided = dict.fromkeys(names, APPLIED)
        assert choose(predictions, settings, decided=decided) == []


def test_without_a_maximum_tags_of_people_take_no_room() -> None:
    decided = dict.fromkeys("abcdefghij", APPLIED)
    chosen = choose([predict(cat=0.8)], make_settings(), decided=decided)
    assert [choice.key for choice in chosen] == ["cat"]


def test_what_a_person_decided_makes_room_for_the_next() -> None:
    chosen = choose(
        [predict(wolf=0.9, dog=0.7)],
        make_settings(max_tags=1),
        decided={"wolf": REJECTED},
    )
    assert [choice.key for choice in chosen] == ["dog"]


def test_a_label_that_can_be_no_tag_is_left_out_and_the_others_stay() -> None:
    labels = [Label("1", "\0", 0.9), Label("2", "x" * 101, 0.9), Label("3", "dog", 0.8)]
    chosen = choose([predicted("first", labels)], make_settings())
    assert [choice.name for choice in chosen] == ["dog"]


def test_nothing_predicted_gives_no_tags() -> None:
    assert choose([], make_settings()) == []
    assert choose([predict()], make_settings(first=0.0)) == []


def test_the_answer_is_stored_with_the_hash_of_the_file() -> None:
    asked = question(b"an image", read_settings(sections(), {}), Machine("/models"))
    found = classified(asked, Answer([predict(dog=0.9)]))
    assert found.predictions == [predict(dog=0.9)]
    assert found.sha256 == hashlib.sha256(b"an image").hexdigest()
    assert (asked.data, asked.machine.model_dir) == (b"an image", "/models")
    assert [provider.name for provider in asked.providers] == ["tensorflow"]
    assert asked.reduce_to is None


def test_for_providers_elsewhere_the_image_is_reduced() -> None:
    settings = read_settings(
        sections(), {"AUTOTAG_GOOGLE_ENABLED": 1, "AUTOTAG_TENSORFLOW_ENABLED": 0}
    )
    asked = question(b"an image", settings, Machine())
    assert (asked.providers, asked.reduce_to) == ([], 1024)


@pytest.mark.parametrize("key", ["AUTOTAG_ENABLED", "AUTOTAG_TENSORFLOW_ENABLED"])
def test_nobody_is_asked_when_tagging_or_every_provider_is_off(key: str) -> None:
    with pytest.raises(TaggingOff) as caught:
        question(b"an image", read_settings(sections(), {key: False}), Machine())
    assert str(caught.value) == "Auto tagging is turned off."
