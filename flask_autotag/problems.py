"""Images that cannot be looked at, counted and named, while the others go on."""

from __future__ import annotations

from dataclasses import dataclass, field

from .assets import AssetRef

#: How many are named: of a million the rest would hide what matters.
NAMED = 20


@dataclass
class Problems:
    """What went wrong with single images.

    :ivar count: how many there are.
    :ivar named: of the first ones, a sentence each.
    """

    count: int = 0
    named: list[str] = field(default_factory=list)

    def add(self, asset: AssetRef, instance: str, error: Exception) -> None:
        """Note what is wrong with an image."""
        self.count += 1
        if len(self.named) < NAMED:
            self.named.append(f"{asset} ({instance}): {error}")
