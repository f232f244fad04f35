"""Images that a bulk command skips because of an error."""

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
    :ivar named: a sentence for each of the first ones: asset, instance and error.
    """

    count: int = 0
    named: list[str] = field(default_factory=list)

    def add(self, asset: AssetRef, instance: str, error: TaggingError) -> None:
        """Count an image, and name it if it is one of the first."""
        self.count += 1
        if len(self.named) < NAMED:
            self.named.append(printable(f"{asset} ({instance}): {error.log_text}"))
