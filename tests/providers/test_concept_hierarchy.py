from __future__ import annotations

import csv
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_autotag.providers import concept_hierarchy
from flask_autotag.providers.base import MOST_BROADER
from flask_autotag.providers.concept_hierarchy import groups, hierarchy
from flask_autotag.providers.tensorflow import model_file
from flask_autotag.providers.tensorflow.provider import DEFAULT_MODEL
from flask_autotag.settings.tag_names import tag_name

TOOLS = Path(__file__).parents[2] / "tools"
LABELS = model_file.find(DEFAULT_MODEL, None).labels
IDS = [label_id for label_id, _ in LABELS]
NAMES = dict(LABELS)

ANIMAL, MAMMAL, DOG = "n00015388", "n01861778", "n02084071"


def classes_below(name: str) -> set[str]:
    """Return the names of the bundled model's classes below a broader tag."""
    [concept] = [each for each in hierarchy().names if hierarchy().names[each] == name]
    return {NAMES[IDS[place]] for place in groups(IDS)[concept]}


class TestHierarchy:
    def test_a_concept_is_below_what_is_wider(self) -> None:
        known = hierarchy()
        assert known.names[DOG] == "dog"
        assert known.above(DOG) == {ANIMAL, MAMMAL}
        assert known.above(ANIMAL) == frozenset()

    def test_what_is_no_concept_has_nothing_above(self) -> None:
        assert "n02088364" not in hierarchy()  # the beagle, a class
        assert hierarchy().above("n02088364") == frozenset()
        assert hierarchy().above("") == frozenset()

    def test_nothing_lies_above_itself(self) -> None:
        known = hierarchy()
        for concept in known.names:
            above = known.above(concept)
            assert concept not in above
            assert all(known.above(each) < above for each in above)

    def test_the_parents_are_the_nearest(self) -> None:
        known = hierarchy()
        for parents in known.parents.values():
            assert parents <= known.names.keys()
            assert not any(known.above(each) & parents for each in parents)

    def test_the_names_are_different_tags(self) -> None:
        names = hierarchy().names.values()
        assert all(tag_name(name).name == name for name in names)
        assert len({tag_name(name).key for name in names}) == len(names)

    def test_none_is_a_class_of_the_bundled_model(self) -> None:
        # A label's id shows whether it is a class or a broader tag.
        assert not hierarchy().broader & NAMES.keys()

    def test_every_concept_of_an_answer_is_kept(self) -> None:
        assert 150 <= len(hierarchy().broader) <= MOST_BROADER


class TestGroups:
    def test_a_broader_tag_has_the_classes_below_it(self) -> None:
        assert classes_below("cat") == {
            *("tabby cat", "tiger cat", "Persian cat", "Siamese cat", "Egyptian cat")
        }
        assert classes_below("guitar") == {"acoustic guitar", "electric guitar"}
        assert len(classes_below("dog")) == 118

    def test_people_decide_where_wordnet_is_odd(self) -> None:
        assert "coyote" not in classes_below("wolf")
        assert "orca" in classes_below("whale")
        assert "shopping cart" not in classes_below("vehicle")
        assert "school bus" in classes_below("vehicle")
        assert "meatloaf" not in classes_below("bread")

    def test_a_name_is_shared_only_with_a_class_that_it_is_true_of(self) -> None:
        for concept, places in groups(IDS).items():
            name = hierarchy().names[concept]
            namesakes = {
                label_id for label_id, other in LABELS if tag_name(other).key == name
            }
            assert namesakes <= {IDS[place] for place in places}

    @given(st.lists(st.sampled_from(IDS), unique=True, max_size=30))
    def test_places_are_those_of_the_classes_below(self, ids: list[str]) -> None:
        whole = {
            concept: {IDS[place] for place in places}
            for concept, places in groups(IDS).items()
        }
        found = groups(ids)
        for concept, below in whole.items():
            expected = [place for place, each in enumerate(ids) if each in below]
            if len(expected) > 1:
                assert found.pop(concept) == expected
        assert all(concept not in whole for concept in found)

    @given(st.lists(st.sampled_from(IDS), unique=True, max_size=30))
    def test_a_class_is_below_all_that_is_above_a_concept_of_it(
        self, ids: list[str]
    ) -> None:
        found = groups(ids)
        for concept, places in found.items():
            for wider in hierarchy().above(concept):
                assert set(places) <= set(found[wider])

    def test_other_models_of_wordnet_s_classes_have_them_too(self) -> None:
        oak, elm = "n12268246", "n12405714"
        cheetah, puppy, dachshund = "n02130308", "n01322604", "n02089232"
        found = groups([cheetah, oak, DOG, "background", elm, puppy, dachshund])
        assert found[DOG] == [2, 5, 6]
        assert {hierarchy().names[each] for each in found} == {
            *("animal", "dog", "mammal", "plant", "tree")
        }

    def test_one_class_alone_is_no_group(self) -> None:
        assert groups(["n02123045"]) == {}
        assert groups(["n02123045", "n02123045"]) == {}

    def test_a_model_without_wordnet_s_ids_reads_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(concept_hierarchy, "FOLDER", tmp_path)
        assert groups(["dummy", "dog", "n2084071", "n02084071 "]) == {}
        assert groups([]) == {}
        with pytest.raises(FileNotFoundError):
            groups(["n99999999"])


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    sys.path.insert(0, str(TOOLS))
    try:
        import build_broader
    finally:
        sys.path.remove(str(TOOLS))
    return build_broader


class TestReviewedLists:
    def test_the_packaged_concepts_are_the_reviewed_ones(self) -> None:
        with (TOOLS / "broader_names.csv").open(encoding="utf-8", newline="") as file:
            reviewed = {row["wordnet_id"]: row["name"] for row in csv.DictReader(file)}
        assert hierarchy().broader == reviewed.keys()
        assert hierarchy().names.items() >= reviewed.items()

    def test_the_packaged_files_are_made_of_them(self, tool: ModuleType) -> None:
        if not (tool.DEFAULT_DIRECTORY / "data.noun").is_file():
            pytest.skip("wordnet-base is not installed")
        reviewed = tool.read_reviewed(tool.read_nouns())
        assert (
            concept_hierarchy.FOLDER / concept_hierarchy.CONCEPTS
        ).read_bytes() == tool.concepts_file(reviewed)
        packed = (concept_hierarchy.FOLDER / concept_hierarchy.NOUNS).read_bytes()
        assert tool.gzip.decompress(packed) == tool.nouns_file(reviewed)
        assert len(packed) < 300_000
