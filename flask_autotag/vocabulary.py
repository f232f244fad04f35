"""What makes a name a tag, and when two names are the same tag."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from .models import NAME_LENGTH


@dataclass(frozen=True)
class TagName:
    """A name in normal form.

    :param key: equal for names that are the same tag.
    :param name: what people read.
    """

    key: str
    name: str


def tag_name(text: str) -> TagName:
    """Bring a name into normal form.

    Unicode's NFKC makes one form of the ways to write a character; control
    characters go, white space is folded to single blanks, and the key ignores case.

    :raises ValueError: if nothing is left, or more than 100 characters are.
    """
    name = unicodedata.normalize("NFKC", text)
    name = " ".join("".join(map(_without_controls, name)).split())
    # What stood on both sides of a character that went may be one character now.
    name = unicodedata.normalize("NFKC", name)
    if not name:
        raise ValueError(f"a tag needs a name, not {text!r:.80}")
    if len(name) > NAME_LENGTH:
        raise ValueError(f"a tag's name has at most {NAME_LENGTH} characters")
    # Folding can undo the normal form ("ͅ" for one), so it is made again.
    return TagName(unicodedata.normalize("NFKC", name.casefold()), name)


def _without_controls(character: str) -> str:
    """Drop what cannot be seen, such as NUL or a change of writing direction."""
    if character.isspace():
        return " "
    return "" if unicodedata.category(character) in ("Cc", "Cf", "Cs") else character
