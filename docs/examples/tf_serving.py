"""A provider that asks TensorFlow Serving, over its REST API.

The model's signature takes JPEGs and gives, for each, ``labels`` and ``scores``.
"""

import base64
import json
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
from flask_autotag.providers.http import Http, check_status, confidence
from flask_autotag.settings.fields import Field, Input, Section


class TFServingProvider(RemoteProvider):
    """Classify with a model that TensorFlow Serving runs."""

    name = "tf_serving"
    together = 8
    section = Section(
        "tf_serving",
        "TensorFlow Serving",
        (
            Field(
                "enabled",
                False,
                checks.boolean,
                "Enable TensorFlow Serving",
                "Images are sent to a server of your own.",
                Input.SWITCH,
            ),
            Field(
                "endpoint",
                None,
                # No host of a vendor: only what AUTOTAG_ALLOWED_ORIGINS names.
                Endpoint("http://127.0.0.1:8501"),
                "Endpoint",
                "Where the server is; one that AUTOTAG_ALLOWED_ORIGINS names.",
                required=True,
            ),
            Field(
                "model",
                "classifier",
                checks.text,
                "Model",
                "Its name on the server.",
            ),
            Field(
                "confidence_threshold",
                0.5,
                checks.fraction,
                "Confidence threshold",
                "From 0 to 1: how sure the model must be of a tag.",
                Input.FRACTION,
            ),
        ),
    )

    @classmethod
    def model(cls, settings: Mapping[str, Any]) -> str:
        return str(settings["model"])

    @classmethod
    def classify(
        cls, images: Sequence[SentImage], settings: Mapping[str, Any], http: Http
    ) -> list[list[Label] | ProviderError]:
        instances = [{"b64": base64.b64encode(image.data).decode()} for image in images]
        reply = http.post(
            cls.section.title,
            f"{settings['endpoint']}/v1/models/{settings['model']}:predict",
            headers={"Content-Type": "application/json"},
            data=json.dumps({"instances": instances}).encode(),
        )
        words = reply.body.get("error", "") if isinstance(reply.body, dict) else ""
        check_status(cls.section.title, reply, "", str(words))
        try:
            return [
                surest(
                    [
                        heard(name, name, confidence(score))
                        for name, score in zip(
                            one["labels"], one["scores"], strict=True
                        )
                    ]
                )
                for _, one in zip(images, reply.body["predictions"], strict=True)
            ]
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ProviderError("TensorFlow Serving gave no usable answer.") from None
