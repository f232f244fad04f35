"""Requests to Google and Microsoft, and how their responses are read.

The vendors' own clients are the oracle: a server on this machine records their
request and ours, and answers both.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from azure.ai.vision.imageanalysis import ImageAnalysisClient
from azure.ai.vision.imageanalysis.models import VisualFeatures
from azure.cognitiveservices.vision.computervision import ComputerVisionClient
from azure.core.credentials import AzureKeyCredential
from google.api_core.client_options import ClientOptions
from google.cloud import vision
from google.protobuf import json_format
from jsonschema import Draft202012Validator
from msrest.authentication import ApiKeyCredentials
from PIL import Image

from flask_autotag import ProviderError, TaggingError
from flask_autotag.errors import ProviderBusy, ProviderRefused, ProviderRejected
from flask_autotag.providers.azure_vision import AzureVisionProvider
from flask_autotag.providers.base import Label, RemoteProvider, SentImage
from flask_autotag.providers.google_vision import GoogleVisionProvider
from flask_autotag.providers.http import Http
from flask_autotag.settings.secret import Secret

from . import schemas
from .vendors import Answer, Recorded, Vendor, drip, flood, vendor

KEY = "AIza-secret-0123"


def jpeg(size: tuple[int, int] = (64, 60)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, "JPEG")
    return file.getvalue()


PHOTO = SentImage(jpeg(), 64, 60)

GOOGLE_ANSWER = {
    "responses": [
        {
            "labelAnnotations": [
                {
                    "mid": "/m/0bt9lr",
                    "description": "Dog",
                    "score": 0.97,
                    "topicality": 0.5,
                },
                {"mid": "/m/01z5f", "description": "Canidae", "score": 0.6},
            ]
        }
    ]
}
AZURE_4_ANSWER = {
    "modelVersion": "2023-10-01",
    "metadata": {"width": 64, "height": 60},
    "tagsResult": {
        "values": [
            {"name": "dog", "confidence": 0.99},
            {"name": "grass", "confidence": 0.7},
        ]
    },
}
AZURE_3_ANSWER = {
    "tags": [
        {"name": "dog", "confidence": 0.99},
        {"name": "grass", "confidence": 0.7, "hint": "plant"},
    ],
    "requestId": "1",
    "metadata": {"width": 64, "height": 60, "format": "Jpeg"},
    "modelVersion": "2021-05-01",
}
ANSWERS = {
    "google": GOOGLE_ANSWER,
    "azure 4.0": AZURE_4_ANSWER,
    "azure 3.2": AZURE_3_ANSWER,
}
SAYS_DOG = {
    "google": [Label("/m/0bt9lr", "Dog", 0.97), Label("/m/01z5f", "Canidae", 0.6)],
    "azure 4.0": [Label("dog", "dog", 0.99), Label("grass", "grass", 0.7)],
    "azure 3.2": [Label("dog", "dog", 0.99), Label("grass", "grass", 0.7)],
}


@pytest.fixture
def server() -> Iterator[Vendor]:
    with vendor() as running:
        yield running


class Ask:
    """Calls one of the providers at the server."""

    def __init__(self, name: str, server: Vendor, **settings: Any) -> None:
        self.provider: type[RemoteProvider] = (
            GoogleVisionProvider if name == "google" else AzureVisionProvider
        )
        self.settings = {
            "endpoint": server.url,
            "api_key": Secret(KEY),
            "api_version": name.removeprefix("azure "),
            "language": "en",
            **settings,
        }
        self.http = Http(frozenset({server.url}), total=1.0)

    def __call__(self, *images: SentImage) -> list[list[Label] | ProviderError]:
        return self.provider.classify(images or [PHOTO], self.settings, self.http)


@pytest.fixture(params=ANSWERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def ask(name: str, server: Vendor) -> Ask:
    server.answer = Answer(body=ANSWERS[name])
    return Ask(name, server)


# The requests


def official_request(name: str, url: str) -> Any:
    """Send a request with the vendor's own client, and return its result."""
    if name == "google":
        client = vision.ImageAnnotatorClient(
            transport="rest",
            client_options=ClientOptions(api_key=KEY, api_endpoint=url),
        )
        request = {
            "image": {"content": PHOTO.data},
            "features": [{"type_": "LABEL_DETECTION", "max_results": 50}],
        }
        return client.batch_annotate_images(requests=[request])
    if name == "azure 4.0":
        with ImageAnalysisClient(
            url, AzureKeyCredential(KEY), api_version="2024-02-01", retry_total=0
        ) as azure:
            return azure.analyze(PHOTO.data, [VisualFeatures.TAGS], language="en")
    credentials = ApiKeyCredentials(in_headers={"Ocp-Apim-Subscription-Key": KEY})
    old = ComputerVisionClient(url, credentials)
    with old._client:
        return old.tag_image_in_stream(io.BytesIO(PHOTO.data), language="en")


