"""What can go wrong, as one tree.

::

    AutoTagError
    ├── ConfigurationError    the host's set-up; raised by init_app
    ├── AssetError            an asset that cannot be named
    ├── ListerError           the host's code that lists its images failed
    ├── TransactionError      a call that needs the host to commit first
    ├── SettingsError         values of settings that are not accepted
    ├── StaleSettings         somebody else has saved them meanwhile
    ├── VocabularyError       what was to be decided about words cannot be
    ├── UpgradeError          the tables cannot be brought to another revision
    └── TaggingError          why one image was not tagged; has a ``code``
        ├── TaggingOff        nothing is wrong: it is turned off
        ├── LoaderError       the host's code that finds the image failed
        ├── TryLater          not now; costs no try
        │   └── ProviderBusy
        ├── ImageError        permanent: this image will never do
        │   ├── ImageMissing
        │   ├── UnreadableImage
        │   └── ImageTooLarge
        └── ClassifierError   may pass: tried again
            ├── ClassifierCrashed
            ├── ClassifierTimeout
            ├── ClassifierMemory
            ├── ModelError
            └── ProviderError         a provider elsewhere failed
                ├── ProviderUnreachable   nothing was sent, nothing counts
                ├── ProviderRefused   its key or endpoint is wrong; pauses it
                │   └── ProviderPaused
                ├── ProviderRejected  it does not take this image
                └── ProviderLimit     the month's calls are used up

The message of a :exc:`TaggingError` is one sentence for an administrator. It is
stored with the job, sent with :data:`~flask_autotag.tagging_failed` and shown on
pages, so it never holds a secret or a stack trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class AutoTagError(Exception):
    """Base of every error that the extension raises."""


class ConfigurationError(AutoTagError):
    """The host's configuration or set-up is wrong; the message names the fix."""


class AssetError(AutoTagError):
    """The asset cannot be named: not a mapped object, or never saved."""


class ListerError(AutoTagError):
    """The host's asset lister raised, or gave what is no image of the host."""


class TransactionError(AutoTagError):
    """The host has uncommitted writes where the call needs them committed."""


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
    """What was to be decided about words cannot be; nothing was saved."""


class UpgradeError(AutoTagError):
    """The tables cannot be brought to another revision, or not yet."""


class StaleSettings(AutoTagError):
    """Somebody else has saved the settings since they were read.

    :param who: the user, if the host said so.
    """

    def __init__(self, who: str | None) -> None:
        super().__init__(f"{who or 'Somebody'} has saved these settings meanwhile.")
        self.who = who


class TaggingError(AutoTagError):
    """One image was not tagged.

    :cvar code: a short stable word for the reason, the same in every release.
    :cvar permanent: ``True`` when trying again cannot help.
    :cvar crash: ``True`` when the image may be what brought its child down; after
        the third time it is put in quarantine.
    """

    code: ClassVar[str] = "error"
    permanent: ClassVar[bool] = False
    crash: ClassVar[bool] = False


class TaggingOff(TaggingError):
    """Auto tagging, or every provider, is turned off for the instance."""

    code = "tagging_off"
    permanent = True


class LoaderError(TaggingError):
    """The host's image loader, or the function given to ``watch``, raised."""

    code = "loader_failed"


class TryLater(TaggingError):
    """Not now: the job waits, and the wait does not count as one of its tries.

    An image loader raises it when its storage asks for a pause.

    :param message: a sentence for an administrator.
    :param seconds: how long to wait, from 1 second to an hour.
    """

    code = "try_later"

    def __init__(self, message: str, seconds: float = 60.0) -> None:
        super().__init__(message)
        self.seconds = min(3600.0, max(1.0, seconds))


class ImageError(TaggingError):
    """The image itself will not do; it is not tried again."""

    code = "image_invalid"
    permanent = True


class ImageMissing(ImageError):
    """The image is no longer where the host said it was."""

    code = "image_missing"


class UnreadableImage(ImageError):
    """Not an image, of a format that is not read, or damaged."""

    code = "image_unreadable"


class ImageTooLarge(ImageError):
    """More bytes or pixels than the limits allow to be decoded."""

    code = "image_too_large"


class ClassifierError(TaggingError):
    """The classifier failed, for a reason that may not be the image's."""

    code = "classifier_failed"


class ClassifierCrashed(ClassifierError):
    """The child process died while it worked on the image."""

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
    """A provider elsewhere failed, or cannot be reached."""

    code = "provider_failed"


class ProviderUnreachable(ProviderError):
    """No connection to a provider came about: no image was sent, and none counts."""

    code = "provider_unreachable"


class ProviderRefused(ProviderError):
    """A provider does not accept its key or endpoint; it is paused."""

    code = "provider_refused"
    permanent = True


class ProviderPaused(ProviderRefused):
    """A provider is not asked: it did not accept its key, or has none."""

    code = "provider_paused"


class ProviderRejected(ProviderError):
    """A provider does not take this image."""

    code = "provider_rejected"
    permanent = True


class ProviderLimit(ProviderError):
    """The calls that an instance may make in a month are used up."""

    code = "provider_limit"
    permanent = True


class ProviderBusy(TryLater):
    """A provider asks to wait, fails so often that it is left alone for a while, or
    is being asked about the same image by somebody else.
    """

    code = "provider_busy"
