"""Google Cloud Vision, label detection."""

from __future__ import annotations

from .. import checks
from ..settings.fields import Field, Input, Section
from .base import Provider


class GoogleVisionProvider(Provider):
    """Classify at Google."""

    name = "google"
    section = Section(
        "google",
        "Google Cloud Vision",
        (
            Field(
                "enabled",
                False,
                checks.boolean,
                "Enable Google Cloud Vision",
                "Images are sent to Google, which charges for each.",
                Input.SWITCH,
            ),
            Field(
                "api_key",
                None,
                checks.secret,
                "API key",
                "Of a Google Cloud project in which the Cloud Vision API is enabled.",
                Input.SECRET,
                required=True,
            ),
            Field(
                "confidence_threshold",
                0.5,
                checks.fraction,
                "Confidence threshold",
                "From 0 to 1: how sure Google must be of a tag.",
                Input.FRACTION,
            ),
        ),
    )
