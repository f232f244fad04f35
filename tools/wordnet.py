"""Read nouns from WordNet 3.0's own database, as Debian's wordnet-base installs it.

The format is described in the manual page ``wndb(5)``. An id is an ``n`` and the eight
digits of a noun's byte offset in ``data.noun``; ImageNet names its classes so too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT_DIRECTORY = Path("/usr/share/wordnet")

# "@" points from a kind to what it is a kind of, "@i" from an individual (wndb(5)).
_HYPERNYM_POINTERS = {"@", "@i"}


@dataclass(frozen=True)
class Noun:
    """One meaning, and the words for it.

    :param lemmas: the words, the most usual first; spaces between parts.
    :param hypernyms: ids of the meanings directly above.
    :param gloss: the definition, with examples.
    :param individual: whether it is one thing with a name, such as a river, no kind.
    """

    lemmas: tuple[str, ...]
    hypernyms: tuple[str, ...]
    gloss: str
    individual: bool = False


def read_nouns(directory: Path = DEFAULT_DIRECTORY) -> dict[str, Noun]:
    """Read every noun of the database.

    :param directory: the one that holds ``data.noun``.
    :return: the nouns by id.
    """
    with (directory / "data.noun").open(encoding="ascii") as file:
        # The licence stands at the top, each of its lines behind two spaces.
        return dict(_parse(line) for line in file if not line.startswith("  "))


def hypernym_closure(nouns: dict[str, Noun], noun_id: str) -> list[str]:
    """List all meanings above one, each once, the nearest first.

    :param nouns: what :func:`read_nouns` gave.
    :param noun_id: of the meaning to start at, which is not in the list itself.
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
