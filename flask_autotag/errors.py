"""The exceptions, as one tree.

::

    AutoTagError
    ├── ConfigurationError            wrong set-up of the host; raised by init_app
    ├── AssetError                    an asset that cannot be named
    ├── ListerError                   the host's asset lister failed
    ├── TransactionError              the host has to commit first
    ├── NotWrittenInTime              the database did not take a job in time
    ├── SettingsError                 setting values that are not accepted
    ├── StaleSettings                 somebody else has saved the settings meanwhile
    ├── VocabularyError               word decisions that are not accepted
    ├── UpgradeError                  the tables cannot be migrated
    └── TaggingError                  one image was not tagged; has a code
        ├── TaggingOff                tagging is turned off
        ├── NoImage                   the asset has no image now; no failure
        ├── UnexpectedError           a programming error, ours or the host's
        ├── LoaderError               the host's image loader failed
        ├── TryLater                  waits; the attempt does not count
        │   ├── ClassifierBusy        no child process was free in time
        │   └── ProviderBusy          the provider asks to wait or is left alone
        ├── ImageError                permanent: the image itself is unusable
        │   ├── ImageMissing
        │   ├── UnreadableImage
        │   ├── ImageTooLarge
        │   └── ImageTooComplex
        └── ClassifierError           may pass: the image is tried again
            ├── ClassifierCrashed
            ├── ClassifierTimeout
            ├── ClassifierMemory
            ├── ModelError
            └── ProviderError         a remote provider failed
                ├── ProviderUnreachable   no image was sent, and none counts
                ├── ProviderRefused       wrong key or endpoint; pauses the provider
                │   └── ProviderPaused    paused, or without a key
                ├── ProviderRejected      this image is not accepted
                └── ProviderLimit         the month's calls are used up

The message of a :exc:`TaggingError` is one sentence for an administrator. It is
stored with the job, sent with :data:`~flask_autotag.tagging_failed` and shown on
pages, so it never holds a secret or a stack trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from .characters import printable


class AutoTagError(Exception):
    """Base of every error that the extension raises.

    ``str(error)`` is one line of printable characters; others are escaped.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


class ConfigurationError(AutoTagError):
    """The host's configuration or set-up is wrong; the message names the fix."""


class AssetError(AutoTagError):
    """The asset cannot be named: not a mapped object, or never saved."""


class ListerError(AutoTagError):
    """The host's asset lister raised, or returned something that is no image."""


class TransactionError(AutoTagError):
    """The host has uncommitted writes where the call needs them committed."""


class NotWrittenInTime(AutoTagError):
    """The database did not take a job while the uploading process retried."""


class SettingsError(AutoTagError):
    """Values of settings were not accepted; nothing was saved.

    :param errors: section and field → the end of a sentence that begins with them.
    """

    def __init__(self, errors: Mapping[tuple[str, str], ValueError]) -> None:
        sentences = (
            f"{'.'.join(filter(None, path))} {error}." for path, error in errors.items()
        )
        super().__init__(" ".join(sentences))
        self.errors = errors


class VocabularyError(AutoTagError):
    """Decisions about words were not accepted; nothing was saved."""


class UpgradeError(AutoTagError):
    """The tables cannot be migrated to another revision, or not yet."""


class StaleSettings(AutoTagError):
    """Somebody else has saved the settings since they were read.

    :param who: the user, if the host names users.
    """

    def __init__(self, who: str | None) -> None:
        super().__init__(f"{who or 'Somebody'} has saved these settings meanwhile.")
        self.who = who


class TaggingError(AutoTagError):
    """One image was not tagged.

    :cvar code: a short stable word for the reason, the same in every release.
    :cvar permanent: ``True`` if a retry cannot succeed.
    :cvar crash: ``True`` if the image may have crashed its child process; after the
        third time the job is quarantined.
    """

    code: ClassVar[str] = "error"
    permanent: ClassVar[bool] = False
    crash: ClassVar[bool] = False

    @property
    def log_text(self) -> str:
        """The message for logs and commands, where it may name a path of the server."""
        return str(self)


