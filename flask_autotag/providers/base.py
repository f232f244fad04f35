"""What every provider is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from ..settings.fields import Section

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..errors import ProviderError
    from .http import Http

#: Labels below it are not worth keeping: less likely than by guessing among a
#: hundred, and most of a classifier's answer.
LEAST_CONFIDENCE = 0.01
#: Characters of a label's id and of a tag's name: what the columns hold.
_ID_LENGTH = 100
#: Labels that are kept of one answer, the surest.
MOST_LABELS = 50
#: Labels for broader concepts that there may be beside these.
MOST_BROADER = 250


@dataclass(frozen=True)
class Label:
    """What a provider said.

    :param id: stable, whatever the name or language; for the bundled model the
        WordNet id, such as ``n02123045``.
    :param name: in English.
    :param confidence: from 0 to 1.
    """

    id: str
    name: str
    confidence: float


@dataclass(frozen=True)
class Prediction:
    """What one provider said of one image, thresholds not applied.

    :param provider: the provider's name.
    :param model: which model answered, with its version.
    :param labels: surest first.
    """

    provider: str
    model: str
    labels: tuple[Label, ...]


@dataclass(frozen=True)
class Machine:
    """What the application's configuration says of the machine.

    :param model_dir: ``AUTOTAG_MODEL_DIR``, where further models are.
    :param tensorflow_device: ``AUTOTAG_TENSORFLOW_DEVICE``, such as ``GPU:0``.
    """

    model_dir: str | None = None
    tensorflow_device: str | None = None


class Provider(ABC):
    """What has labels for an image.

    :cvar name: lower case, as in keys and stored with every tag.
    :cvar section: its settings, of the same name; ``enabled`` and
        ``confidence_threshold`` are among them. Pages, storage and the command line
        are made from it.
    """

    name: ClassVar[str]
    section: ClassVar[Section]


class LocalProvider(Provider):
    """A provider that classifies on this machine, in a child process.

    An instance lives in the child, as long as that does. It gets pixels and gives
    labels; it has neither the database nor any key.
    """

    @classmethod
    @abstractmethod
    def options(cls, settings: Mapping[str, Any], machine: Machine) -> dict[str, Any]:
        """Choose the arguments that make the instance in the child; JSON.

        It is called by the process that works off the queue.

        :param settings: of its section, by field.
        :return: the names and values of ``__init__``'s arguments.
        """

    @classmethod
    def current_model(cls, settings: Mapping[str, Any], machine: Machine) -> str | None:
        """Say which model would answer, without opening it.

        :return: what :attr:`model` would be; ``None`` if that is not known before the
            child is asked. Then a new model goes unnoticed by ``flask autotag retag``.
        :raises ModelError: if the model that was chosen is not there.
        """
        return None

    @property
    @abstractmethod
    def model(self) -> str:
        """Which model answers, with its version."""

    @property
    @abstractmethod
    def side(self) -> int:
        """Pixels that the shorter side of an image needs; more are wasted."""

    @abstractmethod
    def classify(self, images: Sequence[Image]) -> list[list[Label]]:
        """Classify images.

        :param images: of mode ``RGB`` and any size.
        :return: for each image its labels, surest first, thresholds not applied;
            ``[]`` for no images.
        """


@dataclass(frozen=True)
class SentImage:
    """An image that goes to a provider elsewhere: a small JPEG without metadata.

    :param data: the file.
    :param width: pixels.
    :param height: pixels.
    """

    data: bytes = field(repr=False)
    width: int
    height: int


class RemoteProvider(Provider):
    """A provider that is asked over the network, by the process that has its key.

    :cvar together: how many images one request may hold.
    :cvar side: pixels of the longer side of what is sent at most.
    """

    together: ClassVar[int] = 1
    side: ClassVar[int] = 1024

    @classmethod
    @abstractmethod
    def model(cls, settings: Mapping[str, Any]) -> str:
        """Say which model would answer, in which language; stored with every tag."""

    @classmethod
    @abstractmethod
    def classify(
        cls, images: Sequence[SentImage], settings: Mapping[str, Any], http: Http
    ) -> list[list[Label] | ProviderError]:
        """Classify up to ``together`` images in one request.

        It should be over in half a minute; after a minute another worker may send
        the same images.

        :return: for each image its labels, or what was wrong with it alone.
        :raises ProviderError: if the request as a whole failed.
        :raises ProviderBusy: if it is to be sent later.
        """


def surest(labels: Sequence[Label]) -> list[Label]:
    """Keep what is worth storing of an answer, surest first.

    :return: no more than :data:`MOST_LABELS`, none below :data:`LEAST_CONFIDENCE`.
    """
    kept = [label for label in labels if label.confidence >= LEAST_CONFIDENCE]
    return ranked(kept)[:MOST_LABELS]


def ranked(labels: Iterable[Label]) -> list[Label]:
    """Put labels in order, surest first."""
    return sorted(labels, key=lambda label: (-label.confidence, label.name))


def one_line(value: Any, length: int) -> str:
    """Read a text that every database can store and every page can show.

    :raises ValueError: if it is no text.
    """
    if not isinstance(value, str):
        raise ValueError("no text")
    return "".join(
        character if character.isprintable() else " " for character in value[:length]
    )


def heard(label_id: Any, name: Any, confidence: float) -> Label:
    """Make a label of what a stranger said.

    :param confidence: from 0 to 1, as :func:`.http.confidence` reads it.
    :raises ValueError: if its id or name is no text.
    """
    # A name that is too long for a tag stays too long: half of it is another.
    return Label(
        one_line(label_id, _ID_LENGTH), one_line(name, _ID_LENGTH + 1), confidence
    )
