from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_autotag import AssetRef
from flask_autotag.settings.stored_words import change_words
from flask_autotag.settings.tag_names import TagName
from flask_autotag.tags.threshold_proposals import (
    Cutoff,
    ThresholdProposal,
    find_cutoff,
    propose_thresholds,
)

from ..hosts import Host, store_labels

CONFIDENCES = st.lists(
    st.integers(0, 10_000).map(lambda digits: digits / 10_000), max_size=30
)
#: As they are typed, with two digits, or more.
THRESHOLDS = st.integers(0, 1000).map(lambda digits: digits / 1000)


def cut_of(rejected: list[float], kept: list[float], present: float) -> Cutoff | None:
    return find_cutoff(Counter(rejected), Counter(kept), present)


def applied(confidences: list[float], threshold: float) -> int:
    """Count the confidences that reach the threshold."""
    return sum(confidence >= threshold for confidence in confidences)


@given(CONFIDENCES, CONFIDENCES, THRESHOLDS)
def test_the_figures_are_what_applying_it_gives(
    rejected: list[float], kept: list[float], present: float
) -> None:
    cut = cut_of(rejected, kept, present)
    if cut is None:
        return
    if cut.threshold is None:
        assert (cut.avoided, cut.lost) == (len(rejected), len(kept))
        return
    for labels, figure in ((rejected, cut.avoided), (kept, cut.lost)):
        assert applied(labels, present) - applied(labels, cut.threshold) == figure


@given(CONFIDENCES, CONFIDENCES, THRESHOLDS)
def test_a_threshold_is_above_the_present_one_and_of_two_digits(
    rejected: list[float], kept: list[float], present: float
) -> None:
    cut = cut_of(rejected, kept, present)
    if cut is not None and cut.threshold is not None:
        assert present < cut.threshold <= 1
        assert cut.threshold == round(cut.threshold, 2)


@given(CONFIDENCES, THRESHOLDS)
def test_nothing_rejected_teaches_nothing(kept: list[float], present: float) -> None:
    assert cut_of([], kept, present) is None


@given(CONFIDENCES, CONFIDENCES, THRESHOLDS)
def test_no_other_threshold_gains_more(
    rejected: list[float], kept: list[float], present: float
) -> None:
    cut = cut_of(rejected, kept, present)
    gain = cut.gain if cut else 0
    assert cut is None or gain > 0
    assert len(rejected) - len(kept) <= gain
    for step in range(101):
        if (threshold := step / 100) > present:
            avoided = applied(rejected, present) - applied(rejected, threshold)
            lost = applied(kept, present) - applied(kept, threshold)
            assert avoided - lost <= gain


@pytest.mark.parametrize(
    ("rejected", "kept", "cut"),
    [
        ([0.55, 0.6], [0.9], Cutoff(0.61, 2, 0)),
        ([0.57], [0.58, 0.9], Cutoff(0.58, 1, 0)),
        ([0.6, 0.8], [0.7, 0.7, 0.9], Cutoff(0.61, 1, 0)),
        ([0.9, 0.95], [], Cutoff(None, 2, 0)),
        ([0.9, 0.95], [0.6], Cutoff(None, 2, 1)),
        ([1.0, 1.0], [1.0], Cutoff(None, 2, 1)),
        ([0.7], [0.6], None),
        # Only a block affects labels below the threshold.
        ([0.3, 0.3], [0.9], Cutoff(None, 2, 1)),
        ([0.3], [0.9], None),
    ],
)
def test_examples(rejected: list[float], kept: list[float], cut: Cutoff | None) -> None:
    assert cut_of(rejected, kept, 0.5) == cut


class TestOfAnInstance:
    """Proposals from stored rejections, on each database."""

    def decide(self, host: Host, labels: list[tuple[float, str]]) -> None:
        """Store "wolf" on an image for each confidence, and people's decisions."""
        for number, (confidence, decision) in enumerate(labels):
            asset = AssetRef("photo", str(number))
            store_labels(host, asset, [("Wolf", confidence)], "shop")
            if decision == "rejected":
                host.autotag.reject_tag(asset, "wolf", instance="shop")
            elif decision == "accepted":
                host.autotag.accept_tag(asset, "wolf", instance="shop")

    def proposals(self, host: Host, instance: str = "shop") -> list[ThresholdProposal]:
        state = host.autotag.state_of(host.app)
        settings = state.settings_for(instance)
        with state.database.begin() as session:
            return propose_thresholds(session, host.models, instance, settings)

    def change(self, host: Host, **decided: object) -> None:
        state, wolf = host.autotag.state_of(host.app), TagName("wolf", "Wolf")
        with state.database.begin() as session:
            change_words(session, host.models, "shop", {wolf: decided}, "ada")

    LABELS = [
        *[(0.6 + digit / 100, "rejected") for digit in range(6)],
        (0.62, "accepted"),
        *[(0.9, "standing")] * 3,
    ]

    def test_a_threshold(self, any_host: Host) -> None:
        with any_host.app.app_context():
            self.decide(any_host, self.LABELS)
            wolf = TagName("wolf", "Wolf")
            assert self.proposals(any_host) == [
                ThresholdProposal(wolf, Cutoff(0.66, 6, 1), 6, 4)
            ]
            assert self.proposals(any_host, "news") == []

    def test_what_was_done_is_not_proposed_again(self, host: Host) -> None:
        with host.app.app_context():
            self.decide(host, self.LABELS)
            self.change(host, threshold=0.66)
            assert self.proposals(host) == []
            self.change(host, threshold=None, blocked=True)
            assert self.proposals(host) == []
            self.change(host, blocked=None, becomes="dog")
            assert self.proposals(host) == []

    def test_few_rejections_teach_nothing(self, host: Host) -> None:
        with host.app.app_context():
            self.decide(host, [(0.6, "rejected")] * 4)
            assert self.proposals(host) == []
            self.decide(host, [(0.6, "rejected")] * 5)
            assert len(self.proposals(host)) == 1
            self.decide(host, [(0.6, "rejected")] * 5 + [(0.9, "standing")] * 20)
            assert len(self.proposals(host)) == 1
            self.decide(host, [(0.6, "rejected")] * 5 + [(0.9, "standing")] * 21)
            assert self.proposals(host) == []

    def test_what_only_people_added_does_not_count(self, host: Host) -> None:
        with host.app.app_context():
            for number in range(6):
                asset = AssetRef("photo", str(number))
                host.autotag.reject_tag(asset, "wolf", instance="shop")
            assert self.proposals(host) == []
