"""Detectors, which run beside the model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flask_autotag.classification.decode import decode
from flask_autotag.classification.sandbox.pool import Pool
from flask_autotag.classification.sandbox.question import Question
from flask_autotag.errors import ModelError
from flask_autotag.providers.base import (
    DETECTED,
    DOUBTFUL,
    GENERAL,
    MOST_DETECTED,
    MOST_LABELS,
    Label,
)
from flask_autotag.providers.registry import sections
from flask_autotag.providers.tensorflow import model_file
from flask_autotag.providers.tensorflow.detector import Detector
from flask_autotag.providers.tensorflow.general_labels import GeneralLabels
from flask_autotag.providers.tensorflow.kinds import (
    classifiers,
    detectors,
    find_classifier,
    find_detector,
)
from flask_autotag.providers.tensorflow.merging import merged
from flask_autotag.providers.tensorflow.model_file import DESCRIPTION
from flask_autotag.providers.tensorflow.provider import (
    DEFAULT_MODEL,
    TensorFlowProvider,
)
from flask_autotag.settings.machine import Machine
from flask_autotag.settings.resolution import read_settings

from ...hosts import ESPRESSO
from .models import make_detector, make_model
from .networks import copy_model
from .one_process import one_process

BUNDLED = model_file.find(DEFAULT_MODEL, None)
WHITE = Image.new("RGB", (300, 256), "white")
ESPRESSO_ID = "n07920052"
PERSON, BEAGLE, GOLDEN, MASK = "n00007846", "n02088364", "n02099601", "n03724870"


def make_small(root: Path, allowed: str, **labels: str) -> Detector:
    """Return a detector with few labels, given as names with their ids."""
    folder = make_detector(root, allowed=allowed)
    rows = [f"{label_id},{name}" for name, label_id in labels.items()]
    (folder / "labels.csv").write_text("\n".join(["id,name", *rows, ""]))
    file = find_detector("seer", str(root))
    assert file is not None
    assert file.detector is not None
    return Detector(file, file.detector, 1, None)


def beside(root: Path, allowed: str = "espresso = 0.5") -> TensorFlowProvider:
    """Return the bundled model with a detector beside it."""
    make_detector(root, allowed=allowed)
    return TensorFlowProvider(model_dir=str(root), detector="seer")


class TestDescription:
    def test_labels_are_allowed_by_name_or_id(self, tmp_path: Path) -> None:
        make_detector(tmp_path, allowed=f"espresso = 0.5\n{BEAGLE} = 0.25")
        file = find_detector("seer", str(tmp_path))
        assert file is not None
        assert file.detector is not None
        found = {file.labels[place][1]: n for place, n in file.detector.allowed.items()}
        assert found == {"espresso": 0.5, "beagle": 0.25}

    @pytest.mark.parametrize(
        ("allowed", "message"),
        [
            ("", "detector.allowed must name one label at least"),
            ("espreso = 1", "detector.allowed names 'espreso', which is no label"),
            ("espresso = 1.5", "detector.allowed.espresso must be from 0 to 1, not"),
            ("espresso = true", "detector.allowed.espresso must be from 0 to 1, not"),
            (
                f"espresso = 1\n{ESPRESSO_ID} = 1",
                f"detector.allowed names '{ESPRESSO_ID}' by its id, too",
            ),
            ("[detector]\nall = 1", "detector.all is unknown; the keys are: allowed"),
        ],
    )
    def test_an_allowed_label_that_is_wrong(
        self, tmp_path: Path, allowed: str, message: str
    ) -> None:
        make_detector(tmp_path, allowed=allowed)
        self.check_refused(tmp_path, message)

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("[detector.allowed]", "[detector]", "detector.espresso is unknown; the"),
            ("[detector.allowed]\nespresso = 0.5", "[detector]", "has no 'allowed'"),
            (
                "[detector.allowed]\nespresso = 0.5",
                "[detector]\nallowed = 1",
                "detector.allowed must be a table, [detector.allowed], not 1",
            ),
            (
                '"sigmoid"',
                '"softmax"',
                "output.activation must be sigmoid or none for a detector, whose labels"
                " do not exclude each other, not 'softmax'",
            ),
            (
                "[build]",
                '[heads]\nembedding = "e"\nlabels = "labels.csv"\nweights = "x.npz"\n'
                f'sha256 = "{"0" * 64}"\n\n[build]',
                "a detector has no heads: remove [heads] or [detector]",
            ),
            (
                "letterbox = 114",
                "letterbox = 114\ncrop = 1",
                "input.crop and input.letterbox exclude each other",
            ),
            (
                "letterbox = 114",
                "letterbox = [0, 0, 256]",
                "input.letterbox must be a whole number from 0 to 255, or a list of one"
                " for red, green and blue, not [0, 0, 256]",
            ),
            (
                "letterbox = 114",
                "letterbox = 0.5",
                "input.letterbox must be a whole number from 0 to 255",
            ),
        ],
    )
    def test_a_value_that_is_wrong(
        self, tmp_path: Path, old: str, new: str, message: str
    ) -> None:
        description = make_detector(tmp_path) / DESCRIPTION
        text = description.read_text()
        assert old in text
        description.write_text(text.replace(old, new))
        self.check_refused(tmp_path, message)

    def check_refused(self, root: Path, message: str) -> None:
        with pytest.raises(ModelError) as caught:
            find_detector("seer", str(root))
        assert message in str(caught.value)

    @pytest.mark.parametrize("value", ["[1, 2, 3]", "7"])
    def test_the_colour_of_the_bars(self, tmp_path: Path, value: str) -> None:
        change = ("crop = 0.875", f"letterbox = {value}")
        make_model(tmp_path, changes=(change,))
        found = find_classifier("other", str(tmp_path)).input
        assert found.letterbox == ((1, 2, 3) if "," in value else (7, 7, 7))
        assert found.crop is None


class TestKinds:
    def test_each_is_chosen_in_its_place(self, tmp_path: Path) -> None:
        make_model(tmp_path, "mine")
        make_detector(tmp_path)
        assert classifiers(str(tmp_path)) == [DEFAULT_MODEL, "mine"]
        assert detectors(str(tmp_path)) == ["none", "seer"]
        assert find_detector("none", str(tmp_path)) is None

    def test_a_model_that_cannot_be_read_is_listed(self, tmp_path: Path) -> None:
        (make_model(tmp_path, "mine") / DESCRIPTION).write_text("[")
        assert "mine" in classifiers(str(tmp_path))
        assert detectors(str(tmp_path)) == ["none"]

    def test_a_detector_as_the_model(self, tmp_path: Path) -> None:
        make_detector(tmp_path)
        with pytest.raises(ModelError) as caught:
            TensorFlowProvider("seer", str(tmp_path))
        assert str(caught.value) == (
            "AUTOTAG_TENSORFLOW_MODEL must be a model that classifies by itself, and"
            " seer is a detector, which runs beside another model: set"
            " AUTOTAG_TENSORFLOW_DETECTOR, or the detector on the settings page, to"
            " seer."
        )

    def test_a_model_as_the_detector(self) -> None:
        with pytest.raises(ModelError) as caught:
            TensorFlowProvider(detector=DEFAULT_MODEL)
        assert str(caught.value) == (
            "AUTOTAG_TENSORFLOW_DETECTOR must be none or a detector, and"
            " efficientnet-lite0 is no detector, because its model.toml has no table"
            " [detector]: set AUTOTAG_TENSORFLOW_MODEL, or the model on the settings"
            " page, to efficientnet-lite0."
        )

    def test_a_detector_that_is_not_there(self) -> None:
        with pytest.raises(ModelError, match=r"^There is no model 'seer'; there are"):
            TensorFlowProvider(detector="seer")


class TestLabels:
    def test_only_allowed_labels_are_given(self, tmp_path: Path) -> None:
        seer = make_small(tmp_path, "cup = 0.3", cup="n1", vase="n2")
        assert seer.labels(np.array([0.4, 0.9])) == [Label("n1", "cup", 0.4, DETECTED)]

    def test_each_from_its_own_confidence(self, tmp_path: Path) -> None:
        allowed = "cup = 0.3\nvase = 0.8\njug = 0"
        seer = make_small(tmp_path, allowed, cup="n1", vase="n2", jug="n3")
        found = seer.labels(np.array([0.3, 0.79, 0.0]))
        assert [label.name for label in found] == ["cup"]

    def test_they_have_broader_concepts(self, tmp_path: Path) -> None:
        allowed = "beagle = 0.5"
        seer = make_small(tmp_path, allowed, beagle=BEAGLE, golden=GOLDEN)
        found = {each.name: each for each in seer.labels(np.array([0.7, 0.9]))}
        assert set(found) == {"beagle", "dog", "mammal", "animal"}
        assert all(label.confidence == 0.7 for label in found.values())
        assert [name for name in found if found[name].is_detected] == ["beagle"]

    def test_a_concept_that_is_a_label_is_detected(self, tmp_path: Path) -> None:
        dog = "n02084071"
        seer = make_small(tmp_path, "dog = 0.5", dog=dog, beagle=BEAGLE)
        found = merged([], seer.labels(np.array([0.7, 0.9])))
        assert Label(dog, "dog", 0.7, DETECTED) in found
        assert len({label.id for label in found}) == len(found)


class TestMerging:
    detected = Label(PERSON, "person", 0.8, DETECTED)

    @pytest.mark.parametrize(
        ("others", "expected"),
        [
            ([Label(PERSON, "person", 0.7, GENERAL)], DETECTED),
            ([Label(PERSON, "person", 0.9, GENERAL)], GENERAL),
        ],
    )
    def test_the_highest_confidence_counts(
        self, others: list[Label], expected: str
    ) -> None:
        [person] = merged([], [*others, self.detected])
        assert person.part == expected

    @pytest.mark.parametrize(("part", "expected"), [("", ""), (DOUBTFUL, DETECTED)])
    def test_a_doubtful_class_counts_less(self, part: str, expected: str) -> None:
        [person] = merged([Label(PERSON, "person", 0.9, part)], [self.detected])
        assert person.part == expected

    def test_a_thing_that_is_seen_opens_the_gates(self) -> None:
        assert BUNDLED.heads is not None
        general = GeneralLabels(BUNDLED.heads, [each for each, _ in BUNDLED.labels])
        nothing = np.zeros((1, 1280), np.float32)
        mask = Label(MASK, "mask", 0.6)
        for detected, doubtful in (([], False), ([self.detected], True)):
            labels = general.combine([mask], nothing, WHITE, detected)
            [found] = [label for label in labels if label.id == MASK]
            assert found.is_doubtful is doubtful
            assert (self.detected in labels) is doubtful


class TestBesideTheModel:
    def test_the_model_names_both(self, tmp_path: Path) -> None:
        assert beside(tmp_path).model == "efficientnet-lite0 2 + seer 2"

    def test_a_name_that_is_too_long_stays_different(self, tmp_path: Path) -> None:
        names = set()
        for version in ("1" * 60, f"{'1' * 59}2"):
            folder = tmp_path / version
            folder.mkdir()
            made = make_detector(folder, "s" * 64) / DESCRIPTION
            made.write_text(made.read_text().replace('"2"', f'"{version}"'))
            settings = {"model": DEFAULT_MODEL, "detector": "s" * 64}
            machine = Machine(str(folder))
            name = TensorFlowProvider.current_model(settings, machine)
            assert len(name) == 128
            assert name.startswith("efficientnet-lite0 2 + sss")
            names.add(name)
        assert len(names) == 2

    def test_both_folders_may_be_read(self, tmp_path: Path) -> None:
        provider = beside(tmp_path)
        assert provider.files == [BUNDLED.network.parent, tmp_path / "seer"]

    def test_the_image_fills_both_inputs(self, tmp_path: Path) -> None:
        description = make_detector(tmp_path) / DESCRIPTION
        text = description.read_text()
        description.write_text(text.replace("size = 224", "size = 416"))
        provider = TensorFlowProvider(model_dir=str(tmp_path), detector="seer")
        assert (TensorFlowProvider().side, provider.side) == (256, 416)

    def test_the_network_is_not_read_before_the_first_image(
        self, tmp_path: Path
    ) -> None:
        provider = beside(tmp_path)
        (tmp_path / "seer" / "model.tflite").unlink()
        with pytest.raises(ModelError, match="The model seer cannot be read"):
            provider.classify([WHITE])

    def test_the_labels_of_the_model_stay(self, tmp_path: Path) -> None:
        image = decode(ESPRESSO.read_bytes(), 256)
        [alone] = TensorFlowProvider().classify([image])
        [both] = beside(tmp_path).classify([image])
        [seen] = [label for label in both if label.is_detected]
        assert seen.id == ESPRESSO_ID
        assert seen.confidence > 0.9
        assert {label.id for label in both} >= {label.id for label in alone}

    def test_its_labels_push_no_classes_out(self, tmp_path: Path) -> None:
        """Two hundred labels are seen, and a hundred of them kept."""
        allowed = "\n".join(f"{each} = 0.0" for each, _ in BUNDLED.labels[:200])
        make_detector(tmp_path, allowed=allowed)
        plain = (('softmax"', 'sigmoid"'),)
        make_model(tmp_path, "plain", changes=plain)
        [alone] = TensorFlowProvider("plain", str(tmp_path)).classify([WHITE])
        provider = TensorFlowProvider("plain", str(tmp_path), detector="seer")
        [labels] = provider.classify([WHITE])
        known = {each for each, _ in BUNDLED.labels}
        classes = {label.id for label in alone if label.id in known}
        assert len(classes) == MOST_LABELS
        assert classes <= {label.id for label in labels}
        assert len([each for each in labels if each.is_detected]) <= MOST_DETECTED
        assert len({label.id for label in labels}) == len(labels)


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(1, 120.0, 4096)
    yield pool
    pool.close()


class TestChildProcess:
    def test_it_may_read_both_models(self, tmp_path: Path, pool: Pool) -> None:
        make_detector(tmp_path)
        settings = read_settings(sections(), {"AUTOTAG_TENSORFLOW_DETECTOR": "seer"})
        machine = Machine(str(tmp_path))
        question = Question(
            ESPRESSO.read_bytes(), [TensorFlowProvider], settings, machine
        )
        [prediction] = pool.classify(question).predictions
        assert prediction.model == "efficientnet-lite0 2 + seer 2"
        assert [each.name for each in prediction.labels if each.is_detected] == [
            "espresso"
        ]


class TestTensorFlowItself:
    changes = ("[output]", "[detector.allowed]\nred = 0.5\ngreen = 0.6\n\n[output]")

    def test_a_detector_of_another_format(self, tmp_path: Path) -> None:
        copy_model("sigmoid", tmp_path, self.changes)
        provider = TensorFlowProvider(model_dir=str(tmp_path), detector="sigmoid")
        assert provider.forkable is False
        assert tmp_path in provider.files
        file = tmp_path / "red.png"
        Image.new("RGB", (40, 30), "red").save(file)
        with one_process() as runtime:
            labels = runtime.classify(
                tmp_path, DEFAULT_MODEL, file.read_bytes(), detector="sigmoid"
            )
        seen = [label for label in labels if label.is_detected]
        assert [label.name for label in seen] == ["red"]
