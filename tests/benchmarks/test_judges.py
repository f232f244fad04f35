from __future__ import annotations

from pathlib import Path

import pytest
from judges import ClassJudge, EditorJudge, Judgement

from flask_autotag.providers.base import GENERAL, Label

BEAGLE = "n02088364"
EDITOR_COLUMNS = "file,kind,tags,implied,visible"


def label(name: str, part: str = "") -> Label:
    return Label(name, name, 0.9, part)


class TestPhotosOfKnownClasses:
    @pytest.fixture
    def judge(self, tmp_path: Path) -> ClassJudge:
        (tmp_path / "labels.csv").write_text(
            f"file,class_index,wordnet_id\na.jpg,162,{BEAGLE}\n"
        )
        return ClassJudge.read(tmp_path)

    @pytest.mark.parametrize("name", ["beagle", "dog", "animal"])
    def test_the_class_and_what_is_above_it_are_right(
        self, judge: ClassJudge, name: str
    ) -> None:
        assert judge.judge("a.jpg", label(name)) is Judgement.RIGHT

    @pytest.mark.parametrize("name", ["tabby cat", "cat", "person"])
    def test_other_classes_and_broader_tags_are_wrong(
        self, judge: ClassJudge, name: str
    ) -> None:
        assert judge.judge("a.jpg", label(name)) is Judgement.WRONG

    @pytest.mark.parametrize("name", ["person", "text", "vehicle"])
    def test_a_class_does_not_tell_whether_a_general_tag_is_right(
        self, judge: ClassJudge, name: str
    ) -> None:
        assert judge.judge("a.jpg", label(name, GENERAL)) is Judgement.UNDECIDED

    def test_a_general_tag_above_the_class_is_right(self, judge: ClassJudge) -> None:
        assert judge.judge("a.jpg", label("animal", GENERAL)) is Judgement.RIGHT

    def test_the_photos_are_one_kind(self, judge: ClassJudge) -> None:
        assert judge.kinds == {"a.jpg": ""}

    def test_an_unknown_class_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "labels.csv").write_text("file,wordnet_id\na.jpg,n1\n")
        with pytest.raises(ValueError, match=r"labels\.csv: the wordnet_id 'n1' is no"):
            ClassJudge.read(tmp_path)


class TestPhotosOfEditors:
    def read(self, folder: Path, *verdicts: str) -> EditorJudge:
        (folder / "labels.csv").write_text(
            f"{EDITOR_COLUMNS}\n"
            "a.jpg,animal,Tree Frog; frog,animal,plant; outdoor\n"
            "b.jpg,document,invoice,,\n"
        )
        (folder / "judgements.csv").write_text(
            "\n".join(("file,tag,verdict", *verdicts, ""))
        )
        return EditorJudge.read(folder)

    @pytest.mark.parametrize("name", ["tree frog", "frog", "Animal"])
    def test_labelled_and_implied_words_are_right(
        self, tmp_path: Path, name: str
    ) -> None:
        judge = self.read(tmp_path, f"a.jpg,{name},wrong")
        assert judge.judge("a.jpg", label(name)) is Judgement.RIGHT

    @pytest.mark.parametrize("verdict", ["right", "acceptable", "wrong", "laughable"])
    @pytest.mark.parametrize("name", ["plant", "lizard"])
    def test_the_verdict_on_another_tag_counts(
        self, tmp_path: Path, name: str, verdict: str
    ) -> None:
        judge = self.read(tmp_path, f"a.jpg,{name.title()},{verdict}")
        assert judge.judge("a.jpg", label(name)) == verdict

    def test_without_a_verdict_a_visible_word_is_acceptable(
        self, tmp_path: Path
    ) -> None:
        judge = self.read(tmp_path, "a.jpg,lizard,wrong", "b.jpg,menu,wrong")
        assert judge.judge("a.jpg", label("outdoor")) is Judgement.ACCEPTABLE

    @pytest.mark.parametrize("part", ["", GENERAL])
    def test_any_other_tag_is_unjudged(self, tmp_path: Path, part: str) -> None:
        judge = self.read(tmp_path, "a.jpg,menu,right")
        assert judge.judge("b.jpg", label("menu", part)) is Judgement.UNJUDGED
        assert judge.judge("b.jpg", label("frog", part)) is Judgement.UNJUDGED

    def test_the_kinds_are_those_of_the_file(self, tmp_path: Path) -> None:
        assert self.read(tmp_path).kinds == {"a.jpg": "animal", "b.jpg": "document"}

    def test_no_verdicts_are_needed(self, tmp_path: Path) -> None:
        self.read(tmp_path)
        (tmp_path / "judgements.csv").unlink()
        judge = EditorJudge.read(tmp_path)
        assert judge.judge("b.jpg", label("menu")) is Judgement.UNJUDGED

    @pytest.mark.parametrize(
        ("verdicts", "message"),
        [
            (["c.jpg,menu,right"], r"'c\.jpg' is not in labels\.csv"),
            (
                ["b.jpg,menu,good"],
                r"the verdict on 'menu' for 'b\.jpg' is 'good'; use one of right,"
                r" acceptable, wrong, laughable\.",
            ),
            (["b.jpg,menu,unjudged"], r"is 'unjudged'; use one of"),
            (
                ["b.jpg,menu,right", "b.jpg,Menu,wrong"],
                r"'Menu' for 'b\.jpg' has two verdicts; remove one",
            ),
        ],
    )
    def test_a_verdict_that_cannot_count_is_refused(
        self, tmp_path: Path, verdicts: list[str], message: str
    ) -> None:
        with pytest.raises(ValueError, match=rf"judgements\.csv: .*{message}"):
            self.read(tmp_path, *verdicts)

    def test_the_same_verdict_twice_is_one(self, tmp_path: Path) -> None:
        judge = self.read(tmp_path, *["b.jpg,menu,right"] * 2)
        assert judge.judge("b.jpg", label("menu")) is Judgement.RIGHT


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,kind,tags\n")
    with pytest.raises(ValueError, match=r"labels\.csv: add the column 'implied'\."):
        EditorJudge.read(tmp_path)
    (tmp_path / "labels.csv").write_text("")
    with pytest.raises(ValueError, match=r"labels\.csv: add the column 'file'\."):
        ClassJudge.read(tmp_path)
