"""Base classes and types of providers.

A provider of your own subclasses :class:`LocalProvider` or :class:`RemoteProvider`, and
its package names it in the entry-point group ``flask_autotag.providers``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar

from ..characters import clean_name, one_line
from ..settings.fields import Section
from ..settings.machine import Machine

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..errors import ProviderError
    from .http import Http

#: Labels below this confidence are dropped. They are most of a classifier's answer, and
#: less likely to be right than a guess among a hundred.
LEAST_CONFIDENCE = 0.01
#: Characters of a label's id and of a tag's name, as wide as their columns.
_ID_LENGTH = 100
#: Characters that are read of a label's name, invisible ones included.
_MAX_NAME_READ = 1000
#: Labels that are kept of one answer: those with the highest confidence.
MOST_LABELS = 50
#: Labels of broader concepts that are kept in addition.
MOST_BROADER = 250
#: Labels of general concepts that are kept in addition.
MOST_GENERAL = 100
#: Labels of a detector that are kept in addition.
MOST_DETECTED = 100
#: Labels that are kept of a local provider's answer.
MOST_LOCAL = MOST_LABELS + MOST_BROADER + MOST_GENERAL + MOST_DETECTED

#: The part of a model that gives general labels, such as *sky*; see :attr:`Label.part`.
GENERAL = "general"
#: The part of a model that finds single things; see :attr:`Label.part`.
DETECTED = "detected"
#: The mark of a label of classes that is probably wrong; see :attr:`Label.part`.
DOUBTFUL = "doubtful"


@dataclass(frozen=True)
class Label:
    """One label of an image.

    :param id: identifies the concept, and stays the same when the name or the language
        changes; at most 100 characters. The bundled model uses WordNet ids, such as
        ``n02123045``. Use the name if the classifier has no ids.
    :param name: the text that becomes a tag, in English unless the provider has a
        setting for the language. Names of more than 100 characters become no tag.
    :param confidence: from 0 to 1.
    :param part: :data:`GENERAL` if the label names something that most photos can show,
        such as *sky*, and :data:`DETECTED` if a detector found the thing in the image.
        Both are judged by themselves. Otherwise the label is one of the classifier's
        classes, or a broader concept of these: :data:`DOUBTFUL` if it is probably wrong
        for this kind of photo whatever its confidence, else empty. A doubtful label is
        suggested at most, unless its word is listed or has a threshold of its own.
    """

    id: str
    name: str
    confidence: float
    part: str = ""

    @property
    def is_general(self) -> bool:
        """Whether the label is a general one."""
        return self.part == GENERAL

    @property
    def is_detected(self) -> bool:
        """Whether a detector gave the label."""
        return self.part == DETECTED

    @property
    def is_judged_alone(self) -> bool:
        """Whether the label is neither a class nor a broader concept of classes."""
        return self.part in (GENERAL, DETECTED)

    @property
    def is_doubtful(self) -> bool:
        """Whether the label is probably wrong for this kind of photo."""
        return self.part == DOUBTFUL


@dataclass(frozen=True)
class Prediction:
    """The labels that one provider returned for one image, before thresholds.

    :param provider: the provider's name.
    :param model: the model's name and version.
    :param labels: sorted by confidence, highest first.
    :param shared: whether other instances may use the labels, because their settings
        for the provider are the same.
    """

    provider: str
    model: str
    labels: tuple[Label, ...]
    shared: bool = False


class Provider(ABC):
    """Returns labels for images. Subclass one of the two classes below instead.

    A provider that breaks a rule stops the application at start-up with a
    :class:`.ConfigurationError` that names the rule.

    :cvar name: identifies the provider in settings, configuration keys, commands and
        stored tags: lower-case letters, digits and underscores, unique among all
        installed providers. Tags of a provider that was renamed keep the old name.
    :cvar section: the provider's settings. Its name is *name*, and it has the fields
        ``enabled`` and ``confidence_threshold``. The settings pages, the configuration
        keys (``AUTOTAG_…``) and ``flask autotag settings`` follow from it.
    """

    name: ClassVar[str]
    section: ClassVar[Section]


class LocalProvider(Provider):
    """A provider that classifies on this machine, in a child process.

    The class runs in the worker, which calls :meth:`options` and :meth:`current_model`.
    Instances are made in the child process, which has neither the database nor any key.
    On Linux the child can read Python, the imported packages and :attr:`files`; it
    cannot write a file, open a connection or start a process.
    """

    @classmethod
    @abstractmethod
    def options(cls, settings: Mapping[str, Any], machine: Machine) -> dict[str, Any]:
        """Return the keyword arguments of ``__init__``; called in the worker.

        They must be JSON. Each different result gets an instance of its own. If the
        method raises, this provider fails for the image and the others go on.

        :param settings: the values of :attr:`section`, by field.
        :param machine: the configuration of the machine, such as the folder of models.
        """

    @classmethod
    def current_model(cls, settings: Mapping[str, Any], machine: Machine) -> str | None:
        """Return the value that :attr:`model` would have, without loading the model.

        ``flask autotag retag`` compares it with the model of stored tags to find the
        images that a new model has not seen.

        :param settings: the values of :attr:`section`, by field.
        :param machine: as in :meth:`options`.
        :return: ``None``, the default, if only an instance knows its model. Then
            ``retag`` does not notice a new one.
        :raises ModelError: if the chosen model does not exist.
        """
        return None

    @property
    @abstractmethod
    def model(self) -> str:
        """The model's name and version, stored with each tag; up to 128 characters."""

    @property
    @abstractmethod
    def side(self) -> int:
        """Pixels that the shorter side of an image needs.

        Large JPEG files are decoded at a smaller size, down to this one, which is
        several times faster.
        """

    @property
    def forkable(self) -> bool:
        """Whether the process may be forked after :meth:`warm_up`; ``True`` by default.

        If so, each tenant's batch gets a process of its own at little cost. Return
        ``False`` for a runtime that does not survive a fork, as most runtimes for
        graphics cards: then the process is confined after ``__init__`` and serves the
        batches of all tenants one after the other. Load such a runtime in
        :meth:`classify`, because threads started earlier are not confined.
        """
        return True

    @property
    def files(self) -> Sequence[str | PathLike[str]]:
        """Files and folders that are read after ``__init__``; none by default.

        Python and the imported packages need not be listed. Opening any other file
        raises :class:`PermissionError`.
        """
        return ()

    @property
    def devices(self) -> Sequence[str | PathLike[str]]:
        """Files in ``/dev`` that are read, written and controlled; none by default."""
        return ()

    def warm_up(self) -> None:
        """Load everything that :meth:`classify` needs, before the process is forked.

        Called only if :attr:`forkable`. By default it classifies a grey square.
        Exceptions are ignored, because :meth:`classify` will raise them again.
        """
        from PIL import Image

        self.classify([Image.new("RGB", (self.side, self.side), "gray")])

    @abstractmethod
    def classify(self, images: Sequence[Image]) -> list[list[Label]]:
        """Return the labels of each image, in the order of *images*.

        Sort them by confidence, highest first, and do not apply the threshold;
        :func:`surest` does the first and drops labels that are not worth storing. An
        exception fails this provider for the image; the others go on.

        :param images: Pillow images of mode ``RGB`` and any size, upright.
        :return: a list of labels for each image; ``[]`` for no images.
        """


