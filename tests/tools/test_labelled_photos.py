from __future__ import annotations

import re
from pathlib import Path

import pytest
from labelled_photos import (
    FOLDER,
    Labels,
    concept_ids,
    read_labelled_photos,
    read_labels,
    write_labels,
)

CAT, DOG = "a" * 64, "d" * 64


def write(folder: Path, manifest: list[str], labels: list[str]) -> None:
    header = "sha256,set,group,repository,commit,path,licence"
    rows = [f"{sha256},pets,pets,someone/pets,1,cat.jpg,MIT" for sha256 in manifest]
    (folder / "manifest.csv").write_text("\n".join([header, *rows]))
    (folder / "labels.csv").write_text("\n".join(["sha256,yes,maybe", *labels]))


class TestCommittedFiles:
    def test_they_are_coherent(self) -> None:
        photos = read_labelled_photos()
        assert len(photos) > 3900
        assert all(re.fullmatch("[0-9a-f]{64}", photo.sha256) for photo in photos)
        assert all(photo.set and photo.group and photo.licence for photo in photos)

    def test_a_set_is_in_one_group(self) -> None:
        photos = read_labelled_photos()
        pairs = {(photo.set, photo.group) for photo in photos}
        sets = [name for name, _ in pairs]
        assert len(sets) == len(set(sets))
        assert {group for _, group in pairs} <= set(sets)

    def test_photos_without_permission_are_left_out(self) -> None:
        licences = {photo.licence.lower() for photo in read_labelled_photos()}
        assert not any("all rights reserved" in licence for licence in licences)

    def test_the_concepts_are_in_their_usual_order(self, tmp_path: Path) -> None:
        committed = FOLDER / "labels.csv"
        write_labels(read_labels(committed), tmp_path / "labels.csv")
        assert (tmp_path / "labels.csv").read_bytes() == committed.read_bytes()


class TestReading:
    def test_a_photo_shows_certain_and_marginal_concepts(self, tmp_path: Path) -> None:
        write(tmp_path, [CAT], [f"{CAT[:16]},animal;living room,plant"])
        [photo] = read_labelled_photos(tmp_path)
        assert photo.labels == Labels(
            frozenset({"animal", "living room"}), frozenset({"plant"})
        )
        assert [photo.target(name) for name in ("animal", "plant", "sky")] == [
            1,
            0.5,
            0,
        ]

    @pytest.mark.parametrize(
        ("manifest", "labels", "message"),
        [
            ([CAT], [], "manifest.csv: aaaaaaaaaaaaaaaa has no line in labels.csv"),
            (
                [CAT],
                [f"{CAT[:16]},,", f"{DOG[:16]},,"],
                "labels.csv: dddddddddddddddd has no line in manifest.csv",
            ),
            (
                [CAT, CAT],
                [f"{CAT[:16]},,"],
                "manifest.csv: aaaaaaaaaaaaaaaa is listed twice",
            ),
            (
                [CAT],
                [f"{CAT[:16]},,", f"{CAT[:16]},sky,"],
                "labels.csv: aaaaaaaaaaaaaaaa is listed twice",
            ),
            (
                [CAT],
                [f"{CAT[:16]},skies,seas"],
                "labels.csv: aaaaaaaaaaaaaaaa: no concept is named 'seas', 'skies'",
            ),
            (
                [CAT],
                [f"{CAT[:16]},sky,sky"],
                "labels.csv: aaaaaaaaaaaaaaaa: 'sky' is in both yes and maybe",
            ),
        ],
    )
    def test_what_does_not_match_is_named(
        self, tmp_path: Path, manifest: list[str], labels: list[str], message: str
    ) -> None:
        write(tmp_path, manifest, labels)
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            read_labelled_photos(tmp_path)

    def test_the_concepts_are_the_general_ones(self) -> None:
        assert concept_ids()["sky"] == "n09436708"
