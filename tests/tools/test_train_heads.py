from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("scipy", reason="SciPy is not installed.")

import numpy as np
import train_heads
from embedding_output import with_embedding
from labelled_photos import LabelledPhoto, Labels
from model_card import model_card
from PIL import Image
from train_heads import (
    CONCEPTS,
    LEAST_GROUPS,
    LEAST_POSITIVES,
    NETWORK,
    WEIGHTS,
    Examples,
    Training,
    check,
    concepts_file,
    features,
    find_photo,
    folds,
    logits,
    train,
    weights_file,
)

WIDTH = 8
PHOTOS = 480
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
        assert weights_file(first.heads) == weights_file(second.heads)
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
        with np.load(io.BytesIO(weights_file(training.heads))) as arrays:
            assert {
                name: (arrays[name].dtype.name, arrays[name].shape) for name in arrays
            } == {
                "weights": ("int8", (2, WIDTH)),
                "scale": ("float32", (2,)),
                "bias": ("float32", (2,)),
            }

    def test_the_concepts_are_in_the_same_order(self, training: Training) -> None:
        assert concepts_file(training) == b"id,name\nn09436708,sky\nn09426788,sea\n"

    def test_they_hold_the_trained_heads(
        self, examples: Examples, training: Training
    ) -> None:
        content = weights_file(training.heads)
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
        (tmp_path / WEIGHTS).write_bytes(weights_file(training.heads))
        (tmp_path / CONCEPTS).write_bytes(concepts_file(training))
        return tmp_path

    def compare(self, committed: Path, training: Training, examples: Examples) -> bool:
        files = {
            WEIGHTS: weights_file(training.heads),
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
        swapped = weights_file(training.heads[::-1])
        (committed / WEIGHTS).write_bytes(swapped)
        assert not self.compare(committed, training, examples)
        assert "heads.npz: DIFFERENT; confidences" in capsys.readouterr().out


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


class TestEmbedding:
    def test_it_is_a_further_output(self) -> None:
        from ai_edge_litert.interpreter import Interpreter

        data = NETWORK.read_bytes()
        outputs = [
            Interpreter(model_content=each).get_output_details()
            for each in (with_embedding(data), data)
        ]
        assert outputs[0][-1]["name"] == "embedding"
        assert list(outputs[0][-1]["shape"]) == [1, 1280]
        assert list(outputs[0][0]["shape"]) == [1, 1000]

    def test_it_is_added_once(self) -> None:
        extended = with_embedding(NETWORK.read_bytes())
        assert with_embedding(extended) == extended

    def test_another_network_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("embedding_output.WIDTH", 1281)
        with pytest.raises(ValueError, match=r"^the file has 0 tensors of 1281 pooled"):
            with_embedding(NETWORK.read_bytes())

    def test_features_are_roots_of_length_one(self) -> None:
        assert features(np.array([9.0, 16.0, 0.0])) == pytest.approx([0.6, 0.8, 0.0])
        assert features(np.zeros(3)) == pytest.approx([0.0, 0.0, 0.0])


class TestModelCard:
    def test_it_lists_heads_licences_and_mistakes(
        self, examples: Examples, training: Training
    ) -> None:
        photos = [photo(set=group, group=group) for group in examples.groups]
        card = model_card(photos, training.heads, training.without)
        assert card.startswith("480 photos from 4 sets, which are in 4 groups")
        assert "\nsky " in card
        assert "snow (120 photos, 1 of the groups)" in card
        assert "\nMIT" in card

    def test_its_tables_are_valid(self, examples: Examples, training: Training) -> None:
        from docutils.core import publish_doctree

        photos = [photo(set=group) for group in examples.groups]
        card = model_card(photos, training.heads, training.without)
        document = publish_doctree(card, settings_overrides={"halt_level": 2})
        assert len(list(document.findall(lambda node: node.tagname == "table"))) == 4
