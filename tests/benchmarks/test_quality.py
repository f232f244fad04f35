from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import pytest
import quality
from figures import Share
from judges import EditorJudge, Judgement, Words
from PIL import Image
from tagged import ALL, Photos

from flask_autotag.providers.base import GENERAL, Label
from flask_autotag.providers.concept_hierarchy import hierarchy

[ANIMAL] = [each for each, name in hierarchy().names.items() if name == "animal"]


def judge(**kinds: str) -> EditorJudge:
    """Return a judge of photos that all show a beagle."""
    right = frozenset({"beagle", "animal"})
    words = {file: Words(kind, right, frozenset()) for file, kind in kinds.items()}
    return EditorJudge(words, {("two", "hat"): Judgement.LAUGHABLE})


@pytest.fixture
def photos() -> Photos:
    labels: Mapping[str, list[Label]] = {
        "one": [Label("x1", "beagle", 0.95), Label("x2", "menu", 0.35)],
        "two": [Label(ANIMAL, "animal", 0.7), Label("x3", "hat", 0.6)],
        "three": [Label("x4", "text", 0.8, GENERAL), Label("x5", "cat", 0.2)],
    }
    return Photos("CMS", judge(one="animal", two="graphic", three="document"), labels)


class TestFigures:
    def test_documents_and_graphics_are_also_one_group(self, photos: Photos) -> None:
        groups = photos.groups()
        assert list(groups) == [
            *("animal", "document", "graphic"),
            *("document, graphic", ALL),
        ]
        assert groups["document, graphic"] == ["two", "three"]

    def test_a_group_without_photos_is_left_out(self) -> None:
        assert list(Photos("", judge(one=""), {"one": []}).groups()) == ["", ALL]

    def test_the_threshold_decides_what_is_a_tag(self, photos: Photos) -> None:
        at = {each: photos.figures(["one", "two"], each) for each in (0.3, 0.5, 0.9)}
        assert [at[each].judged.total() for each in at] == [4, 3, 1]
        assert at[0.9].untagged == Share(1, 2)
        assert at[0.3].judged[Judgement.UNJUDGED] == 1
        assert at[0.5].judged[Judgement.LAUGHABLE] == 1

    def test_broader_tags_can_be_left_out(self, photos: Photos) -> None:
        assert photos.figures(["two"], 0.5).found == Share(1, 1)
        assert photos.figures(["two"], 0.5, broader=False).found == Share(0, 1)

    def test_reliability_is_told_by_confidence_and_kind_of_label(
        self, photos: Photos
    ) -> None:
        strict = {
            kind: [str(band.strict) for band in bands]
            for kind, bands in photos.reliability().items()
        }
        assert strict == {
            "class": ["-", "0.000", "-", "-", "1.000"],
            "broader": ["-", "-", "1.000", "-", "-"],
            "general": ["-", "-", "-", "0.000", "-"],
        }


class TestTables:
    def test_photos_are_compared_at_each_threshold(self, photos: Photos) -> None:
        lines = list(quality.comparison([photos, photos]))
        assert len(lines) == 2 + 2 * 6
        expected = "0.5 CMS 3 0.333 -> 0.667 0.333 -> 0.500 1.00 -> 1.33"
        assert lines[6].split() == expected.split()

    def test_kinds_have_a_line_each(self, photos: Photos) -> None:
        lines = list(quality.by_kind(photos, 0.5))
        assert lines[0] == "CMS, threshold 0.5"
        expected = "document, graphic 2 0.000 0.500 1.50 0.333 0.333 0 1 1 2"
        assert lines[-2].split() == expected.split()

    def test_intervals_have_a_line_for_each_kind(self, photos: Photos) -> None:
        lines = list(quality.intervals(photos, 0.5))
        assert lines[2].split()[:3] == ["animal", "0.000-0.793", "0.207-1.000"]

    def test_reliability_shows_tags_and_shares(self, photos: Photos) -> None:
        lines = list(quality.reliability(photos))
        expected = "class 0 - - 1 0.000 0.000 0 - - 0 - - 1 1.000 1.000"
        assert lines[2].split() == expected.split()


class TestList:
    def test_it_holds_each_unjudged_tag_once_without_its_confidence(
        self, photos: Photos, tmp_path: Path
    ) -> None:
        quality.write_list(tmp_path / "list.csv", photos.unjudged())
        with (tmp_path / "list.csv").open(encoding="utf-8", newline="") as file:
            assert list(csv.reader(file)) == [
                ["file", "tag"],
                ["one", "menu"],
                ["three", "text"],
            ]


class TestProgram:
    @pytest.fixture
    def cms(self, tmp_path: Path) -> Path:
        Image.new("RGB", (64, 64), "gray").save(tmp_path / "a.png")
        (tmp_path / "labels.csv").write_text(
            "file,kind,tags,implied,visible\na.png,graphic,grey,,\n"
        )
        return tmp_path

    def run(self, monkeypatch: pytest.MonkeyPatch, *options: str | Path) -> None:
        monkeypatch.setattr("sys.argv", ["quality.py", *map(str, options)])
        quality.main()

    def test_it_classifies_and_prints_the_tables(
        self,
        cms: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        (cms / "photos").mkdir()
        Image.new("RGB", (64, 64), "gray").save(cms / "photos" / "b.png")
        (cms / "photos" / "labels.csv").write_text(
            "file,class_index,wordnet_id\nb.png,162,n02088364\n"
        )
        options = ("--photos", cms / "photos", "--list", cms / "list.csv")
        self.run(monkeypatch, "--cms", cms, *options, "--reliability")
        printed = capsys.readouterr().out
        for title in ("as they are", "shrunk and blurred", "CMS"):
            assert f"{title}: tags, right" in printed
        assert "CMS, threshold 0.5, 95 % intervals" in printed
        assert (cms / "list.csv").read_text().startswith("file,tag")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ([], "name a folder with --photos, --cms or both"),
            (["--photos", "x", "--list", "y"], "--list needs --cms"),
        ],
    )
    def test_options_that_name_no_photos_are_refused(
        self,
        options: list[str],
        message: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        with pytest.raises(SystemExit):
            self.run(monkeypatch, *options)
        assert message in capsys.readouterr().err
