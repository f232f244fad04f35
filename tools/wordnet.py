"""Read nouns from the database of WordNet 3.0, as Debian's wordnet-base installs it.

The manual page ``wndb(5)`` describes the format. An id is an ``n`` and the eight digits
of a noun's byte offset in ``data.noun``, like the ids of ImageNet's classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT_DIRECTORY = Path("/usr/share/wordnet")

# "@" points from a kind to a broader kind, "@i" from an individual to a kind (wndb(5)).
_HYPERNYM_POINTERS = {"@", "@i"}


@dataclass(frozen=True)
class Noun:
    """One meaning, with its words.

    :param lemmas: the words, the most usual first, with spaces between parts.
    :param hypernyms: the ids of the meanings directly above.
    :param gloss: the definition, with examples.
    :param individual: whether it is an individual, such as a certain river, not a kind.
    """

    lemmas: tuple[str, ...]
    hypernyms: tuple[str, ...]
    gloss: str
    individual: bool = False


def read_nouns(directory: Path = DEFAULT_DIRECTORY) -> dict[str, Noun]:
    """Read every noun of the database.

    :param directory: the folder of ``data.noun``.
    :return: the nouns by id.
    """
    with (directory / "data.noun").open(encoding="ascii") as file:
        # The licence is at the top; its lines begin with two spaces.
        return dict(_parse(line) for line in file if not line.startswith("  "))


def hypernym_closure(nouns: dict[str, Noun], noun_id: str) -> list[str]:
    """Return all meanings above one, each once, the nearest first.

    :param nouns: the result of :func:`read_nouns`.
    :param noun_id: the meaning to start from, which is not in the result.
    """
    found: dict[str, None] = {}
    level = nouns[noun_id].hypernyms
    while level:
        found.update(dict.fromkeys(level))
        above = (up for noun in level for up in nouns[noun].hypernyms)
        level = tuple(noun for noun in dict.fromkeys(above) if noun not in found)
    return list(found)


def _parse(line: str) -> tuple[str, Noun]:
    """Read one line: offset, file, type, words with sense ids, pointers, gloss."""
    fields, _, gloss = line.partition("|")
    offset, _, _, word_count, *rest = fields.split()
    # The number of words is hexadecimal, the number of pointers decimal.
    words_end = 2 * int(word_count, 16)
    pointers_end = words_end + 1 + 4 * int(rest[words_end])
    pointers = rest[words_end + 1 : pointers_end]
    kinds = pointers[::4]
    return f"n{offset}", Noun(
        lemmas=tuple(word.replace("_", " ") for word in rest[:words_end:2]),
        hypernyms=tuple(
            f"n{target}"
            for kind, target in zip(kinds, pointers[1::4], strict=True)
            if kind in _HYPERNYM_POINTERS
        ),
        gloss=gloss.strip(),
        individual="@i" in kinds,
    )
