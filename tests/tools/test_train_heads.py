from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("scipy", reason="SciPy is not installed.")

pytest.importorskip("flatbuffers", reason="flatbuffers is not installed.")

import flatbuffers
import numpy as np
import train_heads
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from class_verdicts import Classifier, Verdicts, read_verdicts
from embedding_output import with_embedding
from labelled_photos import DIGITS, LabelledPhoto, Labels, read_labelled_photos
from model_card import model_card
from PIL import Image
from train_heads import (
    CONCEPTS,
    LEAST_GROUPS,
    LEAST_POSITIVES,
    NETWORK,
    WEIGHTS,
    Doubts,
    Examples,
    Training,
    check,
    concepts_file,
    features,
    find_photo,
    folds,
    logits,
    train,
    train_doubts,
    weights_file,
    write_digest,
)

from flask_autotag.providers.base import Label
from flask_autotag.providers.tensorflow.class_doubts import (
    LEAST_PROBABILITY,
    ClassDoubts,
)

WIDTH = 8
PHOTOS = 480
CLASSIFIER = Classifier(0.7, np.linspace(-1, 1, WIDTH), 0.1)
DOUBTS = {"0.00": ("152", "0.06", "0.04")}
NAMES = ["sky", "sea", "snow", "night"]


def photo(**changes: Any) -> LabelledPhoto:
    given = {"sha256": "a" * 64, "set": "pets", "group": "pets", "licence": "MIT"}
    return LabelledPhoto(**given | changes, labels=Labels(frozenset(), frozenset()))


@pytest.fixture(scope="module")
def examples() -> Examples:
    """Return examples of four concepts.

    Each of the first two shows in a number of its own, the third in one group alone,
    and the fourth nowhere.
    """
    random = np.random.default_rng(7)
    embedding = random.gamma(2, size=(PHOTOS, WIDTH))
    groups = [f"group {number % 4}" for number in range(PHOTOS)]
    targets = np.zeros((PHOTOS, 4))
    targets[:, 0] = embedding[:, 0] > 2.5
    targets[:, 1] = embedding[:, 1] > 2.5
    targets[:, 2] = [group == "group 0" for group in groups]
    targets[:, 3] = random.random(PHOTOS) < 0.3
    embedding[:, :2] *= 1 + 3 * targets[:, :2]
    targets[::50, 0] = 0.5
    views = np.stack([embedding, embedding * random.uniform(0.9, 1.1)], axis=1)
    return Examples(features(views), targets, groups)


@pytest.fixture(scope="module")
def training(examples: Examples) -> Training:
    return train(examples, NAMES)


class TestTrain:
    def test_concepts_that_are_found_have_heads(self, training: Training) -> None:
        assert [head.concept for head in training.heads] == ["sky", "sea"]
        for head in training.heads:
            assert head.point.half >= 0.85
            assert head.positives >= LEAST_POSITIVES
            assert head.groups >= LEAST_GROUPS

    def test_it_says_why_others_have_none(self, training: Training) -> None:
        assert training.without == {
            "snow": "120 photos, 1 of the groups",
            "night": "no score is precise enough",
        }

    def test_it_is_deterministic(self, examples: Examples) -> None:
        sky = replace(examples, targets=examples.targets[:, :1])
        first, second = (train(sky, NAMES[:1]) for _ in range(2))
        assert weights_file(first.heads, CLASSIFIER) == weights_file(
            second.heads, CLASSIFIER
        )
        assert concepts_file(first) == concepts_file(second)

    def test_photos_that_may_show_a_concept_teach_nothing(
        self, examples: Examples
    ) -> None:
        sky = examples.targets[:, :1]
        certain = (sky != 0.5)[:, 0]
        assert train_heads.fit(
            examples.features[certain], sky[certain]
        ) == pytest.approx(train_heads.fit(examples.features, sky), rel=5e-3, abs=5e-3)


class TestFiles:
    def test_the_arrays_are_the_declared_ones(self, training: Training) -> None:
        with np.load(io.BytesIO(weights_file(training.heads, CLASSIFIER))) as arrays:
            assert {
                name: (arrays[name].dtype.name, arrays[name].shape) for name in arrays
            } == {
                "weights": ("int8", (2, WIDTH)),
                "scale": ("float32", (2,)),
                "bias": ("float32", (2,)),
                "class_slope": ("float32", ()),
                "class_weights": ("int8", (WIDTH,)),
                "class_scale": ("float32", ()),
                "class_bias": ("float32", ()),
            }

    def test_the_concepts_are_in_the_same_order(self, training: Training) -> None:
        assert concepts_file(training) == b"id,name\nn09436708,sky\nn09426788,sea\n"

    def test_they_hold_the_trained_heads(
        self, examples: Examples, training: Training
    ) -> None:
        content = weights_file(training.heads, CLASSIFIER)
        views = examples.features[:, 0]
        found = logits(content, views)
        with np.load(io.BytesIO(content)) as arrays:
            rounding = arrays["scale"] / 2
        for column, head in enumerate(training.heads):
            scores = views @ head.weights[:-1] + head.weights[-1]
            exact = head.slope * (scores - head.point.score)
            differences = np.abs(found[:, column] - exact)
            assert (differences <= rounding[column] * views.sum(axis=1) + 1e-3).all()


