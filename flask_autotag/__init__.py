"""Flask-AutoTag: tags the images that are uploaded to a Flask CMS.

Each public name is imported when it is first used: the child processes that
classify import parts of this package too, and have no memory for Flask and
SQLAlchemy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .db.models import Models, create_models
    from .db.tables import (
        AssetMixin,
        AssignmentMixin,
        BulkActionMixin,
        BulkItemMixin,
        CounterMixin,
        InquiryMixin,
        JobMixin,
        PredictionMixin,
        ProviderStateMixin,
        RevisionMixin,
        SettingChangeMixin,
        SettingMixin,
        TagMixin,
        UploadMixin,
        UsageMixin,
        WordMixin,
    )
    from .errors import (
        AssetError,
        AutoTagError,
        ConfigurationError,
        ImageError,
        ProviderError,
        SettingsError,
        TaggingError,
        TransactionError,
        VocabularyError,
    )
    from .extension import AutoTag
    from .host.assets import AssetRef, Upload
    from .host.signals import image_tagged, image_uploaded, tagging_failed
    from .jobs.many_assets import BulkResult
    from .tags.explanation import Decision, ExplainedLabel, Explanation
    from .tags.queries.applied_tags import AppliedTag
    from .tags.queries.progress import Progress
    from .tags.queries.relationship import AssetTag, TaggedMixin
    from .tags.queries.tag_counts import TagCount

__all__ = [
    "AppliedTag",
    "AssetError",
    "AssetMixin",
    "AssetRef",
    "AssetTag",
    "AssignmentMixin",
    "AutoTag",
    "AutoTagError",
    "BulkActionMixin",
    "BulkItemMixin",
    "BulkResult",
    "ConfigurationError",
    "CounterMixin",
    "Decision",
    "ExplainedLabel",
    "Explanation",
    "ImageError",
    "InquiryMixin",
    "JobMixin",
    "Models",
    "PredictionMixin",
    "Progress",
    "ProviderError",
    "ProviderStateMixin",
    "RevisionMixin",
    "SettingChangeMixin",
    "SettingMixin",
    "SettingsError",
    "TagCount",
    "TagMixin",
    "TaggedMixin",
    "TaggingError",
    "TransactionError",
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

#: The names of each module.
_NAMES = {
    "db.models": (
        "Models",
        "create_models",
    ),
    "db.tables": (
        "AssetMixin",
        "AssignmentMixin",
        "BulkActionMixin",
        "BulkItemMixin",
        "CounterMixin",
        "InquiryMixin",
        "JobMixin",
        "PredictionMixin",
        "ProviderStateMixin",
        "RevisionMixin",
        "SettingChangeMixin",
        "SettingMixin",
        "TagMixin",
        "UploadMixin",
        "UsageMixin",
        "WordMixin",
    ),
    "errors": (
        "AssetError",
        "AutoTagError",
        "ConfigurationError",
        "ImageError",
        "ProviderError",
        "SettingsError",
        "TaggingError",
        "TransactionError",
        "VocabularyError",
    ),
    "extension": ("AutoTag",),
    "host.assets": (
        "AssetRef",
        "Upload",
    ),
    "host.signals": (
        "image_tagged",
        "image_uploaded",
        "tagging_failed",
    ),
    "jobs.many_assets": ("BulkResult",),
    "tags.explanation": (
        "Decision",
        "ExplainedLabel",
        "Explanation",
    ),
    "tags.queries.applied_tags": ("AppliedTag",),
    "tags.queries.progress": ("Progress",),
    "tags.queries.relationship": (
        "AssetTag",
        "TaggedMixin",
    ),
    "tags.queries.tag_counts": ("TagCount",),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f".{_MODULES[name]}", __name__)
    return globals().setdefault(name, getattr(module, name))


def __dir__() -> list[str]:
    return __all__