@dataclass(frozen=True)
class SentImage:
    """An image to send to a remote provider: a small JPEG without metadata.

    :param data: the JPEG file.
    :param width: pixels.
    :param height: pixels.
    """

    data: bytes = field(repr=False)
    width: int
    height: int


class RemoteProvider(Provider):
    """A provider that is called over the network, by the worker.

    Its methods are class methods, and it is never instantiated. Quota, circuit breaker
    and the reuse of paid answers apply to it without further code.

    :cvar together: how many images one request may hold; 1 by default.
    :cvar side: pixels of the longer side to which images are reduced before they are
        sent; 1024 by default.
    """

    together: ClassVar[int] = 1
    side: ClassVar[int] = 1024

    @classmethod
    @abstractmethod
    def model(cls, settings: Mapping[str, Any]) -> str:
        """Return the model's name and version, and the language if there is one.

        It is stored with every tag; at most 128 characters. Stored labels are reused
        for the same image only if it is the same.

        :param settings: the values of :attr:`section`, by field.
        """

    @classmethod
    @abstractmethod
    def classify(
        cls, images: Sequence[SentImage], settings: Mapping[str, Any], http: Http
    ) -> list[list[Label] | ProviderError]:
        """Classify up to :attr:`together` images in one request.

        Return within 30 seconds; after 60 seconds another worker may send the same
        images again. An exception that is not a :class:`.TaggingError` becomes a
        :class:`.ProviderError` whose message has only its class name.

        :param images: at least one.
        :param settings: the values of :attr:`section`, by field. Call ``reveal()`` on a
            secret.
        :param http: posts with a timeout, to permitted addresses only.
        :return: for each image, in order, its labels or the error of this image.
        :raises ProviderError: if the whole request failed.
        :raises ProviderBusy: if the vendor asks to retry later.
        """


def surest(labels: Sequence[Label]) -> list[Label]:
    """Return the labels that are worth storing, sorted by confidence, highest first.

    :return: at most :data:`MOST_LABELS`, none below :data:`LEAST_CONFIDENCE`.
    """
    kept = [label for label in labels if label.confidence >= LEAST_CONFIDENCE]
    return ranked(kept)[:MOST_LABELS]


def ranked(labels: Iterable[Label]) -> list[Label]:
    """Sort labels by confidence, highest first, and then by name."""
    return sorted(labels, key=lambda label: (-label.confidence, label.name))


def label_name(value: Any) -> str:
    """Clean the name of a label, but keep the joiners that its script needs.

    :raises ValueError: if *value* is not a string.
    """
    # A name that is too long for a tag has to stay too long: cut, it is another word.
    line = one_line(value, _ID_LENGTH + 1)
    if line == value:
        return line
    kept = frozenset(clean_name(value[:_MAX_NAME_READ]))
    return "".join(
        original if original in kept else cleaned
        for original, cleaned in zip(value, line, strict=False)
    )


def clean_label(label_id: Any, name: Any, confidence: float, part: Any = "") -> Label:
    """Return a label from values of an untrusted response.

    :param label_id: cut after 100 characters.
    :param name: cleaned by :func:`label_name`.
    :param confidence: from 0 to 1, as :func:`.http.confidence` returns it.
    :raises ValueError: if the id or the name is not a string, or the part is unknown.
    """
    if part not in ("", GENERAL, DETECTED, DOUBTFUL):
        raise ValueError("an unknown part of a model")
    return Label(one_line(label_id, _ID_LENGTH), label_name(name), confidence, part)