class TestCheck:
    @pytest.fixture
    def committed(self, tmp_path: Path, training: Training) -> Path:
        (tmp_path / WEIGHTS).write_bytes(weights_file(training.heads, CLASSIFIER))
        (tmp_path / CONCEPTS).write_bytes(concepts_file(training))
        return tmp_path

    def compare(self, committed: Path, training: Training, examples: Examples) -> bool:
        files = {
            WEIGHTS: weights_file(training.heads, CLASSIFIER),
            CONCEPTS: concepts_file(training),
        }
        return check(files, committed, examples.features[:, 0])

    def test_the_same_heads_pass(
        self,
        committed: Path,
        training: Training,
        examples: Examples,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        assert self.compare(committed, training, examples)
        assert capsys.readouterr().out == (
            "heads.csv: the same\nheads.npz: the same; confidences differ by up to"
            " 0.000\n"
        )

    def test_other_concepts_fail(
        self,
        committed: Path,
        training: Training,
        examples: Examples,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        fewer = Training(training.heads[:1], {})
        assert not self.compare(committed, fewer, examples)
        assert capsys.readouterr().out == "heads.csv: DIFFERENT\n"

    def test_other_weights_fail(
        self,
        committed: Path,
        training: Training,
        examples: Examples,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        swapped = weights_file(training.heads[::-1], CLASSIFIER)
        (committed / WEIGHTS).write_bytes(swapped)
        assert not self.compare(committed, training, examples)
        assert "heads.npz: DIFFERENT; confidences" in capsys.readouterr().out


class TestDoubts:
    """One number of the embedding says whether labels of a photo are right."""

    @pytest.fixture
    def doubts(self, examples: Examples) -> Doubts:
        confidences = np.linspace(0.45, 0.95, PHOTOS)
        right = (examples.features[:, 0, 2] > 0.35).astype(float)
        digits = [f"{number:016}" for number in range(PHOTOS)]
        photos = [
            photo(sha256=name, group=group)
            for name, group in zip(digits, examples.groups, strict=True)
        ]
        return train_doubts(
            Verdicts(digits, confidences, right), photos, examples.features[:, 0]
        )

    def test_it_learns_which_photos_to_doubt(
        self, examples: Examples, doubts: Doubts
    ) -> None:
        right = examples.features[:, 0, 2] > 0.35
        found = doubts.classifier.probabilities(
            np.full(PHOTOS, 0.6), examples.features[:, 0]
        )
        assert found[right].mean() - found[~right].mean() > 0.25

    def test_the_table_counts_each_label_once(self, doubts: Doubts) -> None:
        assert sum(int(row[0]) for row in doubts.table.values()) == PHOTOS

    def test_the_packaged_code_computes_the_same(
        self, examples: Examples, doubts: Doubts
    ) -> None:
        packaged = ClassDoubts.read(doubts.classifier.arrays())
        assert packaged is not None
        views = examples.features[:, 0]
        probabilities = doubts.classifier.probabilities(np.full(PHOTOS, 0.6), views)
        certain = np.abs(probabilities - LEAST_PROBABILITY) > 0.02
        for view, probability in zip(
            views[certain], probabilities[certain], strict=True
        ):
            [label] = packaged.mark([Label("n1", "dog", 0.6)], view)
            assert label.is_doubtful == (probability < LEAST_PROBABILITY)


class TestVerdicts:
    def test_each_is_about_a_photo_of_the_manifest(self) -> None:
        known = {each.sha256[:DIGITS] for each in read_labelled_photos()}
        verdicts = read_verdicts()
        assert set(verdicts.photos) <= known
        assert len(verdicts.photos) == len(verdicts.right) > 3000
        assert verdicts.confidences.min() >= 0.45

    def test_another_letter_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "verdicts.csv"
        path.write_text("sha256,id,confidence,verdict\na,n1,0.5,r\nb,n1,0.5,x\n")
        with pytest.raises(
            ValueError, match=r"^verdicts\.csv, line 3: 'x' is none of r, a, w, l"
        ):
            read_verdicts(path)


class TestDigest:
    def test_it_is_written_beside_the_heads(self, tmp_path: Path) -> None:
        path = tmp_path / "model.toml"
        path.write_text(
            f'sha256 = "{"0" * 64}"\n\n[heads]\nlabels = "a"\nsha256 = "{"0" * 64}"\n'
        )
        write_digest(path, b"weights")
        digest = hashlib.sha256(b"weights").hexdigest()
        assert path.read_text() == (
            f'sha256 = "{"0" * 64}"\n\n[heads]\nlabels = "a"\nsha256 = "{digest}"\n'
        )

    def test_a_model_without_heads(self, tmp_path: Path) -> None:
        path = tmp_path / "model.toml"
        path.write_text('sha256 = ""\n')
        with pytest.raises(ValueError, match=r"model\.toml has no \[heads\] with a"):
            write_digest(path, b"weights")


class TestFolds:
    def test_no_group_is_in_two(self) -> None:
        groups = [name for name in "abcdefgh" for _ in range(ord(name) - 95)]
        parts = list(folds(groups, 3))
        assert (np.sum(parts, axis=0) == 1).all()
        for name in set(groups):
            here = np.array(groups) == name
            assert sum(part[here].any() for part in parts) == 1
        assert max(part.sum() for part in parts) <= len(groups) / 3 + 3

    def test_there_are_not_more_than_groups(self) -> None:
        assert len(list(folds(["a", "b", "a"], 6))) == 2


class TestPhotos:
    def test_a_reduced_photo_is_used_as_it_is(self, tmp_path: Path) -> None:
        (tmp_path / f"{'a' * 16}.jpg").write_bytes(b"reduced")
        assert find_photo(tmp_path, photo()) == b"reduced"

    def test_an_original_is_reduced(self, tmp_path: Path) -> None:
        Image.new("RGBA", (1024, 600)).save(tmp_path / f"{'a' * 64}.png")
        reduced = Image.open(io.BytesIO(find_photo(tmp_path, photo())))
        assert (reduced.format, reduced.size) == ("JPEG", (512, 300))
        assert reduced.getpixel((0, 0)) == (255, 255, 255)

    def test_a_missing_one_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(
            FileNotFoundError,
            match=f"neither {'a' * 16}.jpg nor a file named {'a' * 64}, of the",
        ):
            find_photo(tmp_path, photo())


def without_embedding() -> bytes:
    """Return the bundled network as TensorFlow's converter wrote it."""
    model = schema.ModelT.InitFromPackedBuf(NETWORK.read_bytes(), 0)
    graph = model.subgraphs[0]
    graph.tensors[graph.outputs[-1]].name = b"net/global_average_pooling2d/Mean"
    graph.outputs = graph.outputs[:1]
    for signature in model.signatureDefs or []:
        signature.outputs = signature.outputs[:1]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class TestEmbedding:
    def test_it_is_a_further_output(self) -> None:
        outputs = [
            Interpreter(model_content=each).get_output_details()
            for each in (without_embedding(), with_embedding(without_embedding()))
        ]
        assert [list(each["shape"]) for each in outputs[0]] == [[1, 1000]]
        assert [list(each["shape"]) for each in outputs[1]] == [[1, 1000], [1, 1280]]
        assert outputs[1][1]["name"] == "embedding"

    def test_the_bundled_network_has_it(self) -> None:
        assert with_embedding(NETWORK.read_bytes()) == NETWORK.read_bytes()

    def test_another_network_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("embedding_output.WIDTH", 1281)
        with pytest.raises(ValueError, match=r"^the file has 0 tensors of 1281 pooled"):
            with_embedding(without_embedding())

    def test_features_are_roots_of_length_one(self) -> None:
        assert features(np.array([9.0, 16.0, 0.0])) == pytest.approx([0.6, 0.8, 0.0])
        assert features(np.zeros(3)) == pytest.approx([0.0, 0.0, 0.0])


class TestModelCard:
    def test_it_lists_heads_licences_and_mistakes(
        self, examples: Examples, training: Training
    ) -> None:
        photos = [photo(set=group, group=group) for group in examples.groups]
        card = model_card(photos, training.heads, training.without, DOUBTS)
        assert card.startswith("480 photos from 4 sets, which are in 4 groups")
        assert "\nsky " in card
        assert "snow (120 photos, 1 of the groups)" in card
        assert "\nMIT" in card

    def test_its_tables_are_valid(self, examples: Examples, training: Training) -> None:
        from docutils.core import publish_doctree

        photos = [photo(set=group) for group in examples.groups]
        card = model_card(photos, training.heads, training.without, DOUBTS)
        document = publish_doctree(card, settings_overrides={"halt_level": 2})
        assert len(list(document.findall(lambda node: node.tagname == "table"))) == 5
