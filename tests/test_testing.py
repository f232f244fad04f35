"""The checks for providers' authors: good ones pass, each fault is named."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flask_autotag import ProviderError, ProviderRefused, checks
from flask_autotag.providers.azure_vision import AzureVisionProvider
from flask_autotag.providers.base import Label, RemoteProvider
from flask_autotag.providers.google_vision import GoogleVisionProvider
from flask_autotag.providers.http import Http
from flask_autotag.providers.registry import BUNDLED
from flask_autotag.providers.tensorflow import TensorFlowProvider
from flask_autotag.settings.fields import Field, Input, Section
from flask_autotag.settings.secret import Secret
from flask_autotag.testing import (
    check_declaration,
    check_failures,
    check_local,
    check_remote,
)

from .vendors import Answer, Recorded, Vendor, vendor

EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "tf_serving.py"
KEY = "AIza-secret-0123"


@pytest.fixture
def server() -> Iterator[Vendor]:
    with vendor() as running:
        yield running


@pytest.fixture(scope="module")
def example() -> Any:
    """The provider of the documentation."""
    spec = importlib.util.spec_from_file_location("tf_serving", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TFServingProvider


@pytest.mark.parametrize("provider", BUNDLED)
def test_ours_pass(provider: Any) -> None:
    check_declaration(provider)


def test_the_local_one_passes() -> None:
    check_local(TensorFlowProvider())


def test_google_passes(server: Vendor) -> None:
    labels = [{"description": "Dog", "score": 0.9}]
    server.answer = lambda recorded: Answer(
        body={
            "responses": [{"labelAnnotations": labels}] * len(recorded.json["requests"])
        }
    )
    settings = {"endpoint": server.url, "api_key": Secret(KEY)}
    http = Http(frozenset({server.url}))
    check_remote(GoogleVisionProvider, settings, http)
    for answer in (
        Answer(403, {"error": {"message": KEY}}),
        Answer(body=b"{"),
        Answer(),
    ):
        server.answer = answer
        check_failures(GoogleVisionProvider, settings, http, KEY)


def test_microsoft_passes(server: Vendor) -> None:
    server.answer = Answer(body={"tagsResult": {"values": []}})
    settings = {
        "endpoint": server.url,
        "api_key": Secret(KEY),
        "api_version": "4.0",
        "language": "en",
    }
    check_remote(AzureVisionProvider, settings, Http(frozenset({server.url})))


class TestTheExampleOfTheDocumentation:
    def test_it_passes(self, example: Any, server: Vendor) -> None:
        check_declaration(example)

        def answer(recorded: Recorded) -> Answer:
            assert recorded.path == "/v1/models/classifier:predict"
            one = {"labels": ["cat", "dog"], "scores": [0.2, 0.7]}
            return Answer(body={"predictions": [one] * len(recorded.json["instances"])})

        server.answer = answer
        settings = {"endpoint": server.url, "model": "classifier"}
        http = Http(frozenset({server.url}))
        check_remote(example, settings, http)
        for failing in (
            Answer(404, {"error": "Servable not found for request"}),
            Answer(body=b'{"predictions": [{"labels": ["x"], "scores": [NaN]}]}'),
            Answer(body={"predictions": 7}),
        ):
            server.answer = failing
            check_failures(example, settings, http, KEY)

    def test_its_endpoint_has_to_be_allowed(self, example: Any) -> None:
        field = {field.name: field for field in example.section.fields}["endpoint"]
        for address in ("http://127.0.0.1:8501", "https://example.com"):
            with pytest.raises(ValueError):
                field.check(address)
        allowing = field.check.allowing(frozenset({"http://127.0.0.1:8501"}))
        assert allowing("http://127.0.0.1:8501") == "http://127.0.0.1:8501"


GOOD = Field("enabled", False, checks.boolean, "On", "Help.")
THRESHOLD = Field("confidence_threshold", 0.5, checks.fraction, "Sure", "Help.")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": ""}, "the field 'x' needs a label"),
        ({"help": "no sentence"}, "the field 'x' needs a help that is a sentence"),
        ({"input": Input.SECRET}, "is a secret and needs the default None"),
        ({"check": checks.fraction, "default": 7}, "must be a number from 0 to 1"),
        ({"input": Input.CHOICE}, "the field 'x' needs choices"),
        ({"bound_to": "y"}, "is bound to a field that is not there"),
        ({"name": "enabled"}, "two fields have the same name"),
    ],
)
def test_a_fault_of_a_declaration(change: dict[str, Any], message: str) -> None:
    field = dataclasses.replace(
        Field("x", "a", checks.text, "Label", "Help."), **change
    )

    class Mine(RemoteProvider):
        name = "mine"
        section = Section("mine", "Mine", (GOOD, THRESHOLD, field))

    with pytest.raises((AssertionError, ValueError)) as caught:
        check_declaration(Mine)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([], "1 images must give as many answers, in order"),
        ([None], "an answer is a list of Labels"),
        ([["dog"]], "an answer is a list of Labels"),
        ([[Label("1", "dog", 1.5)]], "a confidence is a float from 0 to 1, not 1.5"),
        ([[Label("1", "dog", float("nan"))]], "a confidence is a float from 0 to 1"),
        ([[Label("", "dog", 0.5)]], "a label needs an id and a name"),
        ([[Label("1", "a", 0.1), Label("2", "b", 0.2)]], "labels come surest first"),
    ],
)
def test_a_fault_of_an_answer(answers: list[Any], message: str) -> None:
    class Mine(RemoteProvider):
        name = "mine"

        @classmethod
        def model(cls, settings: Any) -> str:
            return "1"

        @classmethod
        def classify(cls, images: Any, settings: Any, http: Any) -> Any:
            return answers

    with pytest.raises(AssertionError, match=message.replace(".", r"\.")):
        check_remote(Mine, {}, Http())
    with pytest.raises(AssertionError, match="a failure must be raised"):
        check_failures(Mine, {}, Http(), KEY)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyError("x"), "KeyError was raised; a provider raises ProviderError"),
        (ProviderRefused(f"no {KEY}"), "the message holds the key"),
    ],
)
def test_a_fault_of_a_failure(error: Exception, message: str) -> None:
    class Mine(RemoteProvider):
        @classmethod
        def model(cls, settings: Any) -> str:
            return "1"

        @classmethod
        def classify(cls, images: Any, settings: Any, http: Any) -> Any:
            raise error

    with pytest.raises(AssertionError, match=message):
        check_failures(Mine, {}, Http(), KEY)


def test_an_images_own_failure_is_an_answer() -> None:
    class Mine(RemoteProvider):
        @classmethod
        def model(cls, settings: Any) -> str:
            return "1"

        @classmethod
        def classify(cls, images: Any, settings: Any, http: Any) -> Any:
            return [ProviderError("no")]

    check_remote(Mine, {}, Http())
    check_failures(Mine, {}, Http(), KEY)
