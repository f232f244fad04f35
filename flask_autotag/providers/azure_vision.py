"""Microsoft Azure's computer vision: Image Analysis 4.0 and Computer Vision 3.2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from ..errors import ProviderError, ProviderRejected
from ..settings import checks
from ..settings.fields import Field, Input, Section
from .base import Label, RemoteProvider, SentImage, clean_label, surest
from .endpoints import Endpoint
from .http import Http, Reply, check_status, confidence
from .limits import limit_fields

#: Hosts of resources and regions, in the public, US government and Chinese clouds.
#: Source: the audiences in Azure's SDK, and Azure's documentation of private links and
#: regions.
HOSTS = (
    ".cognitiveservices.azure.com",
    ".api.cognitive.microsoft.com",
    ".cognitiveservices.azure.us",
    ".api.cognitive.microsoft.us",
    ".cognitiveservices.azure.cn",
    ".api.cognitive.azure.cn",
)
V4, V3 = "4.0", "3.2"
VERSIONS = (V4, V3)
_TITLE = "Microsoft Cognitive Services"
#: The generally available version of Image Analysis 4.0.
_API_VERSION = "2024-02-01"
#: Pixels that each side must exceed. Source: the documentation of both versions.
_SMALLEST = 50
_EXAMPLE = "https://my-resource.cognitiveservices.azure.com"


class AzureVisionProvider(RemoteProvider):
    """Classifies with Microsoft Azure."""

    name = "microsoft"
    section = Section(
        "microsoft",
        "Microsoft Cognitive Services",
        (
            Field(
                "enabled",
                False,
                checks.boolean,
                "Enable Microsoft Cognitive Services",
                "Images are sent to Microsoft, which charges for each image.",
                Input.SWITCH,
            ),
            Field(
                "endpoint",
                None,
                Endpoint(_EXAMPLE, suffixes=HOSTS),
                "Endpoint",
                "The address of the Azure resource. After a change, enter the key"
                " again: a key is never sent to another address.",
                required=True,
            ),
            Field(
                "api_key",
                None,
                checks.secret,
                "API key",
                "One of the two keys of the Azure resource.",
                Input.SECRET,
                required=True,
                bound_to="endpoint",
            ),
            Field(
                "api_version",
                VERSIONS[0],
                checks.one_of(*VERSIONS),
                "API version",
                "Image Analysis 4.0, or Computer Vision 3.2 in regions without 4.0.",
                Input.CHOICE,
                choices=lambda _model_dir: VERSIONS,
            ),
            Field(
                "language",
                "en",
                checks.language,
                "Language of the tags",
                "Such as en, de, fr, ja, pt-BR or zh-Hans.",
            ),
            Field(
                "confidence_threshold",
                0.5,
                checks.fraction,
                "Confidence threshold",
                "From 0 to 1: the lowest confidence of Microsoft at which a label"
                " becomes a tag.",
                Input.FRACTION,
            ),
            *limit_fields(),
        ),
    )

    @classmethod
    def model(cls, settings: Mapping[str, Any]) -> str:
        """Return the API version and the language; both change the labels."""
        return f"{settings['api_version']} {settings['language']}"

    @classmethod
    def classify(
        cls, images: Sequence[SentImage], settings: Mapping[str, Any], http: Http
    ) -> list[list[Label] | ProviderError]:
        """Classify one image, the most that Microsoft accepts in a request."""
        [image] = images
        if min(image.width, image.height) <= _SMALLEST:
            size = f"{image.width} by {image.height} pixels"
            return [ProviderRejected(f"{_TITLE} accepts no image of {size}.")]
        key = settings["api_key"].reveal()
        reply = http.post(
            _TITLE,
            settings["endpoint"] + _address(settings),
            headers={
                "Ocp-Apim-Subscription-Key": key,
                "Content-Type": "application/octet-stream",
            },
            data=image.data,
        )
        check_status(_TITLE, reply, key, _message(reply))
        try:
            return [surest([_label(tag) for tag in _tags(reply.body, settings)])]
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ProviderError(f"{_TITLE} gave no usable answer.") from None


def _address(settings: Mapping[str, Any]) -> str:
    language = settings["language"]
    if settings["api_version"] == V3:
        query = {"language": language, "model-version": "latest"}
        return f"/vision/v3.2/tag?{urlencode(query)}"
    query = {"api-version": _API_VERSION, "features": "tags", "language": language}
    return f"/computervision/imageanalysis:analyze?{urlencode(query)}"


def _message(reply: Reply) -> str:
    """Return Microsoft's message; some errors are not wrapped in ``error``."""
    body = reply.body if isinstance(reply.body, dict) else {}
    error = body.get("error", body)
    return str(error.get("message", "")) if isinstance(error, dict) else ""


def _tags(body: Any, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    tags = (
        body["tags"] if settings["api_version"] == V3 else body["tagsResult"]["values"]
    )
    if not isinstance(tags, list):
        raise ValueError
    return tags


def _label(tag: dict[str, Any]) -> Label:
    return clean_label(tag["name"], tag["name"], confidence(tag["confidence"]))
