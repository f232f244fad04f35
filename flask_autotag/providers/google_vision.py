"""Google Cloud Vision, label detection: ``images:annotate`` of its API v1."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ProviderBusy, ProviderError, ProviderRefused, ProviderRejected
from ..settings import checks
from ..settings.fields import Field, Input, Section
from .base import MOST_LABELS, Label, RemoteProvider, SentImage, clean_label, surest
from .endpoints import Endpoint
from .http import BUSY, Http, Reply, check_status, confidence, vendor_message
from .limits import limit_fields

HOST = "https://vision.googleapis.com"
#: The global host, and the hosts that keep images in the EU or the US. Source: Google's
#: documentation of quotas and locations.
HOSTS = (
    "vision.googleapis.com",
    "eu-vision.googleapis.com",
    "us-vision.googleapis.com",
)
_PATH = "/v1/images:annotate"
_TITLE = "Google Cloud Vision"
#: ``google.rpc.Code`` of an invalid argument, which here is the image.
_INVALID_ARGUMENT = 3


class GoogleVisionProvider(RemoteProvider):
    """Classifies with Google Cloud Vision."""

    name = "google"
    #: Images in one request. Source: Google's documentation of quotas.
    together = 16
    section = Section(
        "google",
        "Google Cloud Vision",
        (
            Field(
                "enabled",
                False,
                checks.boolean,
                "Enable Google Cloud Vision",
                "Images are sent to Google, which charges for each image.",
                Input.SWITCH,
            ),
            Field(
                "endpoint",
                HOST,
                Endpoint(HOST, HOSTS),
                "Endpoint",
                "Google's global address, or https://eu-vision.googleapis.com or"
                " https://us-vision.googleapis.com. After a change, enter the key"
                " again.",
            ),
            Field(
                "api_key",
                None,
                checks.secret,
                "API key",
                "The key of a Google Cloud project in which the Cloud Vision API is"
                " enabled.",
                Input.SECRET,
                required=True,
                bound_to="endpoint",
            ),
            Field(
                "confidence_threshold",
                0.5,
                checks.fraction,
                "Confidence threshold",
                "From 0 to 1: the lowest confidence of Google at which a label becomes"
                " a tag.",
                Input.FRACTION,
            ),
            *limit_fields(),
        ),
    )

    @classmethod
    def model(cls, settings: Mapping[str, Any]) -> str:
        """Return the name of Google's default model."""
        return "builtin/stable"

    @classmethod
    def classify(
        cls, images: Sequence[SentImage], settings: Mapping[str, Any], http: Http
    ) -> list[list[Label] | ProviderError]:
        """Classify images in one request. The key is in a header, not in the URL."""
        key = settings["api_key"].reveal()
        reply = http.post(
            _TITLE,
            settings["endpoint"] + _PATH,
            headers={"X-Goog-Api-Key": key, "Content-Type": "application/json"},
            data=json.dumps(
                {"requests": [_request(image) for image in images]}
            ).encode(),
        )
        _check(reply, key)
        try:
            answers = reply.body["responses"]
            if len(answers) != len(images):
                raise ValueError
            return [_labels(answer, key) for answer in answers]
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ProviderError(f"{_TITLE} gave no usable answer.") from None


def _request(image: SentImage) -> dict[str, Any]:
    return {
        "image": {"content": base64.b64encode(image.data).decode()},
        "features": [{"type": "LABEL_DETECTION", "maxResults": MOST_LABELS}],
    }


def _check(reply: Reply, key: str) -> None:
    error = reply.body.get("error") if isinstance(reply.body, dict) else None
    error = error if isinstance(error, dict) else {}
    message = str(error.get("message", ""))
    details = error.get("details")
    details = details if isinstance(details, list) else []
    for detail in details:
        if not isinstance(detail, dict):
            continue
        if reply.status == 400 and str(detail.get("reason")).startswith("API_KEY"):
            # Google reports a wrong key as an invalid argument, not as 401 or 403.
            reason = vendor_message(message, key)
            raise ProviderRefused(f"{_TITLE} does not accept the key: {reason}")
        if reply.status == 429 and "retryDelay" in detail:
            raise ProviderBusy(
                f"{_TITLE} asks to wait.", _seconds(detail["retryDelay"])
            )
    check_status(_TITLE, reply, key, message)


def _seconds(delay: Any) -> float:
    """Read a duration such as ``"7s"``."""
    try:
        return float(str(delay).removesuffix("s"))
    except ValueError:
        return BUSY


def _labels(answer: dict[str, Any], key: str) -> list[Label] | ProviderError:
    """Read the labels of one image; a response may hold both labels and an error."""
    labels = [
        clean_label(
            label.get("mid") or label["description"],
            label["description"],
            confidence(label["score"]),
        )
        for label in answer.get("labelAnnotations", [])
    ]
    error = answer.get("error")
    if labels or not error:
        return surest(labels)
    reason = vendor_message(str(error.get("message", "")), key)
    if error.get("code") == _INVALID_ARGUMENT:
        return ProviderRejected(f"{_TITLE} rejects the image: {reason}")
    return ProviderError(f"{_TITLE} failed for the image: {reason}")
