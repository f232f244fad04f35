"""A provider that asks TensorFlow Serving, over its REST API.

The model's signature takes JPEGs and returns ``labels`` and ``scores`` for each.
"""

import base64
import json
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
from flask_autotag.providers.http import Http, check_status, confidence
from flask_autotag.settings import checks
from flask_autotag.settings.fields import Field, Input, Section


class TFServingProvider(RemoteProvider):
    """Classify images with a model in TensorFlow Serving."""

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
                "Images are sent to your own server.",
                Input.SWITCH,
            ),
            Field(
                "endpoint",
                None,
                # No vendor's host: only addresses in AUTOTAG_ALLOWED_ORIGINS.
                Endpoint("http://127.0.0.1:8501"),
                "Endpoint",
                "The URL of the server, which AUTOTAG_ALLOWED_ORIGINS must list.",
                required=True,
            ),
            Field(
                "model",
                "classifier",
                checks.text,
                "Model",
                "The name of the model on the server.",
            ),
            Field(
                "confidence_threshold",
                0.5,
                checks.fraction,
                "Confidence threshold",
                "From 0 to 1: the confidence that a tag needs.",
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
                        clean_label(name, name, confidence(score))
                        for name, score in zip(
                            one["labels"], one["scores"], strict=True
                        )
                    ]
                )
                for _, one in zip(images, reply.body["predictions"], strict=True)
            ]
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ProviderError("TensorFlow Serving gave no usable answer.") from None