class TaggingOff(TaggingError):
    """Auto tagging, or every provider, is turned off for the instance."""

    code = "tagging_off"
    permanent = True


class NoImage(TaggingError):
    """The image loader, or the function given to ``watch``, returned ``None``.

    It is no failure: the job is done, and no signal is sent.
    """

    code = "no_image"
    permanent = True


class UnexpectedError(TaggingError):
    """A programming error of the extension, a provider or the host.

    :param error: the exception. Its message may hold a secret, so that only its type
        is shown.
    """

    code = "unexpected"

    def __init__(self, error: BaseException) -> None:
        super().__init__(f"Tagging failed unexpectedly: {type(error).__name__}.")


class LoaderError(TaggingError):
    """The host's image loader, or the function given to ``watch``, raised."""

    code = "loader_failed"


class TryLater(TaggingError):
    """The job waits and is tried again; the attempt does not count.

    An image loader raises it when its storage asks for a pause.

    :param message: a sentence for an administrator.
    :param seconds: how long to wait, limited to between 1 second and an hour.
    """

    code = "try_later"

    def __init__(self, message: str, seconds: float = 60.0) -> None:
        super().__init__(message)
        self.seconds = min(3600.0, max(1.0, seconds))


class ClassifierBusy(TryLater):
    """No child process was free in the time that a request may wait."""

    code = "classifier_busy"


class ImageError(TaggingError):
    """The image itself cannot be used; it is not tried again."""

    code = "image_invalid"
    permanent = True


class ImageMissing(ImageError):
    """The image is no longer at the place that the host named.

    :param path: the whole path of the missing file, if there is one. The message
        contains only the file's name.
    """

    code = "image_missing"

    def __init__(self, message: str, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path

    @property
    def log_text(self) -> str:
        """The message, with the whole path."""
        if self.path is None:
            return str(self)
        return printable(f"{self} Its path is {self.path!r}.")


class UnreadableImage(ImageError):
    """The file is not an image, has an unsupported format, or is damaged."""

    code = "image_unreadable"


class ImageTooLarge(ImageError):
    """The image has more bytes or pixels than the limits allow."""

    code = "image_too_large"


class ImageTooComplex(ImageError):
    """Decoding takes more steps or processor time than the limits allow."""

    code = "image_too_complex"


class ClassifierError(TaggingError):
    """The classifier failed, perhaps for a reason other than the image."""

    code = "classifier_failed"


class ClassifierCrashed(ClassifierError):
    """The child process died while it classified the image."""

    code = "classifier_crashed"
    crash = True


class ClassifierTimeout(ClassifierError):
    """The child process took longer than ``AUTOTAG_TIMEOUT`` and was killed."""

    code = "classifier_timeout"
    crash = True


class ClassifierMemory(ClassifierError):
    """The child process reached ``AUTOTAG_MEMORY_LIMIT``."""

    code = "classifier_memory"
    crash = True


class ModelError(ClassifierError):
    """The model's files are missing, damaged or contradict each other."""

    code = "model_invalid"


class ProviderError(ClassifierError):
    """A remote provider failed, or cannot be reached."""

    code = "provider_failed"


class ProviderUnreachable(ProviderError):
    """No connection was made: no image was sent, and none counts."""

    code = "provider_unreachable"


class ProviderRefused(ProviderError):
    """The provider refuses its key or endpoint; it is paused."""

    code = "provider_refused"
    permanent = True


class ProviderPaused(ProviderRefused):
    """The provider is paused because it refused its key, or it has no key."""

    code = "provider_paused"


class ProviderRejected(ProviderError):
    """The provider does not accept this image."""

    code = "provider_rejected"
    permanent = True


class ProviderLimit(ProviderError):
    """The instance has used up its calls for the month."""

    code = "provider_limit"
    permanent = True


class ProviderBusy(TryLater):
    """The provider asks to wait, rests after repeated failures, or is already
    classifying the same image for another worker.
    """

    code = "provider_busy"
