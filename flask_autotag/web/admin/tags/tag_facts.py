"""The stored facts about one tag, read for its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy.orm import Session

from ....host.assets import SYSTEM, AssetRef
from ....settings.resolution import Layers, WordRules
from ....settings.stored import StoredSettings
from ....settings.tag_names import TagName, tag_name
from ....settings.vocabulary import Vocabulary
from ....tags.queries.word_list import (
    Uses,
    WordChange,
    count_one,
    latest_images,
    list_names,
    read_last_changes,
    read_names,
)
from ..scope import Scope

#: The most images on the page, and the most names that complete a typed one.
_IMAGES, _OFFERED = 12, 1000


@dataclass(frozen=True)
class Alias:
    """Another word for a tag.

    :param becomes: the word's new name, which may itself become the tag.
    :param is_own: whether this scope decided that.
    """

    key: str
    name: str
    becomes: str
    is_own: bool


@dataclass(frozen=True)
class Facts:
    """The stored facts about a tag.

    :param layers: the settings, with the decisions about all words.
    :param name: the stored spelling of the tag or word.
    :param uses: the numbers of its images.
    :param made: the authors of its decisions, by instance.
    :param aliases: the words that become this tag.
    :param offered: names of other tags.
    :param images: some images with the tag.
    """

    layers: Layers
    name: TagName
    uses: Uses
    made: Mapping[str, WordChange]
    aliases: Sequence[Alias]
    offered: Sequence[str]
    images: Sequence[AssetRef]

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary of the scope."""
        return self.layers.resolve().vocabulary

    @cached_property
    def given(self) -> Mapping[str, TagName]:
        """The names to which words were renamed, by key."""
        return {name.key: name for name in self.vocabulary.given_names}

    @property
    def system(self) -> WordRules:
        """The system's decisions about words."""
        return self.layers.system_words

    @property
    def own(self) -> WordRules | None:
        """The instance's decisions; ``None`` if the scope is the system."""
        return None if self.layers.instance is None else self.layers.own_words

    @property
    def here(self) -> WordRules:
        """The scope's own decisions about words."""
        return self.system if self.own is None else self.own


def read_facts(
    session: Session, stored: StoredSettings, scope: Scope, asked_for: TagName
) -> Facts:
    """Read the facts about a tag.

    :param asked_for: the tag as the request spells it.
    """
    models, instance, key = stored.models, scope.instance, asked_for.key
    layers = stored.layers(session, instance)
    becoming = _becoming(layers.resolve().vocabulary, key)
    names = read_names(session, models, instance, [key, *becoming])
    own = layers.system_words if scope.is_system else layers.own_words
    made = read_last_changes(session, models, instance, [key])
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
        list_names(session, models, instance, _OFFERED),
        []
        if instance == SYSTEM
        else latest_images(session, models, instance, key, _IMAGES),
    )


def _becoming(vocabulary: Vocabulary, key: str) -> dict[str, str]:
    """Return the other words that finally become a tag, with their new names."""
    found = {}
    for other, word in sorted(vocabulary.words.items()):
        called = vocabulary.called(TagName(other, other))
        if word.becomes and other != key and called.key == key:
            found[other] = tag_name(word.becomes).name
    return found
