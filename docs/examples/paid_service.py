"""A provider that asks a service which has a key and charges for each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask_autotag import checks
from flask_autotag.errors import ProviderError
from flask_autotag.providers.base import (
    Label,
    RemoteProvider,
    SentImage,
    heard,
    surest,
)
from flask_autotag.providers.endpoints import Endpoint
from flask_autotag.providers.http import Http, Reply, check_status, confidence
from flask_autotag.providers.limits import limit_fields
from flask_autotag.settings.fields import Field, Input, Section

TITLE = "Paid Service"
HOST = "https://api.paid.example"


class PaidServiceProvider(RemoteProvider):
    """Classify at Paid Service."""

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
                "Where it is. When it changes, the key has to be typed again.",
            ),
            Field(
                "api_key",
                None,
                checks.secret,
                "API key",
                "Of your account.",
                Input.SECRET,
                required=True,
                bound_to="endpoint",
            ),
            Field(
                "confidence_threshold",
                0.5,
                checks.fraction,
                "Confidence threshold",
                "From 0 to 1: how sure it must be of a tag.",
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
                heard(tag["name"], tag["name"], confidence(tag["score"]))
                for tag in reply.body["tags"]
            ]
        )
    except (KeyError, TypeError, ValueError):
        raise ProviderError(f"{TITLE} gave no usable answer.") from None


def _message(reply: Reply) -> str:
    """Read the service's own words, of whatever form its answer is."""
    return str(reply.body.get("message", "")) if isinstance(reply.body, dict) else ""
