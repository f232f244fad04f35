from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from flask_autotag.classification.decode import decode
from flask_autotag.errors import ModelError
from flask_autotag.providers.base import LEAST_CONFIDENCE, MOST_LABELS, Label
from flask_autotag.providers.concept_hierarchy import groups, hierarchy
from flask_autotag.providers.tensorflow import model_file
from flask_autotag.providers.tensorflow.open_model import activate
from flask_autotag.providers.tensorflow.outputs import Outputs
from flask_autotag.providers.tensorflow.provider import (
    DEFAULT_MODEL,
    TensorFlowProvider,
)
from flask_autotag.settings.machine import Machine

from ...hosts import ESPRESSO
from .models import NETWORK, make_model, sha256

PHOTOS = Path(__file__).parents[4] / "shared" / "photos"
WHITE = Image.new("RGB", (300, 256), "white")

BUNDLED = model_file.find(DEFAULT_MODEL, None)
CLASSES = BUNDLED.labels
NAMES = dict(CLASSES)


@pytest.fixture(scope="module")
def provider() -> TensorFlowProvider:
    return TensorFlowProvider()


@pytest.fixture(scope="module")
def answers(provider: TensorFlowProvider) -> list[tuple[str, list[Label]]]:
    """Return the name of each photo's class, and the model's labels."""
    if not PHOTOS.is_dir():
        pytest.skip("the labelled photos are not here")
    with (PHOTOS / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        (
            NAMES[row["wordnet_id"]],
            provider.classify(
                [decode((PHOTOS / row["file"]).read_bytes(), provider.side)]
            )[0],
        )
        for row in rows
    ]


def of_classes(labels: list[Label]) -> list[Label]:
    """Leave the broader labels out."""
    return [label for label in labels if label.id in NAMES]


def share_found(answers: list[tuple[str, list[Label]]], among: int) -> float:
    found = [
        name in [label.name for label in of_classes(labels)[:among]]
        for name, labels in answers
    ]
    return sum(found) / len(found)


class TestBundledModel:
    def test_it_names_photos_as_well_as_the_network_it_was_made_of(
        self, answers: list[tuple[str, list[Label]]]
    ) -> None:
        assert len(answers) >= 100
        assert share_found(answers, 1) >= 0.85
        assert share_found(answers, 5) >= 0.95

    def test_it_is_seldom_wrong_when_it_is_sure(
        self, answers: list[tuple[str, list[Label]]]
    ) -> None:
        sure = [
            label.name == name
            for name, labels in answers
            for label in of_classes(labels)[:1]
            if label.confidence >= 0.5
        ]
        assert len(sure) >= len(answers) / 2
        assert sum(sure) / len(sure) >= 0.9

    def test_its_answers_are_confidences_surest_first(
        self, answers: list[tuple[str, list[Label]]]
    ) -> None:
        for _, labels in answers:
            check_labels(labels)

    def test_it_knows_a_cup_of_espresso(self, provider: TensorFlowProvider) -> None:
        (labels,) = provider.classify([decode(ESPRESSO.read_bytes(), provider.side)])
        assert [(label.id, label.name) for label in labels[:2]] == [
            ("n07881800", "drink"),
            ("n07920052", "espresso"),
        ]

    def test_its_id_is_that_of_its_name(self, provider: TensorFlowProvider) -> None:
        names = {**hierarchy().names, **NAMES}
        (labels,) = provider.classify([WHITE])
        assert labels
        assert all(names[label.id] == label.name for label in labels)


def labels_of(provider: TensorFlowProvider, logits: Any) -> list[Label]:
    """Return the labels of the classes and broader concepts for an output."""
    return provider._labels(Outputs(logits[np.newaxis]), WHITE)


def check_labels(labels: list[Label]) -> None:
    confidences = [label.confidence for label in labels]
    assert confidences == sorted(confidences, reverse=True)
    assert all(LEAST_CONFIDENCE <= value <= 1 for value in confidences)
    assert len({label.id for label in labels}) == len(labels)
    classes = of_classes(labels)
    assert sum(label.confidence for label in classes) <= 1 + 1e-4
    assert len({label.name for label in classes}) == len(classes) <= MOST_LABELS


