from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import pytest
from label_photos import digits_of, merge, read_filled, write_sheets
from labelled_photos import Labels, read_labels
from PIL import Image

CAT, DOG = "a" * 16, "d" * 16
EMPTY = "001.csv: 1 of 1: yes is empty; write - if the photo shows no concept"


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    """Return a folder with a manifest of two photos, one of them labelled."""
    folder = tmp_path / "heads"
    folder.mkdir()
    header = "sha256,set,group,repository,commit,path,licence"
    rows = [f"{sha256 * 4},pets,pets,someone/pets,1,x.jpg,MIT" for sha256 in (CAT, DOG)]
    (folder / "manifest.csv").write_text("\n".join([header, *rows]))
    (folder / "labels.csv").write_text(f"sha256,yes,maybe\n{CAT},animal,\n")
    return folder


def filled(folder: Path, *rows: str) -> Path:
    path = folder / "001.csv"
    path.write_text("\n".join(["number,sha256,yes,maybe", *rows]))
    return path


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


class TestSheets:
    def test_a_sheet_has_sixteen_photos(self, tmp_path: Path) -> None:
        photos = tmp_path / "photos"
        photos.mkdir()
        for number in range(17):
            Image.new("RGB", (40 + number, 30)).save(photos / f"{number:02}.png")
        assert write_sheets(photos, tmp_path / "sheets") == 2
        assert size_of(tmp_path / "sheets/001.png") == (1200, 1200)
        assert size_of(tmp_path / "sheets/002.png") == (1200, 300)
        with (tmp_path / "sheets/001.csv").open() as file:
            rows = list(csv.reader(file))
        digest = hashlib.sha256((photos / "00.png").read_bytes()).hexdigest()
        assert len(rows) == 17
        assert rows[:2] == [
            ["number", "sha256", "yes", "maybe"],
            ["1 of 16", digest[:16], "", ""],
        ]

    def test_a_reduced_photo_keeps_its_name(self, tmp_path: Path) -> None:
        assert digits_of(tmp_path / f"{CAT}.jpg") == CAT

    def test_filled_files_are_not_overwritten(self, tmp_path: Path) -> None:
        (tmp_path / "photos").mkdir()
        Image.new("RGB", (40, 30)).save(tmp_path / "photos/cat.png")
        path = filled(tmp_path, f"1 of 1,{CAT},animal,")
        before = path.read_bytes()
        with pytest.raises(FileExistsError, match=r"001\.csv"):
            write_sheets(tmp_path / "photos", tmp_path)
        assert path.read_bytes() == before


class TestReading:
    def test_labels_are_merged(self, tmp_path: Path, heads: Path) -> None:
        path = filled(tmp_path, f"1 of 2,{CAT},-,animal", f"2 of 2,{DOG},sky; animal,")
        assert merge([path], heads) == []
        assert read_labels(heads / "labels.csv") == {
            CAT: Labels(frozenset(), frozenset({"animal"})),
            DOG: Labels(frozenset({"sky", "animal"}), frozenset()),
        }
        assert f"{DOG},sky;animal," in (heads / "labels.csv").read_text()

    @pytest.mark.parametrize(
        ("rows", "problems"),
        [
            ([], ["001.csv: there are no lines; write the sheets again"]),
            (
                [f"1 of 3,{CAT},-,"],
                [
                    "001.csv: the line 2 of 3 is missing",
                    "001.csv: the line 3 of 3 is missing",
                ],
            ),
            (
                [f"1 of 1,{CAT},,sky"],
                [EMPTY],
            ),
            (
                [f"1 of 1,{CAT}"],
                [EMPTY],
            ),
            (
                [f"1 of 2,{CAT},skies,", f"2 of 2,{DOG},sky,sky"],
                [
                    "001.csv: 1 of 2: no concept is named 'skies'",
                    "001.csv: 2 of 2: 'sky' is in both yes and maybe",
                ],
            ),
        ],
    )
    def test_what_is_wrong_is_named(
        self, tmp_path: Path, rows: list[str], problems: list[str]
    ) -> None:
        assert read_filled(filled(tmp_path, *rows))[1] == problems

    def test_nothing_is_merged_if_a_photo_s_origin_is_unknown(
        self, tmp_path: Path, heads: Path
    ) -> None:
        before = (heads / "labels.csv").read_bytes()
        path = filled(tmp_path, f"1 of 2,{DOG},sky,", f"2 of 2,{'b' * 16},sky,")
        assert merge([path], heads) == [
            "001.csv: bbbbbbbbbbbbbbbb is not in manifest.csv: add where it comes from"
        ]
        assert (heads / "labels.csv").read_bytes() == before
