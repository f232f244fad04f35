"""The outcome of each label, rule by rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_autotag.providers.base import DETECTED, DOUBTFUL, Label, Prediction
from flask_autotag.providers.concept_hierarchy import hierarchy
from flask_autotag.settings.resolution import Settings
from flask_autotag.settings.tag_names import tag_name
from flask_autotag.settings.vocabulary import Vocabulary, WordRule
from flask_autotag.tags.explanation import reason
from flask_autotag.tags.rules import APPLIED, REJECTED, SUGGESTED, Outcome, evaluate

#: Broader concepts, each below the next: hound, dog, mammal, animal.
HOUND, DOG, MAMMAL, ANIMAL = "n02087551", "n02084071", "n01861778", "n00015388"
CAT = "n02121808"
BEAGLE = "n02088364"
NAMES = {HOUND: "hound", DOG: "dog", MAMMAL: "mammal", ANIMAL: "animal", CAT: "cat"}

CONFIDENCES = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0])


def make_settings(
    words: Mapping[str, WordRule] | None = None, **general: Any
) -> Settings:
    provider = MappingProxyType({"enabled": True, "confidence_threshold": 0.5})
    return Settings(
        {
            "": {
                "enabled": True,
                "max_tags": 0,
                "broader_tags": True,
                "suggestion_threshold": 1.0,
                "vocabulary": "open",
                **general,
            },
            "tensorflow": provider,
            "google": {**provider, "confidence_threshold": 0.8},
            "microsoft": {**provider, "enabled": False},
        },
        vocabulary=Vocabulary(words or {}),
    )


def said(provider: str = "tensorflow", **confidences: float) -> Prediction:
    labels = [Label(name, name, value) for name, value in confidences.items()]
    return Prediction(provider, f"{provider} 1", tuple(labels))


def concepts(**confidences: float) -> Prediction:
    """Return labels: broader concepts by their names, and classes such as "beagle"."""
    ids = {"beagle": BEAGLE, **{name: concept for concept, name in NAMES.items()}}
    labels = [
        Label(ids.get(name, name), name, value) for name, value in confidences.items()
    ]
    return Prediction("tensorflow", "tensorflow 1", tuple(labels))


def outcomes(
    *predictions: Prediction,
    settings: Settings | None = None,
    decided: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Outcome]:
    verdicts = evaluate(predictions, settings or make_settings(), decided=decided)
    return {
        f"{verdict.label.name} {verdict.provider}".removesuffix(" tensorflow"): (
            verdict.outcome
        )
        for verdict in verdicts
    }


def test_the_threshold_of_its_provider_decides() -> None:
    assert outcomes(said(dog=0.5, cat=0.49), said("google", fox=0.79)) == {
        "dog": Outcome.APPLIED,
        "cat": Outcome.BELOW,
        "fox google": Outcome.BELOW,
    }


def test_below_the_threshold_is_a_suggestion_if_it_reaches_that_one() -> None:
    settings = make_settings(suggestion_threshold=0.2)
    found = outcomes(said(dog=0.5, cat=0.2, wolf=0.19), settings=settings)
    assert found == {
        "dog": Outcome.APPLIED,
        "cat": Outcome.SUGGESTED,
        "wolf": Outcome.BELOW,
    }


def doubted(**confidences: float) -> Prediction:
    prediction = said(**confidences)
    labels = tuple(replace(label, part=DOUBTFUL) for label in prediction.labels)
    return replace(prediction, labels=labels)


def test_a_doubtful_label_gives_no_tag() -> None:
    assert outcomes(doubted(worm=0.9, snake=1.0, eel=0.4)) == {
        "worm": Outcome.DOUBTFUL,
        "snake": Outcome.DOUBTFUL,
        "eel": Outcome.BELOW,
    }


def test_a_doubtful_label_is_suggested_at_most() -> None:
    settings = make_settings(suggestion_threshold=0.2)
    verdicts = evaluate([doubted(worm=0.9, snake=1.0, eel=0.4)], settings)
    assert {verdict.outcome for verdict in verdicts} == {Outcome.SUGGESTED}
    assert [reason(verdict, settings) for verdict in verdicts] == [
        "0.90, but doubtful for this kind of image; suggested for review",
        "1.00, but doubtful for this kind of image; suggested for review",
        "0.40, below 0.50; suggested for review",
    ]


@pytest.mark.parametrize(
    "words",
    [
        {"worm": WordRule(listed=True)},
        {"worm": WordRule(threshold=0.5)},
        {"worm": WordRule(becomes="grub"), "grub": WordRule(listed=True)},
        {"worm": WordRule(becomes="grub"), "grub": WordRule(threshold=0.6)},
    ],
)
def test_a_doubtful_word_that_is_listed_or_has_a_threshold_is_allowed(
    words: dict[str, WordRule],
) -> None:
    found = outcomes(doubted(worm=0.9, eel=0.9), settings=make_settings(words))
    assert found == {"worm": Outcome.APPLIED, "eel": Outcome.DOUBTFUL}


def test_a_doubtful_label_beside_another_of_its_tag() -> None:
    settings = make_settings(suggestion_threshold=0.2)
    assert outcomes(doubted(worm=0.9), said("google", worm=0.8), settings=settings) == {
        "worm": Outcome.DOUBTFUL,
        "worm google": Outcome.APPLIED,
    }


def test_no_suggestions_by_default() -> None:
    assert outcomes(said(dog=0.4999)) == {"dog": Outcome.BELOW}


def test_a_tag_that_applies_is_not_suggested_by_another_provider() -> None:
    settings = make_settings(suggestion_threshold=0.2)
    found = outcomes(said(dog=0.9), said("google", dog=0.3), settings=settings)
    assert found == {"dog": Outcome.APPLIED, "dog google": Outcome.BELOW}


def test_of_several_the_surest_counts_and_the_others_say_it_too() -> None:
    assert outcomes(said(dog=0.7), said("google", dog=0.9)) == {
        "dog": Outcome.ELSEWHERE,
        "dog google": Outcome.APPLIED,
    }


def test_a_provider_that_is_off_or_gone_says_nothing() -> None:
    found = outcomes(said("microsoft", dog=1.0), said("unknown", cat=1.0))
    assert found == {"dog microsoft": Outcome.OFF, "cat unknown": Outcome.OFF}


def test_what_can_be_no_tag_is_told() -> None:
    prediction = Prediction("tensorflow", "1", (Label("1", "x" * 101, 0.9),))
    [verdict] = evaluate([prediction], make_settings())
    assert (verdict.outcome, verdict.name) == (Outcome.NO_TAG, None)


class TestWords:
    def test_a_blocked_word_is_never_applied(self) -> None:
        settings = make_settings({"dog": WordRule(blocked=True)})
        assert outcomes(said(Dog=1.0), settings=settings) == {"Dog": Outcome.BLOCKED}

    def test_a_word_that_becomes_a_blocked_one_is_blocked_too(self) -> None:
        words = {"hound": WordRule(becomes="dog"), "dog": WordRule(blocked=True)}
        found = outcomes(said(hound=1.0), settings=make_settings(words))
        assert found == {"hound": Outcome.BLOCKED}

    def test_a_word_is_called_as_it_becomes(self) -> None:
        settings = make_settings({"hound": WordRule(becomes="Good Dog")})
        [verdict] = evaluate([said(hound=0.9)], settings)
        assert verdict.name is not None
        assert (verdict.name.key, verdict.name.name) == ("good dog", "Good Dog")
        assert verdict.label.name == "hound"

    def test_aliases_are_one_tag(self) -> None:
        words = {"hound": WordRule(becomes="dog"), "puppy": WordRule(becomes="dog")}
        found = outcomes(
            said(hound=0.6, puppy=0.9, dog=0.7), settings=make_settings(words)
        )
        assert found == {
            "hound": Outcome.ELSEWHERE,
            "puppy": Outcome.APPLIED,
            "dog": Outcome.ELSEWHERE,
        }

    def test_where_only_listed_words_are_tags_the_others_are_none(self) -> None:
        words = {"hound": WordRule(becomes="dog"), "dog": WordRule(listed=True)}
        settings = make_settings(words, vocabulary="listed")
        assert outcomes(said(hound=0.9, cat=0.9), settings=settings) == {
            "hound": Outcome.APPLIED,
            "cat": Outcome.UNLISTED,
        }

    @pytest.mark.parametrize(
        ("words", "outcome"),
        [
            ({"hound": WordRule(threshold=0.95)}, Outcome.BELOW),
            ({"hound": WordRule(threshold=0.3)}, Outcome.APPLIED),
            ({"dog": WordRule(threshold=0.3)}, Outcome.APPLIED),
            (
                {"hound": WordRule(threshold=0.95), "dog": WordRule(threshold=0.1)},
                Outcome.BELOW,
            ),
        ],
    )
    def test_a_threshold_of_its_own_counts_before_its_tags_and_the_providers(
        self, words: dict[str, WordRule], outcome: Outcome
    ) -> None:
        hound = words.get("hound", WordRule())
        words = {**words, "hound": replace(hound, becomes="dog")}
        found = outcomes(said(hound=0.4), settings=make_settings(words))
        assert found == {"hound": outcome}


class TestPeople:
    def test_what_they_decided_is_left_to_them(self) -> None:
        decided = {"dog": REJECTED, "cat": APPLIED}
        assert outcomes(said(dog=1.0, cat=0.1), decided=decided) == {
            "dog": Outcome.REJECTED,
            "cat": Outcome.ADDED,
        }

    def test_what_they_rejected_does_not_come_back_under_another_name(self) -> None:
        settings = make_settings({"hound": WordRule(becomes="dog")})
        found = outcomes(said(hound=1.0), settings=settings, decided={"dog": REJECTED})
        assert found == {"hound": Outcome.REJECTED}

    def test_what_they_added_counts_towards_the_maximum_first(self) -> None:
        found = outcomes(
            said(dog=0.9, cat=0.8),
            settings=make_settings(max_tags=2),
            decided={"rex": APPLIED, "wolf": REJECTED},
        )
        assert found == {"dog": Outcome.APPLIED, "cat": Outcome.OVER}


class TestBroaderTags:
    def test_beside_a_class_its_broader_tag_applies(self) -> None:
        assert outcomes(concepts(dog=0.9, beagle=0.7)) == {
            "dog": Outcome.APPLIED,
            "beagle": Outcome.APPLIED,
        }

    def test_beside_a_narrower_broader_tag_it_does_not(self) -> None:
        found = outcomes(concepts(animal=0.99, mammal=0.98, dog=0.9, hound=0.4))
        assert found == {
            "animal": Outcome.NARROWER,
            "mammal": Outcome.NARROWER,
            "dog": Outcome.APPLIED,
            "hound": Outcome.BELOW,
        }

    def test_two_that_are_not_one_above_the_other_both_apply(self) -> None:
        found = outcomes(concepts(animal=1.0, dog=0.6, cat=0.6))
        assert [name for name, each in found.items() if each is Outcome.APPLIED] == [
            "dog",
            "cat",
        ]

    def test_a_suggestion_hides_broader_suggestions_but_no_tag(self) -> None:
        settings = make_settings(suggestion_threshold=0.2)
        found = outcomes(concepts(mammal=0.6, dog=0.4, hound=0.3), settings=settings)
        assert found == {
            "mammal": Outcome.APPLIED,
            "dog": Outcome.NARROWER,
            "hound": Outcome.SUGGESTED,
        }

    def test_what_a_person_added_hides_what_is_broader(self) -> None:
        found = outcomes(concepts(animal=0.9, dog=0.9), decided={"dog": APPLIED})
        assert found == {"animal": Outcome.NARROWER, "dog": Outcome.ADDED}

    def test_where_the_narrower_one_may_not_apply_the_broader_does(self) -> None:
        settings = make_settings({"dog": WordRule(blocked=True)})
        found = outcomes(concepts(animal=0.9, dog=0.9), settings=settings)
        assert found == {"animal": Outcome.APPLIED, "dog": Outcome.BLOCKED}
        found = outcomes(concepts(animal=0.9, dog=0.9), decided={"dog": REJECTED})
        assert found == {"animal": Outcome.APPLIED, "dog": Outcome.REJECTED}

    def test_under_a_maximum_the_class_goes_first(self) -> None:
        settings = make_settings(max_tags=1)
        found = outcomes(concepts(dog=0.9, beagle=0.7), settings=settings)
        assert found == {"dog": Outcome.OVER, "beagle": Outcome.APPLIED}
        # Its confidence need not exceed that of all classes.
        settings = make_settings(max_tags=2)
        found = outcomes(concepts(dog=0.9, beagle=0.7, wolf=0.6), settings=settings)
        assert found == {
            "dog": Outcome.APPLIED,
            "beagle": Outcome.APPLIED,
            "wolf": Outcome.OVER,
        }

    def test_under_a_maximum_a_broader_tag_stands_for_unsure_classes(self) -> None:
        settings = make_settings(max_tags=1)
        found = outcomes(concepts(dog=0.9, beagle=0.4), settings=settings)
        assert found == {"dog": Outcome.APPLIED, "beagle": Outcome.BELOW}

    def test_a_surer_broader_tag_goes_before_an_unsure_class(self) -> None:
        settings = make_settings(
            {name: WordRule(threshold=0.1) for name in ("cat", "beagle")}, max_tags=1
        )
        found = outcomes(concepts(cat=0.41, beagle=0.22), settings=settings)
        assert found == {"cat": Outcome.APPLIED, "beagle": Outcome.OVER}
        found = outcomes(concepts(cat=0.8, beagle=0.5), settings=settings)
        assert found == {"cat": Outcome.OVER, "beagle": Outcome.APPLIED}

    def test_one_merged_into_the_one_above_it_hides_only_what_is_above_both(
        self,
    ) -> None:
        labels = concepts(animal=0.99, mammal=0.98, dog=0.9, hound=0.8)
        settings = make_settings({"hound": WordRule(becomes="dog")})
        assert outcomes(labels, settings=settings) == {
            "animal": Outcome.NARROWER,
            "mammal": Outcome.NARROWER,
            "dog": Outcome.APPLIED,
            "hound": Outcome.ELSEWHERE,
        }

    def test_several_merged_into_one_above_them_keep_it(self) -> None:
        labels = concepts(animal=0.99, mammal=0.98, dog=0.9, hound=0.8)
        words = {name: WordRule(becomes="animal") for name in ("mammal", "dog")}
        settings = make_settings({**words, "hound": WordRule(becomes="animal")})
        assert outcomes(labels, settings=settings) == {
            "animal": Outcome.APPLIED,
            "mammal": Outcome.ELSEWHERE,
            "dog": Outcome.ELSEWHERE,
            "hound": Outcome.ELSEWHERE,
        }

    def test_one_merged_into_a_far_one_leaves_the_ones_between(self) -> None:
        settings = make_settings({"hound": WordRule(becomes="animal")})
        labels = concepts(animal=0.99, mammal=0.98, dog=0.9, hound=0.8)
        assert outcomes(labels, settings=settings) == {
            "animal": Outcome.NARROWER,
            "mammal": Outcome.NARROWER,
            "dog": Outcome.APPLIED,
            "hound": Outcome.ELSEWHERE,
        }

    def test_none_loses_its_tag_when_one_below_is_merged_into_it(self) -> None:
        known = hierarchy()
        for below, name in known.names.items():
            for above in known.above(below):
                into = known.names[above]
                settings = make_settings({tag_name(name).key: WordRule(becomes=into)})
                labels = [Label(above, into, 0.9), Label(below, name, 0.8)]
                verdicts = evaluate(
                    [Prediction("tensorflow", "1", tuple(labels))], settings
                )
                assert [each.outcome for each in verdicts] == [
                    Outcome.APPLIED,
                    Outcome.ELSEWHERE,
                ], (name, into)

    def test_they_can_be_turned_off(self) -> None:
        settings = make_settings(broader_tags=False)
        assert outcomes(concepts(dog=0.9, beagle=0.7), settings=settings) == {
            "dog": Outcome.BROADER_OFF,
            "beagle": Outcome.APPLIED,
        }

    def test_the_concepts_are_those_of_the_package(self) -> None:
        assert {one: hierarchy().names[one] for one in NAMES} == NAMES


LABELS = st.builds(
    Label,
    st.sampled_from([HOUND, DOG, ANIMAL, CAT, BEAGLE, "/m/1"]),
    st.sampled_from(["dog", "hound", "Dog", "animal", "cat", "\0"]),
    CONFIDENCES,
)
WORDS = st.dictionaries(
    st.sampled_from(["dog", "hound", "animal"]),
    st.builds(
        WordRule,
        becomes=st.sampled_from([None, "beast", "Dog"]),
        blocked=st.sampled_from([None, True, False]),
        listed=st.sampled_from([None, True]),
        threshold=st.none() | CONFIDENCES,
    ),
)
SETTINGS = st.builds(
    make_settings,
    WORDS,
    max_tags=st.integers(0, 3),
    broader_tags=st.booleans(),
    suggestion_threshold=CONFIDENCES,
    vocabulary=st.sampled_from(["open", "listed"]),
)
PREDICTIONS = st.lists(
    st.builds(
        lambda provider, labels: Prediction(provider, "1", tuple(labels)),
        st.sampled_from(["tensorflow", "google", "microsoft"]),
        st.lists(LABELS, max_size=6),
    ),
    max_size=3,
    unique_by=lambda prediction: prediction.provider,
)
DECIDED = st.dictionaries(
    st.sampled_from(["dog", "hound", "beast", "rex"]),
    st.sampled_from([APPLIED, REJECTED]),
)


@given(PREDICTIONS, SETTINGS, DECIDED)
def test_the_rules_hold_for_any_labels_words_and_decisions(
    predictions: list[Prediction], settings: Settings, decided: dict[str, str]
) -> None:
    verdicts = evaluate(predictions, settings, decided=decided)
    assert [verdict.label for verdict in verdicts] == [
        label for prediction in predictions for label in prediction.labels
    ]
    applied = [each for each in verdicts if each.outcome is Outcome.APPLIED]
    suggested = [each for each in verdicts if each.outcome is Outcome.SUGGESTED]
    keys = [each.name.key for each in applied + suggested if each.name]
    assert len(keys) == len(set(keys)) == len(applied + suggested)
    assert not set(keys) & decided.keys()
    vocabulary = settings.vocabulary
    for verdict in applied + suggested:
        assert verdict.name is not None
        assert not vocabulary.is_blocked(verdict.name.key)
        if settings.listed_only:
            assert vocabulary.is_listed(verdict.name.key)
        assert settings[verdict.provider]["enabled"]
    assert all(each.label.confidence >= each.threshold for each in applied)
    for verdict in suggested:
        confidence = verdict.label.confidence
        assert settings.suggestion_threshold <= confidence < verdict.threshold
    by_people = list(decided.values()).count(APPLIED)
    if settings.max_tags:
        assert len(applied) <= max(0, settings.max_tags - by_people)
    known = hierarchy()
    broader = {each.label.id for each in applied} & known.names.keys()
    assert not any(one in known.above(other) for one in broader for other in broader)
    for verdict in verdicts:
        assert reason(verdict, settings)


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        (Outcome.APPLIED, "0.31, reaches 0.50"),
        (Outcome.SUGGESTED, "0.31, below 0.50; suggested for review"),
        (Outcome.ELSEWHERE, "0.31, another label for this tag scores higher"),
        (Outcome.BELOW, "0.31, below 0.50"),
        (Outcome.DOUBTFUL, "0.31, but doubtful for this kind of image"),
        (Outcome.OVER, "over the maximum of 10"),
        (Outcome.NARROWER, "a more specific tag applies"),
        (Outcome.BLOCKED, "blocked"),
        (Outcome.UNLISTED, "not a listed word"),
        (Outcome.ADDED, "added by a person"),
        (Outcome.REJECTED, "rejected by a person"),
        (Outcome.BROADER_OFF, "broader tags are off"),
        (Outcome.OFF, "the provider is off"),
        (Outcome.NO_TAG, "not a valid tag name"),
    ],
)
def test_each_outcome_has_its_words(outcome: Outcome, sentence: str) -> None:
    [verdict] = evaluate([said(dog=0.31)], make_settings(max_tags=10))
    assert verdict.threshold == 0.5
    made = reason(replace(verdict, outcome=outcome), make_settings(max_tags=10))
    assert made == sentence
    assert Outcome.SUGGESTED.value == SUGGESTED


def test_a_label_below_the_threshold_makes_no_tag_broader() -> None:
    labels = (
        Label(HOUND, "hound", 0.9),
        Label(DOG, "dog", 0.9),
        Label(DOG, "hound", 0.1),
    )
    said = Prediction("tensorflow", "1", labels)
    outcomes = [each.outcome for each in evaluate([said], make_settings())]
    assert outcomes == [Outcome.APPLIED, Outcome.NARROWER, Outcome.BELOW]


class TestDetectedLabels:
    """Labels of a detector are judged by themselves, like general ones."""

    dog = Label(DOG, "dog", 0.6, DETECTED)

    def test_they_apply_where_broader_tags_are_off(self) -> None:
        settings = make_settings(broader_tags=False)
        said = Prediction("tensorflow", "1", (self.dog,))
        [verdict] = evaluate([said], settings)
        assert verdict.outcome is Outcome.APPLIED

    def test_they_hide_what_is_broader(self) -> None:
        animal = Label(ANIMAL, "animal", 0.9)
        said = Prediction("tensorflow", "1", (animal, self.dog))
        found = [each.outcome for each in evaluate([said], make_settings())]
        assert found == [Outcome.NARROWER, Outcome.APPLIED]

    def test_they_do_not_put_broader_tags_last(self) -> None:
        """Only a class that is surer than all others together does."""
        food = Label("n00021265", "food", 0.9)
        said = Prediction("tensorflow", "1", (food, self.dog))
        verdicts = evaluate([said], make_settings(max_tags=1))
        assert [each.outcome for each in verdicts] == [Outcome.APPLIED, Outcome.OVER]
