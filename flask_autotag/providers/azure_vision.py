"""Microsoft's computer vision, in Azure's Cognitive Services."""

from __future__ import annotations

from .. import checks
from ..settings.fields import Field, Input, Section
from .base import Provider
from .endpoints import vendor_endpoint

#: Hosts of resources and of regions, in the public, US government and Chinese clouds;
#: from the audiences of Azure's SDK and its pages on private links and regions.
HOSTS = (
    ".cognitiveservices.azure.com",
    ".api.cognitive.microsoft.com",
    ".cognitiveservices.azure.us",
    ".api.cognitive.microsoft.us",
    ".cognitiveservices.azure.cn",
    ".api.cognitive.azure.cn",
)
VERSIONS = ("4.0", "3.2")


class AzureVisionProvider(Provider):
    """Classify at Microsoft."""

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
                "Images are sent to Microsoft, which charges for each.",
                Input.SWITCH,
            ),
            Field(
                "endpoint",
                None,
                vendor_endpoint(
                    "https://my-resource.cognitiveservices.azure.com", *HOSTS
                ),
                "Endpoint",
                "The address of the Azure resource. When it changes, the key has to be"
                " typed again, so that no key is sent to another address.",
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
                "Image Analysis 4.0, or Computer Vision 3.2 where the region has no"
                " other.",
                Input.CHOICE,
                choices=lambda _model_dir: VERSIONS,
            ),
            Field(
                "language",
                "en",
                checks.text,
                "Language of the tags",
                "Such as en, de, fr, ja, pt-BR or zh-Hans.",
            ),
            Field(
                "confidence_threshold",
                0.5,
                checks.fraction,
                "Confidence threshold",
                "From 0 to 1: how sure Microsoft must be of a tag.",
                Input.FRACTION,
            ),
        ),
    )
