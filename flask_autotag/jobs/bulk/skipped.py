"""Images that a bulk command leaves out, and why."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...characters import printable
from ...errors import TaggingError
from ...host.assets import AssetRef

#: Images that are named; the others are only counted.
NAMED = 20


@dataclass
class Skipped:
    """The skipped images of one command.

    :ivar count: number of skipped images.
    :ivar named: a text for each of the first ones, with the reason.
    """

    count: int = 0
    named: list[str] = field(default_factory=list)

    def add(self, asset: AssetRef, instance: str, error: TaggingError) -> None:
        """Count an image that could not be read: asset, instance and error."""
        self.note(f"{asset} ({instance}): {error.log_text}")

    def note(self, text: str) -> None:
        """Count an image, and keep the text about it if it is one of the first."""
        self.count += 1
        if len(self.named) < NAMED:
            self.named.append(printable(text))
