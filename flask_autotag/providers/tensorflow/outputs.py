"""The outputs of a network for one image."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .shapes import Array


class Outputs(NamedTuple):
    """The outputs of a network for one image; not checked yet.

    :param classes: shape ``(1, width)``.
    :param embedding: shape ``(1, features)``; ``None`` if the model has no heads.
    """

    classes: Array
    embedding: Array | None = None
