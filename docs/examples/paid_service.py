"""A provider that uses a service with a key, which charges for each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask_autotag.errors import ProviderError
from flask_autotag.providers.base import (
    Label,
    RemoteProvider,
    SentImage,
    clean_label,
    surest,
)
from flask_autotag.providers.endpoints import Endpoint
from flask_autotag.providers.http import Http, Reply, check_status, confidence
from flask_autotag.providers.limits import limit_fields
from flask_autotag.settings import checks
from flask_autotag.settings.fields import Field, Input, Section

TITLE = "Paid Service"
HOST = "https://api.paid.example"


class PaidServiceProvider(RemoteProvider):
    """Classify images at Paid Service."""

    name = "paid_service"
    section = Section(
        "paid_service",
        TITLE,
        (
            Field(
                "enabled",
                False,
                checks.boolean,
                "Enable Paid Service",
                "Images are sent to Paid Service, which charges for each.",
                Input.SWITCH,
            ),
            Field(
                "endpoint",
                HOST,
                Endpoint(HOST, ("api.paid.example",)),
                "Endpoint",
                "The URL of the service. If you change it, enter the key again.",
            ),
            Field(
                "api_key",
                None,
                checks.secret,
                "API key",
                "The key of your account.",
                Input.SECRET,
                required=True,
                bound_to="endpoint",
            ),
            Field(
                "confidence_threshold",
                0.5,
                checks.fraction,
                "Confidence threshold",
                "From 0 to 1: the confidence that a tag needs.",
                Input.FRACTION,
            ),
            *limit_fields(),
        ),
    )

    @classmethod
    def model(cls, settings: Mapping[str, Any]) -> str:
        return "v1"

    @classmethod
    def classify(
        cls, images: Sequence[SentImage], settings: Mapping[str, Any], http: Http
    ) -> list[list[Label] | ProviderError]:
        key = settings["api_key"].reveal()
        return [_classify(image, settings["endpoint"], key, http) for image in images]


def _classify(image: SentImage, endpoint: str, key: str, http: Http) -> list[Label]:
    reply = http.post(
        TITLE,
        f"{endpoint}/v1/tags",
        headers={"Authorization": f"Bearer {key}", "Content-Type": "image/jpeg"},
        data=image.data,
    )
    check_status(TITLE, reply, key, _message(reply))
    try:
        return surest(
            [
                clean_label(tag["name"], tag["name"], confidence(tag["score"]))
                for tag in reply.body["tags"]
            ]
        )
    except (KeyError, TypeError, ValueError):
        raise ProviderError(f"{TITLE} gave no usable answer.") from None


def _message(reply: Reply) -> str:
    """Return the service's error message, for any form of its answer."""
    return str(reply.body.get("message", "")) if isinstance(reply.body, dict) else ""
