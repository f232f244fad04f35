from __future__ import annotations

import re

import pytest

from flask_autotag import errors
from flask_autotag.errors import AutoTagError, TaggingError


def kinds(base: type[AutoTagError]) -> list[type[AutoTagError]]:
    """Return the errors of the package, without subclasses in other tests."""
    below = (kind for sub in base.__subclasses__() for kind in kinds(sub))
    return [base, *below] if base.__module__ == errors.__name__ else []


ALL = kinds(AutoTagError)
TAGGING = [kind for kind in ALL if issubclass(kind, TaggingError)]


def test_the_codes_are_the_same_in_every_release() -> None:
    assert {kind.__name__: kind.code for kind in TAGGING} == {
        "TaggingError": "error",
        "TaggingOff": "tagging_off",
        "NoImage": "no_image",
        "UnexpectedError": "unexpected",
        "LoaderError": "loader_failed",
        "ImageError": "image_invalid",
        "ImageMissing": "image_missing",
        "UnreadableImage": "image_unreadable",
        "ImageTooLarge": "image_too_large",
        "ImageTooComplex": "image_too_complex",
        "ClassifierError": "classifier_failed",
        "ClassifierCrashed": "classifier_crashed",
        "ClassifierTimeout": "classifier_timeout",
        "ClassifierMemory": "classifier_memory",
        "TryLater": "try_later",
        "ClassifierBusy": "classifier_busy",
        "ModelError": "model_invalid",
        "ProviderError": "provider_failed",
        "ProviderUnreachable": "provider_unreachable",
        "ProviderRefused": "provider_refused",
        "ProviderPaused": "provider_paused",
        "ProviderRejected": "provider_rejected",
        "ProviderLimit": "provider_limit",
        "ProviderBusy": "provider_busy",
    }


def test_no_two_errors_share_a_code() -> None:
    codes = [kind.code for kind in TAGGING]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("kind", TAGGING, ids=lambda kind: kind.__name__)
def test_a_code_fits_its_column(kind: type[TaggingError]) -> None:
    assert kind.code.isidentifier()
    assert len(kind.code) <= 40


def test_what_does_not_pass_by_itself_is_not_tried_again() -> None:
    assert {kind.__name__ for kind in TAGGING if kind.permanent} == {
        "TaggingOff",
        "NoImage",
        "ImageError",
        "ImageMissing",
        "UnreadableImage",
        "ImageTooLarge",
        "ImageTooComplex",
        "ProviderRefused",
        "ProviderPaused",
        "ProviderRejected",
        "ProviderLimit",
    }


def test_what_may_have_brought_the_child_down_leads_to_quarantine() -> None:
    assert {kind.__name__ for kind in TAGGING if kind.crash} == {
        "ClassifierCrashed",
        "ClassifierTimeout",
        "ClassifierMemory",
    }


@pytest.mark.parametrize(("asked", "given"), [(-5, 1), (60, 60), (10**9, 3600)])
def test_later_is_between_a_second_and_an_hour(asked: float, given: float) -> None:
    assert errors.TryLater("The storage is busy.", asked).seconds == given


def test_the_errors_form_the_documented_tree() -> None:
    parents = {kind.__name__: kind.__bases__[0].__name__ for kind in ALL[1:]}
    assert parents == {
        "ConfigurationError": "AutoTagError",
        "AssetError": "AutoTagError",
        "TransactionError": "AutoTagError",
        "NotWrittenInTime": "AutoTagError",
        "SettingsError": "AutoTagError",
        "StaleSettings": "AutoTagError",
        "VocabularyError": "AutoTagError",
        "ListerError": "AutoTagError",
        "UpgradeError": "AutoTagError",
        "TaggingError": "AutoTagError",
        "TaggingOff": "TaggingError",
        "NoImage": "TaggingError",
        "UnexpectedError": "TaggingError",
        "LoaderError": "TaggingError",
        "ImageError": "TaggingError",
        "ImageMissing": "ImageError",
        "UnreadableImage": "ImageError",
        "ImageTooLarge": "ImageError",
        "ImageTooComplex": "ImageError",
        "ClassifierError": "TaggingError",
        "ClassifierCrashed": "ClassifierError",
        "ClassifierTimeout": "ClassifierError",
        "ClassifierMemory": "ClassifierError",
        "TryLater": "TaggingError",
        "ClassifierBusy": "TryLater",
        "ModelError": "ClassifierError",
        "ProviderError": "ClassifierError",
        "ProviderUnreachable": "ProviderError",
        "ProviderRefused": "ProviderError",
        "ProviderPaused": "ProviderRefused",
        "ProviderRejected": "ProviderError",
        "ProviderLimit": "ProviderError",
        "ProviderBusy": "TryLater",
    }


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_each_error_stands_in_the_module_and_its_tree(kind: type[AutoTagError]) -> None:
    assert getattr(errors, kind.__name__) is kind
    assert kind.__name__ in str(errors.__doc__)


def test_the_drawing_shows_every_error_at_its_place() -> None:
    drawn: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ([│├└─ ]*)(\w+)", line)
        if found:
            depth = len(found[1]) // 4
            path[depth:] = [found[2]]
            if depth:
                drawn[found[2]] = path[depth - 1]
    assert drawn == {kind.__name__: kind.__bases__[0].__name__ for kind in ALL[1:]}