def test_nothing_is_read_of_the_network_before_the_first_image(tmp_path: Path) -> None:
    folder = make_model(tmp_path)
    (folder / NETWORK).unlink()
    provider = TensorFlowProvider("other", str(tmp_path))
    assert provider.model == "other 2"
    assert provider.side == 256
    with pytest.raises(ModelError):
        provider.classify([WHITE])


def test_images_are_classified_each_for_itself(provider: TensorFlowProvider) -> None:
    images = [WHITE, Image.new("RGB", (256, 256), "black"), WHITE]
    first, second, third = provider.classify(images)
    assert first == third != second
    assert provider.classify([]) == []


def test_several_threads_give_the_same_answer(provider: TensorFlowProvider) -> None:
    image = Image.radial_gradient("L").convert("RGB")
    one = provider.classify([image])[0]
    two = TensorFlowProvider(threads=2).classify([image])[0]
    assert [label.id for label in one] == [label.id for label in two]


@pytest.mark.parametrize("size", [(1, 1), (1, 65535), (65535, 1), (224, 224), (3, 900)])
def test_images_of_any_shape_are_classified(
    provider: TensorFlowProvider, size: tuple[int, int]
) -> None:
    (labels,) = provider.classify([Image.new("RGB", size, "green")])
    check_labels(labels)


@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0, 200))
def test_any_logits_give_confidences(
    provider: TensorFlowProvider, seed: int, scale: float
) -> None:
    logits = np.random.default_rng(seed).normal(0, scale, 1000).astype(np.float32)
    check_labels(labels_of(provider, logits))


def test_equal_logits_are_equally_unlikely(provider: TensorFlowProvider) -> None:
    labels = labels_of(provider, np.zeros(1000, np.float32))
    assert of_classes(labels) == []
    assert [label.name for label in labels[:3]] == ["animal", "mammal", "dog"]


class TestBroaderLabels:
    @given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0, 20))
    def test_each_has_the_sum_of_its_classes(
        self, provider: TensorFlowProvider, seed: int, scale: float
    ) -> None:
        logits = np.random.default_rng(seed).normal(0, scale, 1000).astype(np.float32)
        shares = activate(BUNDLED, logits)
        expected = {
            concept: min(1.0, sum(shares[place] for place in places))
            for concept, places in groups([each for each, _ in CLASSES]).items()
        }
        found = {label.id: label.confidence for label in labels_of(provider, logits)}
        for concept, confidence in expected.items():
            if confidence >= LEAST_CONFIDENCE + 1e-9:
                assert math.isclose(found[concept], confidence, rel_tol=1e-9)
            elif confidence < LEAST_CONFIDENCE - 1e-9:
                assert concept not in found

    def test_they_do_not_push_classes_out(self, provider: TensorFlowProvider) -> None:
        logits = np.zeros(1000, np.float32)
        logits[:MOST_LABELS] = 50
        labels = labels_of(provider, logits)
        assert len(of_classes(labels)) == MOST_LABELS
        assert len(labels) > MOST_LABELS

    def test_of_classes_that_exclude_nothing_the_surest_counts(
        self, tmp_path: Path
    ) -> None:
        make_model(
            tmp_path,
            labels="wordnet_id,name\nn02088364,beagle\nn02099601,golden\nn1,sofa\n",
            changes=(('activation = "softmax"', 'activation = "sigmoid"'),),
        )
        provider = TensorFlowProvider("other", str(tmp_path))
        labels = labels_of(provider, np.array([1.0, 2.0, -9.0], np.float32))
        assert [(each.name, round(each.confidence, 3)) for each in labels] == [
            *(("animal", 0.881), ("dog", 0.881), ("golden", 0.881)),
            *(("mammal", 0.881), ("beagle", 0.731)),
        ]

    def test_a_class_that_is_one_itself_is_one_label(self, tmp_path: Path) -> None:
        labels = "wordnet_id,name\nn02084071,hound\nn02088364,beagle\nn1,sofa\n"
        make_model(tmp_path, labels=labels)
        provider = TensorFlowProvider("other", str(tmp_path))
        found = labels_of(provider, np.log(np.array([0.5, 0.3, 0.2], np.float32)))
        dogs = [label for label in found if label.id == "n02084071"]
        assert [label.name for label in dogs] == ["dog"]
        assert math.isclose(dogs[0].confidence, 0.8, rel_tol=1e-5)
        assert "hound" not in [label.name for label in found]

    def test_an_ignored_name_is_none(self, tmp_path: Path) -> None:
        make_model(
            tmp_path,
            changes=(
                ('activation = "softmax"', 'activation = "softmax"\nignore = ["dog"]'),
            ),
        )
        provider = TensorFlowProvider("other", str(tmp_path))
        names = [
            label.name for label in labels_of(provider, np.zeros(1000, np.float32))
        ]
        assert "dog" not in names
        assert "mammal" in names

    def test_a_model_without_wordnet_s_ids_has_none(self, tmp_path: Path) -> None:
        labels = "id,name\nbeagle,beagle\nhusky,husky\n"
        make_model(tmp_path, labels=labels)
        provider = TensorFlowProvider("other", str(tmp_path))
        found = labels_of(provider, np.log(np.array([0.6, 0.4], np.float32)))
        assert [label.name for label in found] == ["beagle", "husky"]


