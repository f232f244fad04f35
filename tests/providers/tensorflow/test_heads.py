"""General labels: heads, gates and black-and-white photos."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from flask_autotag.classification.decode import decode
from flask_autotag.errors import ModelError
from flask_autotag.providers.base import DOUBTFUL, GENERAL, Label
from flask_autotag.providers.concept_hierarchy import hierarchy
from flask_autotag.providers.tensorflow import model_file, model_store
from flask_autotag.providers.tensorflow.class_doubts import ClassDoubts
from flask_autotag.providers.tensorflow.gates import LEAST_DOUBTED, Gate, Gates
from flask_autotag.providers.tensorflow.general_labels import GeneralLabels
from flask_autotag.providers.tensorflow.greyscale import is_black_and_white
from flask_autotag.providers.tensorflow.heads import Heads
from flask_autotag.providers.tensorflow.heads_file import HeadsSpec
from flask_autotag.providers.tensorflow.model_file import DESCRIPTION
from flask_autotag.providers.tensorflow.provider import (
    DEFAULT_MODEL,
    TensorFlowProvider,
)

from ...hosts import EXAMPLES, chart
from .models import HEADS, make_model

BUNDLED = model_file.find(DEFAULT_MODEL, None)
WIDTH = 1280
BEAGLE, PUZZLE, PERSON = "n02088364", "n03598930", "n00007846"
WHITE = Image.new("RGB", (300, 256), "white")


@pytest.fixture(scope="module")
def provider() -> TensorFlowProvider:
    return TensorFlowProvider()


def make_heads(folder: Path, labels: int = 2, **arrays: object) -> HeadsSpec:
    """Write heads that read three features."""
    values = {
        "weights": np.array([[127, 0, 0], [0, -127, 0]], np.int8),
        "scale": np.array([0.1, 0.1], np.float32),
        "bias": np.array([-1.0, 0.0], np.float32),
    }
    path = folder / "heads.npz"
    np.savez(path, **{**values, **arrays})
    named = tuple((f"n{number}", f"label {number}") for number in range(labels))
    return HeadsSpec("embedding", named, path, "", ())


class TestHeads:
    def test_a_confidence_is_the_logistic_function_of_the_score(
        self, tmp_path: Path
    ) -> None:
        heads = Heads(make_heads(tmp_path))
        # The square roots are 3, 4 and 0, and their norm is 5.
        found = heads.confidences(heads.features(np.array([[9, 16, 0]], np.float32)))
        scores = np.array([12.7 * 0.6 - 1, -12.7 * 0.8])
        assert found == pytest.approx(1 / (1 + np.exp(-scores)), rel=1e-5)

    @given(st.lists(st.floats(-10, 1e6, width=32), min_size=3, max_size=3))
    def test_any_embedding_gives_confidences(
        self, tmp_path_factory: pytest.TempPathFactory, numbers: list[float]
    ) -> None:
        heads = Heads(make_heads(tmp_path_factory.mktemp("heads")))
        found = heads.confidences(heads.features(np.array([numbers], np.float32)))
        assert ((found >= 0) & (found <= 1)).all()

    def test_labels_are_general(self, tmp_path: Path) -> None:
        labels = Heads(make_heads(tmp_path)).labels(np.ones(3, np.float32))
        assert [(label.id, label.part) for label in labels] == [
            ("n0", GENERAL),
            ("n1", GENERAL),
        ]

    def test_an_archive_that_does_not_match(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="do not match the 3 labels"):
            Heads(make_heads(tmp_path, labels=3))
        spec = make_heads(tmp_path)
        spec.weights.write_bytes(b"text")
        with pytest.raises(ModelError, match="heads in heads\\.npz cannot be read"):
            Heads(spec)

    @pytest.mark.parametrize(
        ("embedding", "message"),
        [
            (np.ones((1, 4)), r"has the shape \[1, 4\], but the heads read \[1, 3\]"),
            (np.array([[1, np.nan, 1]]), "NaN or infinity"),
        ],
    )
    def test_an_embedding_that_is_wrong(
        self, tmp_path: Path, embedding: np.ndarray, message: str
    ) -> None:
        heads = Heads(make_heads(tmp_path))
        with pytest.raises(ModelError, match=message):
            heads.features(embedding.astype(np.float32))


class TestDoubts:
    features = np.array([1, 0, 0], np.float32)
    arrays: ClassVar[dict[str, object]] = {
        "class_slope": np.float32(1),
        "class_weights": np.array([-100, 0, 100], np.int8),
        "class_scale": np.float32(0.02),
        "class_bias": np.float32(0),
    }

    def doubts(self, folder: Path, **changes: object) -> ClassDoubts:
        doubts = Heads(make_heads(folder, **self.arrays | changes)).doubts
        assert doubts is not None
        return doubts

    @pytest.mark.parametrize("confidence", [0.7, LEAST_DOUBTED])
    def test_a_label_that_is_probably_wrong_is_marked(
        self, tmp_path: Path, confidence: float
    ) -> None:
        """The logit of 0.7 is 0.85: minus 2, its probability is 0.24."""
        beagle = Label(BEAGLE, "beagle", confidence)
        [marked] = self.doubts(tmp_path).mark([beagle], self.features)
        assert marked == Label(BEAGLE, "beagle", confidence, DOUBTFUL)

    @pytest.mark.parametrize("confidence", [0.72, 1.0, 0.44])
    def test_other_labels_stay(self, tmp_path: Path, confidence: float) -> None:
        beagle = Label(BEAGLE, "beagle", confidence)
        assert self.doubts(tmp_path).mark([beagle], self.features) == [beagle]

    def test_the_kind_of_photo_counts(self, tmp_path: Path) -> None:
        beagle = Label(BEAGLE, "beagle", 0.5)
        assert self.doubts(tmp_path).mark([beagle], self.features[::-1]) == [beagle]

    def test_an_archive_without_them(self, tmp_path: Path) -> None:
        assert Heads(make_heads(tmp_path)).doubts is None

    def test_an_archive_that_is_wrong(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"class_weights in heads\.npz does not"):
            self.doubts(tmp_path, class_weights=np.ones(4, np.int8))
        with pytest.raises(ModelError, match=r"heads\.npz cannot be read"):
            self.doubts(tmp_path, class_bias=np.ones(4, np.float32))


class TestFiles:
    """Descriptions of heads that are wrong."""

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ('embedding = "embedding"', "embedding = 3", r"heads\.embedding must be a"),
            ('embedding = "embedding"\n', "", "has no 'embedding'"),
            ('weights = "heads.npz"', 'weights = "../x"', "not a file in the model's"),
            ("sha256 = ", "more = 1\nsha256 = ", r"heads\.more is unknown; the keys"),
            ('gates = "gates.csv"', 'gates = "heads.csv"', "no head, no labels or no"),
        ],
    )
    def test_a_value_that_is_wrong(
        self, tmp_path: Path, old: str, new: str, message: str
    ) -> None:
        description = make_model(tmp_path, "wrong", heads=True) / DESCRIPTION
        head, heads = description.read_text().split("[heads]")
        assert old in heads
        description.write_text(f"{head}[heads]{heads.replace(old, new)}")
        with pytest.raises(ModelError, match=message):
            model_file.find("wrong", str(tmp_path))

    def test_weights_that_are_damaged(self, tmp_path: Path) -> None:
        made = make_model(tmp_path, "wrong", heads=True)
        (made / "heads.npz").write_bytes(b"text")
        with pytest.raises(ModelError, match="of the model wrong is damaged"):
            TensorFlowProvider("wrong", str(tmp_path)).classify([WHITE])

    def test_a_network_without_an_embedding(self, tmp_path: Path) -> None:
        description = make_model(tmp_path, "wrong", heads=True) / DESCRIPTION
        text = description.read_text()
        description.write_text(text.replace('= "embedding"', '= "other"'))
        with pytest.raises(
            ModelError, match="has no output 'other' beside the classes"
        ):
            TensorFlowProvider("wrong", str(tmp_path)).classify([WHITE])

    def test_heads_are_installed_with_their_model(self, tmp_path: Path) -> None:
        source = make_model(tmp_path, heads=True)
        model_store.add_folder(source, "copy", str(tmp_path))
        installed = {path.name for path in (tmp_path / "copy").iterdir()}
        assert set(HEADS) <= installed


class TestGates:
    gates = Gates(
        [
            Gate("map", None, frozenset()),
            Gate("text", frozenset({"n04028315"}), frozenset()),
            Gate("painting", None, frozenset({"n00015388"})),
        ],
        [BEAGLE, PUZZLE],
    )
    beagle, puzzle = Label(BEAGLE, "beagle", 0.9), Label(PUZZLE, "jigsaw puzzle", 0.8)
    unlikely = Label("n03000684", "chainsaw", 0.4)

    def doubtful(self, **sure: float) -> list[str]:
        labels = self.gates.apply([self.beagle, self.puzzle, self.unlikely], sure)
        assert [label.confidence for label in labels] == [0.9, 0.8, 0.4]
        return [label.name for label in labels if label.is_doubtful]

    def test_a_head_that_is_not_sure_stops_nothing(self) -> None:
        assert self.doubtful(map=0.49) == []

    def test_all_labels(self) -> None:
        assert self.doubtful(map=0.5) == ["beagle", "jigsaw puzzle"]

    def test_labels_below_a_concept(self) -> None:
        assert self.doubtful(text=0.9) == ["jigsaw puzzle"]

    def test_labels_that_are_exempt(self) -> None:
        assert self.doubtful(painting=0.9) == ["jigsaw puzzle"]

    def test_the_bundled_gates_name_heads_and_concepts(self) -> None:
        assert BUNDLED.heads is not None
        heads = {label_id for label_id, _ in BUNDLED.heads.labels}
        known = hierarchy().names.keys() | {each for each, _ in BUNDLED.labels}
        for gate in BUNDLED.heads.gates:
            assert gate.head in heads
            assert gate.exempt | (gate.labels or frozenset()) <= known


class TestBlackAndWhite:
    def test_a_photo_without_colour(self) -> None:
        assert is_black_and_white(Image.linear_gradient("L").convert("RGB"))

    def test_a_photo_with_colour(self) -> None:
        with Image.open(EXAMPLES / "castle.jpg") as image:
            assert not is_black_and_white(image.convert("RGB"))

    def test_a_plain_ground(self) -> None:
        assert not is_black_and_white(WHITE)


class TestGeneralLabels:
    def test_an_animal_on_a_chart_is_doubtful(
        self, provider: TensorFlowProvider
    ) -> None:
        (labels,) = provider.classify([decode(chart(), provider.side)])
        [animal] = [label for label in labels if label.name == "animal"]
        assert animal.is_doubtful
        assert animal.confidence > 0.5

    @pytest.mark.parametrize(
        ("photo", "expected"),
        [
            ("mountains", {"mountain", "sky", "landscape"}),
            ("castle", {"building", "sky", "water"}),
            ("photographer", {"person", "black and white"}),
            ("portrait", {"person", "portrait"}),
            ("three-astronauts", {"person"}),
            ("street", {"road", "building", "vehicle", "sky"}),
            ("novel-page", {"text"}),
            ("screenshot", {"screenshot", "text"}),
        ],
    )
    def test_the_bundled_heads_know_what_photos_show(
        self, provider: TensorFlowProvider, photo: str, expected: set[str]
    ) -> None:
        data = (EXAMPLES / f"{photo}.jpg").read_bytes()
        (labels,) = provider.classify([decode(data, provider.side)])
        sure = {each.name for each in labels if each.confidence > 0.5}
        assert expected <= sure

    def test_a_concept_of_both_has_the_higher_confidence(self) -> None:
        assert BUNDLED.heads is not None
        general = GeneralLabels(BUNDLED.heads, [each for each, _ in BUNDLED.labels])
        embedding = np.zeros((1, WIDTH), np.float32)
        sure = Label(PERSON, "person", 1.0)
        labels = general.combine([sure], embedding, WHITE)
        assert [label for label in labels if label.id == PERSON] == [sure]

    def test_a_doubtful_concept_gives_way_to_the_head(self) -> None:
        assert BUNDLED.heads is not None
        general = GeneralLabels(BUNDLED.heads, [each for each, _ in BUNDLED.labels])
        embedding = np.ones((1, WIDTH), np.float32)
        doubtful = Label(PERSON, "person", 1.0, DOUBTFUL)
        labels = general.combine([doubtful], embedding, WHITE)
        [person] = [label for label in labels if label.id == PERSON]
        assert person.is_general
