"""What is stored about one tag, read for its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy.orm import Session

from ..assets import SYSTEM, AssetRef
from ..catalogue import (
    Made,
    Uses,
    count_one,
    latest_images,
    read_made,
    read_names,
    tag_names,
)
from ..settings.resolution import Layers, Words
from ..settings.stored import StoredSettings
from ..vocabulary import TagName, Vocabulary, tag_name
from .scope import Scope

#: Images that are shown, and names that are offered while one is typed.
_IMAGES, _OFFERED = 12, 1000


@dataclass(frozen=True)
class Alias:
    """Another word for a tag.

    :param becomes: the name that it gets; not the tag's where that takes two steps.
    :param is_own: whether that was decided here.
    """

    key: str
    name: str
    becomes: str
    is_own: bool


@dataclass(frozen=True)
class Facts:
    """What is stored about a tag.

    :param layers: what was decided about all words, among other things.
    :param name: as the tag, or the word, is written.
    :param uses: on how many images it is.
    :param made: who decided about it, by instance.
    :param aliases: the words that become it.
    :param offered: names of other tags.
    :param images: some that have it.
    """

    layers: Layers
    name: TagName
    uses: Uses
    made: Mapping[str, Made]
    aliases: Sequence[Alias]
    offered: Sequence[str]
    images: Sequence[AssetRef]

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """What holds for all words."""
        return self.layers.resolve().vocabulary

    @cached_property
    def given(self) -> Mapping[str, TagName]:
        """The names that words have got, by key."""
        return {name.key: name for name in self.vocabulary.given_names}

    @property
    def system(self) -> Words:
        """What was decided about words for the system."""
        return self.layers.system_words

    @property
    def own(self) -> Words | None:
        """What was for the instance; ``None`` where the scope is the system."""
        return None if self.layers.instance is None else self.layers.own_words

    @property
    def here(self) -> Words:
        """What was decided about words for the scope itself."""
        return self.system if self.own is None else self.own


def read_facts(
    session: Session, stored: StoredSettings, scope: Scope, asked_for: TagName
) -> Facts:
    """Read it.

    :param asked_for: the tag, written as it was asked for.
    """
    models, instance, key = stored.models, scope.instance, asked_for.key
    layers = stored.layers(session, instance)
    becoming = _becoming(layers.resolve().vocabulary, key)
    names = read_names(session, models, instance, [key, *becoming])
    own = layers.system_words if scope.is_system else layers.own_words
    made = read_made(session, models, instance, [key])
    return Facts(
        layers,
        names.get(key, asked_for),
        count_one(session, models, instance, key),
        {place: each for (place, _), each in made.items()},
        [
            Alias(
                alias,
                names[alias].name if alias in names else alias,
                name,
                alias in own and own[alias].becomes is not None,
            )
            for alias, name in becoming.items()
        ],
        tag_names(session, models, instance, _OFFERED),
        []
        if instance == SYSTEM
        else latest_images(session, models, instance, key, _IMAGES),
    )


def _becoming(vocabulary: Vocabulary, key: str) -> dict[str, str]:
    """Find the other words that are called so in the end, and what they become."""
    found = {}
    for other, word in sorted(vocabulary.words.items()):
        called = vocabulary.called(TagName(other, other))
        if word.becomes and other != key and called.key == key:
            found[other] = tag_name(word.becomes).name
    return found