def test_classes_of_one_name_add_up_under_the_first_id(tmp_path: Path) -> None:
    labels = "wordnet_id,name\nn1,crane\nn2,dog\nn3,crane\n"
    make_model(tmp_path, labels=labels)
    provider = TensorFlowProvider("other", str(tmp_path))
    logits = np.log(np.array([0.3, 0.4, 0.3], np.float32))
    first, second = labels_of(provider, logits)
    assert (first.id, first.name) == ("n1", "crane")
    assert math.isclose(first.confidence, 0.6, rel_tol=1e-5)
    assert (second.id, second.name) == ("n2", "dog")


class TestWrongModels:
    def classify(self, model_dir: Path) -> str:
        with pytest.raises(ModelError) as caught:
            TensorFlowProvider("other", str(model_dir)).classify([WHITE])
        return str(caught.value)

    def test_an_input_of_another_size(self, tmp_path: Path) -> None:
        make_model(tmp_path, changes=(("size = 224", "size = 192"),))
        assert self.classify(tmp_path) == (
            "The input of the model other has the shape [1, 224, 224, 3], but its"
            " description and labels make it [1, 192, 192, 3]."
        )

    def test_fewer_labels_than_outputs(self, tmp_path: Path) -> None:
        make_model(tmp_path, labels="wordnet_id,name\nn1,dog\n")
        assert self.classify(tmp_path) == (
            "The output of the model other has the shape [1, 1000], but its"
            " description and labels make it [1, 1]."
        )

    def test_a_network_that_was_changed(self, tmp_path: Path) -> None:
        with (make_model(tmp_path) / NETWORK).open("ab") as file:
            file.write(b"\0")
        assert self.classify(tmp_path).startswith(
            "The file model.tflite of the model other is damaged: "
        )

    @pytest.mark.parametrize("network", [b"", b"no network", b"\0" * 5000])
    def test_a_file_that_is_no_network(self, tmp_path: Path, network: bytes) -> None:
        make_model(tmp_path, network=network)
        assert self.classify(tmp_path) == (
            "The file model.tflite of the model other is not a TensorFlow Lite network"
            " that can be run."
        )

    def test_a_model_that_is_not_there(self) -> None:
        with pytest.raises(ModelError, match=r"^There is no model 'other'; there are"):
            TensorFlowProvider("other")


class TestSettings:
    def test_the_options_make_the_provider(self, tmp_path: Path) -> None:
        make_model(tmp_path, "mine")
        options: dict[str, Any] = TensorFlowProvider.options(
            {"model": "mine", "detector": "none", "enabled": True},
            Machine(str(tmp_path)),
        )
        assert TensorFlowProvider(**options).model == "mine 2"


def test_the_bundled_network_is_the_one_that_was_described() -> None:
    model = model_file.find(DEFAULT_MODEL, None)
    assert sha256(model.network.read_bytes()) == model.sha256
