"""The host's images are queued in batches of limited length and size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_autotag import AssetRef
from flask_autotag.host.image_source import Captured
from flask_autotag.jobs.bulk import untagged
from flask_autotag.jobs.queue import Intent

PHOTO = AssetRef("photo", "1")


@given(
    weights=st.lists(st.integers(0, 20)),
    size=st.integers(1, 5),
    most=st.integers(0, 30),
)
def test_batches_lose_nothing_and_stay_small(
    weights: list[int], size: int, most: int
) -> None:
    intents = [Intent(PHOTO, "shop", Captured(data=bytes(each))) for each in weights]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(untagged, "BATCH_SIZE", size)
        patch.setattr(untagged, "_BYTES", most)
        batches = [
            [len(intent.image.data or b"") for intent in batch]
            for batch in untagged._batches(intents)
        ]
    assert [weight for batch in batches for weight in batch] == weights
    for batch in batches:
        assert 0 < len(batch) <= size
        assert sum(batch[:-1]) <= most
    for batch in batches[:-1]:
        # No batch is smaller than necessary.
        assert len(batch) == size or sum(batch) > most
