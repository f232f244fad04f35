"""Flask-AutoTag: tags the images that are uploaded to a Flask CMS.

Each public name is imported when it is first used: the child processes that
classify import parts of this package too, and are to be without Flask, SQLAlchemy
and their memory.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .assets import AssetRef, Upload
    from .errors import (
        AssetError,
        AutoTagError,
        ClassifierCrashed,
        ClassifierError,
        ClassifierMemory,
        ClassifierTimeout,
        ConfigurationError,
        ImageError,
        ImageMissing,
        ImageTooLarge,
        ListerError,
        LoaderError,
        ModelError,
        ProviderBusy,
        ProviderError,
        ProviderLimit,
        ProviderPaused,
        ProviderRefused,
        ProviderRejected,
        ProviderUnreachable,
        SettingsError,
        StaleSettings,
        TaggingError,
        TaggingOff,
        TransactionError,
        TryLater,
        UnreadableImage,
        UpgradeError,
        VocabularyError,
    )
    from .explain import Decision, ExplainedLabel, Explanation
    from .extension import AutoTag
    from .facets import TagCount
    from .models import (
        AssetMixin,
        AssignmentMixin,
        CounterMixin,
        InquiryMixin,
        JobMixin,
        Models,
        PredictionMixin,
        ProviderStateMixin,
        RevisionMixin,
        SettingChangeMixin,
        SettingMixin,
        TagMixin,
        UploadMixin,
        UsageMixin,
        WordMixin,
        create_models,
    )
    from .progress import Progress
    from .query import AppliedTag
    from .relationship import AssetTag, TaggedMixin
    from .signals import image_tagged, image_uploaded, tagging_failed

__all__ = [
    "AppliedTag",
    "AssetError",
    "AssetMixin",
    "AssetRef",
    "AssetTag",
    "AssignmentMixin",
    "AutoTag",
    "AutoTagError",
    "ClassifierCrashed",
    "ClassifierError",
    "ClassifierMemory",
    "ClassifierTimeout",
    "ConfigurationError",
    "CounterMixin",
    "Decision",
    "ExplainedLabel",
    "Explanation",
    "ImageError",
    "ImageMissing",
    "ImageTooLarge",
    "InquiryMixin",
    "JobMixin",
    "ListerError",
    "LoaderError",
    "ModelError",
    "Models",
    "PredictionMixin",
    "Progress",
    "ProviderBusy",
    "ProviderError",
    "ProviderLimit",
    "ProviderPaused",
    "ProviderRefused",
    "ProviderRejected",
    "ProviderStateMixin",
    "ProviderUnreachable",
    "RevisionMixin",
    "SettingChangeMixin",
    "SettingMixin",
    "SettingsError",
    "StaleSettings",
    "TagCount",
    "TagMixin",
    "TaggedMixin",
    "TaggingError",
    "TaggingOff",
    "TransactionError",
    "TryLater",
    "UnreadableImage",
    "UpgradeError",
    "Upload",
    "UploadMixin",
    "UsageMixin",
    "VocabularyError",
    "WordMixin",
    "create_models",
    "image_tagged",
    "image_uploaded",
    "tagging_failed",
]

#: Where a public name is looked for, in this order.
_MODULES = (
    "errors",
    "signals",
    "assets",
    "models",
    "progress",
    "query",
    "relationship",
    "facets",
    "explain",
    "extension",
)


def __getattr__(name: str) -> Any:
    if name in __all__:
        for module_name in _MODULES:
            module = import_module(f".{module_name}", __name__)
            if hasattr(module, name):
                return globals().setdefault(name, getattr(module, name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