#: Headers that say who asks; media types are compared without parameters.
AUTHENTICATION = ("x-goog-api-key", "ocp-apim-subscription-key", "authorization")


def essence(name: str, recorded: Recorded) -> dict[str, Any]:
    """The parts of a request that matter to the vendor."""
    query = {key: value for key, value in recorded.query.items() if "alt" not in key}
    body: Any = recorded.body
    if name == "google":
        parsed = vision.BatchAnnotateImagesRequest.pb()()
        json_format.ParseDict(recorded.json, parsed)
        body = parsed
    return {
        "method": recorded.method,
        "path": recorded.path,
        "query": query,
        "type": recorded.headers["content-type"].split(";")[0],
        "authentication": {
            key: recorded.headers[key]
            for key in AUTHENTICATION
            if key in recorded.headers
        },
        "body": body,
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
class TestAgainstTheOfficialClient:
    def test_our_request_is_the_same(self, name: str, ask: Ask, server: Vendor) -> None:
        ask()
        official_request(name, server.url)
        ours, theirs = (essence(name, each) for each in server.requests)
        if name == "azure 3.2":
            # The client leaves out default values.
            assert ours["query"].pop("model-version") == "latest"
            theirs["query"].pop("model-version", None)
        assert ours == theirs

    def test_a_wrong_request_is_not_the_same(
        self, name: str, ask: Ask, server: Vendor
    ) -> None:
        ask.settings["language"] = "de"
        ask.settings["api_key"] = Secret("another")
        ask()
        official_request(name, server.url)
        ours, theirs = (essence(name, each) for each in server.requests)
        assert ours["authentication"] != theirs["authentication"]
        if name != "google":
            assert ours["query"] != theirs["query"]

    def test_their_client_understands_the_answers(
        self, name: str, ask: Ask, server: Vendor
    ) -> None:
        answer = official_request(name, server.url)
        if name == "google":
            [response] = answer.responses
            said = [(one.description, one.score) for one in response.label_annotations]
        elif name == "azure 4.0":
            assert answer.tags is not None
            said = [(one.name, one.confidence) for one in answer.tags.list]
        else:
            said = [(one.name, one.confidence) for one in answer.tags]
        [labels] = ask()
        assert isinstance(labels, list)
        assert said == [
            (label.name, pytest.approx(label.confidence)) for label in labels
        ]


SCHEMAS = {
    "google": schemas.google,
    "azure 4.0": schemas.azure_4,
    "azure 3.2": schemas.azure_3,
}


class TestAgainstTheVendorsSchema:
    def test_the_answers_are_valid(self, name: str) -> None:
        Draft202012Validator(SCHEMAS[name]()).validate(ANSWERS[name])

    def test_wrong_answers_are_not(self, name: str) -> None:
        validator = Draft202012Validator(SCHEMAS[name]())
        text = json.dumps(ANSWERS[name])
        no_number = text.replace("0.97", '"sure"').replace("0.99", '"sure"')
        unknown_field = text.replace("score", "sure").replace("confidence", "sure")
        for wrong in (no_number, unknown_field):
            assert not validator.is_valid(json.loads(wrong))


def test_the_labels_come_surest_first(name: str, ask: Ask) -> None:
    assert ask() == [SAYS_DOG[name]]


def test_the_key_is_in_a_header_alone(ask: Ask, server: Vendor) -> None:
    ask()
    [request] = server.requests
    with_it = {key for key, value in request.headers.items() if KEY in value}
    assert len(with_it) == 1
    assert KEY not in request.path + str(request.query)
    assert KEY.encode() not in request.body


def test_sixteen_images_in_one_request_to_google(server: Vendor) -> None:
    body = {"responses": GOOGLE_ANSWER["responses"] * 16}
    server.answer = Answer(body=body)
    assert len(Ask("google", server)(*[PHOTO] * 16)) == 16
    assert len(server.requests[0].json["requests"]) == 16


def test_one_image_of_several_is_bad(server: Vendor) -> None:
    bad = {"error": {"code": 3, "message": "Bad image data."}}
    later = {"error": {"code": 14, "message": "Unavailable."}}
    both = {**GOOGLE_ANSWER["responses"][0], **bad}
    server.answer = Answer(body={"responses": [bad, later, {}, both]})
    first, second, third, fourth = Ask("google", server)(*[PHOTO] * 4)
    assert isinstance(first, ProviderRejected)
    assert str(first) == "Google Cloud Vision rejects the image: Bad image data."
    assert type(second) is ProviderError
    assert third == []
    assert fourth == SAYS_DOG["google"]


def test_microsoft_takes_no_tiny_image(server: Vendor) -> None:
    for version in ("azure 4.0", "azure 3.2"):
        [refused] = Ask(version, server)(SentImage(jpeg((50, 60)), 50, 60))
        assert isinstance(refused, ProviderRejected)
        assert "accepts no image of 50 by 60 pixels" in str(refused)
    assert server.requests == []


# The answers


def error_body(name: str, status: int, words: str) -> Any:
    if name == "google":
        return {"error": {"code": status, "message": words, "status": "X"}}
    if name == "azure 3.2":
        return {"code": "X", "message": words}
    return {"error": {"code": "X", "message": words, "innererror": {"code": "Y"}}}


@pytest.mark.parametrize(
    ("status", "headers", "kind", "seconds"),
    [
        (400, {}, ProviderRejected, None),
        (401, {}, ProviderRefused, None),
        (403, {}, ProviderRefused, None),
        (404, {}, ProviderRefused, None),
        (413, {}, ProviderRejected, None),
        (415, {}, ProviderRejected, None),
        (429, {}, ProviderBusy, 60),
        (429, {"Retry-After": "7"}, ProviderBusy, 7),
        (429, {"Retry-After": "86400"}, ProviderBusy, 3600),
        (429, {"Retry-After": "soon"}, ProviderBusy, 60),
        (429, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, ProviderBusy, 1),
        (500, {}, ProviderError, None),
        (503, {}, ProviderError, None),
        (503, {"Retry-After": "20"}, ProviderBusy, 20),
        (302, {"Location": "http://169.254.169.254/"}, ProviderRefused, None),
        (418, {}, ProviderError, None),
    ],
)
def test_an_error(
    name: str,
    ask: Ask,
    server: Vendor,
    status: int,
    headers: dict[str, str],
    kind: type[TaggingError],
    seconds: float | None,
) -> None:
    body = error_body(name, status, f"No,\n {KEY} will not do.")
    server.answer = Answer(status, body, headers)
    with pytest.raises(kind) as caught:
        ask()
    assert type(caught.value) is kind
    assert str(caught.value).endswith(f"answered {status}: No, … will not do.")
    assert getattr(caught.value, "seconds", None) == seconds
    assert len(server.requests) == 1


def test_a_wrong_key_is_a_400_at_google(server: Vendor) -> None:
    error = {
        "code": 400,
        "message": f"API key {KEY} not valid.",
        "details": [7, {"@type": "ErrorInfo", "reason": "API_KEY_INVALID"}],
    }
    server.answer = Answer(400, {"error": error})
    with pytest.raises(ProviderRefused) as caught:
        Ask("google", server)()
    assert str(caught.value) == (
        "Google Cloud Vision does not accept the key: API key … not valid."
    )


@pytest.mark.parametrize(("delay", "seconds"), [("7s", 7), ("1.5s", 1.5), ("x", 60)])
def test_google_says_how_long_to_wait(
    server: Vendor, delay: str, seconds: float
) -> None:
    details = [{"@type": "RetryInfo", "retryDelay": delay}]
    server.answer = Answer(429, {"error": {"code": 429, "details": details}})
    with pytest.raises(ProviderBusy) as caught:
        Ask("google", server)()
    assert caught.value.seconds == seconds


NONSENSE: list[Any] = [
    b"",
    b"{",
    b"[" * 100_000,
    b"null",
    b"7",
    b'"text"',
    b"[]",
    b"{}",
    {"responses": None, "tagsResult": None, "tags": None},
    {"responses": [], "tagsResult": {}, "tags": {}},
    {"responses": [7], "tagsResult": {"values": [7]}, "tags": [7]},
    {
        "responses": [{"labelAnnotations": [{"description": 7, "score": 1}]}],
        "tagsResult": {"values": [{"name": None, "confidence": 1}]},
        "tags": [{"name": ["x"], "confidence": 1}],
    },
]
for score in (float("nan"), float("inf"), -0.1, 1.5, "0.9", None, True):
    NONSENSE.append(
        {
            "responses": [{"labelAnnotations": [{"description": "x", "score": score}]}],
            "tagsResult": {"values": [{"name": "x", "confidence": score}]},
            "tags": [{"name": "x", "confidence": score}],
        }
    )


@pytest.mark.parametrize("body", NONSENSE, ids=lambda body: repr(body)[:40])
def test_an_answer_that_makes_no_sense(ask: Ask, server: Vendor, body: Any) -> None:
    server.answer = Answer(body=body)
    with pytest.raises(ProviderError) as caught:
        ask()
    assert str(caught.value).endswith("gave no usable answer.")


def test_an_answer_of_very_many_labels(ask: Ask, server: Vendor) -> None:
    names = [(f"label\0{n}\n<b>", n / 10_000) for n in range(10_000)]
    server.answer = Answer(
        body={
            "responses": [
                {"labelAnnotations": [{"description": d, "score": s} for d, s in names]}
            ],
            "tagsResult": {"values": [{"name": d, "confidence": s} for d, s in names]},
            "tags": [{"name": d, "confidence": s} for d, s in names],
        }
    )
    [labels] = ask()
    assert isinstance(labels, list)
    assert len(labels) == 50
    assert labels[0] == Label("label 9999 <b>", "label 9999 <b>", 0.9999)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (drip, "took too long to answer."),
        (flood, "answered with more than 2097152 bytes."),
        (lambda file: file.write(b"{"), "gave no usable answer."),
    ],
)
def test_a_server_that_misbehaves(
    ask: Ask, server: Vendor, write: Any, message: str
) -> None:
    server.answer = Answer(write=write)
    with pytest.raises(ProviderError) as caught:
        ask()
    assert str(caught.value).endswith(message)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(server: Vendor, status: int) -> None:
    with vendor() as other:
        server.answer = Answer(status, headers={"Location": other.url})
        with pytest.raises(ProviderRefused):
            Ask("google", server)()
        assert (len(server.requests), other.requests) == (1, [])
