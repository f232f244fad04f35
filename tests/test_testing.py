"""The checks for authors of providers accept correct providers and name each fault."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from PIL import Image

from flask_autotag import ProviderError
from flask_autotag.errors import ProviderRefused
from flask_autotag.providers.azure_vision import AzureVisionProvider
from flask_autotag.providers.base import Label, LocalProvider, RemoteProvider
from flask_autotag.providers.google_vision import GoogleVisionProvider
from flask_autotag.providers.http import Http
from flask_autotag.providers.registry import BUNDLED
from flask_autotag.providers.tensorflow.provider import TensorFlowProvider
from flask_autotag.settings import checks
from flask_autotag.settings.fields import Field, Input, Section
from flask_autotag.settings.machine import Machine
from flask_autotag.settings.secret import Secret
from flask_autotag.testing import (
    check_declaration,
    check_failures,
    check_local,
    check_remote,
)

from .providers.vendors import Answer, Recorded, Vendor, vendor

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "examples"
KEY = "AIza-secret-0123"


@pytest.fixture
def server() -> Iterator[Vendor]:
    with vendor() as running:
        yield running


def example_of(name: str) -> Any:
    """Import an example of the documentation."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def example() -> Any:
    """The provider for TensorFlow Serving in the documentation."""
    return example_of("tf_serving").TFServingProvider


@pytest.fixture(scope="module")
def colors() -> Any:
    """The local provider in the documentation."""
    return example_of("dominant_color").DominantColorProvider


def provider_with(answer: Callable[[], Any]) -> type[RemoteProvider]:
    """Return a provider whose ``classify`` returns or raises what *answer* does."""

    class Mine(RemoteProvider):
        name = "mine"

        @classmethod
        def model(cls, settings: Any) -> str:
            return "1"

        @classmethod
        def classify(cls, images: Any, settings: Any, http: Any) -> Any:
            return answer()

    return Mine


@pytest.mark.parametrize("provider", BUNDLED)
def test_ours_pass(provider: Any) -> None:
    check_declaration(provider)


def test_the_local_one_passes() -> None:
    check_local(TensorFlowProvider())
    check_local(TensorFlowProvider, {"model": "efficientnet-lite0"})


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


class TestTheLocalExampleOfTheDocumentation:
    def test_it_passes(self, colors: Any) -> None:
        check_declaration(colors)
        check_local(colors)
        check_local(colors, {"colors": 2, "names": "fine"})

    def test_it_names_the_colors_by_their_share(self, colors: Any) -> None:
        image = Image.new("RGB", (80, 40), "white")
        image.paste("purple", (0, 0, 20, 40))
        [fine] = colors(8, "fine").classify([image])
        assert [(label.name, label.confidence) for label in fine] == [
            ("white", 0.75),
            ("purple", 0.25),
        ]
        [basic] = colors(8, "basic").classify([image])
        assert basic[1].name in example_of("dominant_color").BASIC

    def test_other_settings_are_another_model(self, colors: Any) -> None:
        models = {
            colors.current_model({"colors": number, "names": names}, Machine())
            for number in (4, 8)
            for names in ("basic", "fine")
        }
        assert len(models) == 4


@pytest.mark.parametrize("name", ["dominant_color", "paid_service", "tf_serving"])
def test_an_example_has_the_types_that_it_says(name: str) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", f"{EXAMPLES / name}.py"]
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed")
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


class TestThePaidExampleOfTheDocumentation:
    def test_it_passes(self, server: Vendor) -> None:
        provider = example_of("paid_service").PaidServiceProvider
        check_declaration(provider)
        one = {"tags": [{"name": "cat", "score": 0.2}, {"name": "dog", "score": 0.7}]}
        server.answer = Answer(body=one)
        http = Http(frozenset({server.url}), total=3)
        settings = {"endpoint": server.url, "api_key": Secret(KEY)}
        check_remote(provider, settings, http)
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
        for failing in (
            Answer(401, {"message": f"{KEY} is unknown"}),
            Answer(422, {"message": "too small"}),
            Answer(body=b"<html>"),
            Answer(body={"tags": [{"name": "x", "score": 7}]}),
        ):
            server.answer = failing
            check_failures(provider, settings, http, KEY)


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
        (
            {"bound_to": "y"},
            "has a field 'x' that is bound to 'y', which is not a field",
        ),
        ({"name": "enabled"}, "has a field 'enabled' twice"),
        ({"help": None}, "the field 'x' needs a help that is a sentence"),
        (
            {"check": int, "default": "a"},
            "has a field 'x' whose check refuses its default (ValueError: invalid",
        ),
        (
            {"check": str.strip, "default": 7},
            "has a field 'x' whose check refuses its default (TypeError: ",
        ),
        (
            {"check": int, "default": 7},
            "the field 'x' has a check that raised TypeError: int() argument",
        ),
        (
            {"check": None, "default": None},
            "the field 'x' has a check that raised TypeError: 'NoneType' object is not",
        ),
        (
            {"check": str.upper},
            "the field 'x' has a default that its own check changes",
        ),
        (
            {"choices": lambda _model_dir: ("b",), "input": Input.CHOICE},
            "the field 'x' has a default that is not among its choices",
        ),
        (
            {"choices": lambda: ("b",), "input": Input.CHOICE},
            "the field 'x': choices raised TypeError",
        ),
    ],
)
def test_a_fault_of_a_declaration(change: dict[str, Any], message: str) -> None:
    field = dataclasses.replace(
        Field("x", "a", checks.text, "Label", "Help."), **change
    )

    mine = provider_with(Mock())
    mine.section = Section("mine", "Mine", (GOOD, THRESHOLD, field))
    with pytest.raises(AssertionError) as caught:
        check_declaration(mine)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (None, "classify must return a list, not None"),
        ([], "1 images need as many answers, in order, not 0"),
        ([None], "an answer is a list of Labels"),
        ([["dog"]], "an answer is a list of Labels"),
        ([[Label("1", "dog", 1.5)]], "a confidence is a float from 0 to 1, not 1.5"),
        ([[Label("1", "dog", float("nan"))]], "a confidence is a float from 0 to 1"),
        ([[Label("", "dog", 0.5)]], "a label needs an id and a name"),
        (
            [[Label("1", "a", 0.1), Label("2", "b", 0.2)]],
            "labels must be sorted by confidence",
        ),
        ([[Label("1", "a" * 101, 0.5)]], "the label '1' would never be a tag: a tag's"),
        ([[Label("1", "\0", 0.5)]], "the label '1' would never be a tag: a tag needs"),
        ([[Label("1" * 101, "a", 0.5)]], "has 101 characters, of which 100 are kept"),
        ([[Label("1", 7, 0.5)]], "an id and a name are texts, not 7"),  # type: ignore[arg-type]
        ([[Label("1", "a", 0.5)] * 51], "has 51 labels, and at most 50 are kept"),
    ],
)
def test_a_fault_of_an_answer(answers: Any, message: str) -> None:
    mine = provider_with(Mock(return_value=answers))
    with pytest.raises(AssertionError, match=message.replace(".", r"\.")):
        check_remote(mine, {}, Http())
    with pytest.raises(AssertionError) as caught:
        check_failures(mine, {}, Http(), KEY)
    one = answers and len(answers) == 1
    assert str(caught.value).startswith("a failure must be raised" if one else message)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyError("x"), "KeyError was raised; a provider raises ProviderError"),
        (ProviderRefused(f"no {KEY}"), "the message holds the key"),
    ],
)
def test_a_fault_of_a_failure(error: Exception, message: str) -> None:
    mine = provider_with(Mock(side_effect=error))
    with pytest.raises(AssertionError, match=message):
        check_failures(mine, {}, Http(), KEY)


def test_an_images_own_failure_is_an_answer() -> None:
    mine = provider_with(Mock(return_value=[ProviderError("no")]))
    check_remote(mine, {}, Http())
    check_failures(mine, {}, Http(), KEY)


def test_an_images_own_failure_tells_no_key() -> None:
    mine = provider_with(Mock(return_value=[ProviderError(f"no {KEY}")]))
    with pytest.raises(AssertionError, match="the message holds the key"):
        check_failures(mine, {}, Http(), KEY)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"together": "two"}, "together is a number of images, not 'two'"),
        ({"side": None}, "side is a whole number of pixels, not None"),
        ({"model": classmethod(lambda cls, _: 7)}, "model is a text, not 7"),
        (
            {"model": classmethod(lambda cls, settings: settings["no"])},
            "KeyError: 'no'",
        ),
    ],
)
def test_a_fault_of_one_elsewhere(attributes: dict[str, Any], message: str) -> None:
    good = {
        "model": classmethod(lambda cls, settings: "1"),
        "classify": classmethod(lambda cls, images, settings, http: []),
    }
    mine: Any = type("Mine", (RemoteProvider,), {**good, **attributes})
    with pytest.raises(AssertionError, match=re.escape(message)):
        check_remote(mine, {}, Http())


class Local(LocalProvider):
    name = "mine"
    section = Section("mine", "Mine", (GOOD, THRESHOLD))
    model = "1"  # type: ignore[assignment]
    side = 8  # type: ignore[assignment]

    @classmethod
    def options(cls, settings: Any, machine: Any) -> Any:
        return {}

    def classify(self, images: Any) -> Any:
        return [[] for _ in images]


def raising(*_arguments: Any) -> Any:
    raise RuntimeError("no")


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"model": 7}, "model is a text, not 7"),
        ({"model": " "}, "model must name the model and its version"),
        ({"model": "a" * 129}, "model has 129 characters, of which 128 are kept"),
        ({"side": "8"}, "side is a whole number of pixels, not '8'"),
        ({"side": 0}, "side must be a number of pixels"),
        ({"side": property(raising)}, "side raised RuntimeError: no"),
        ({"classify": raising}, "classify raised RuntimeError: no"),
        (
            {"classify": lambda self, images: [[]] * max(1, len(images))},
            "classify([]) must return []",
        ),
        ({"options": raising}, "options raised RuntimeError: no"),
        ({"options": lambda *_: []}, "options is a dict, not []"),
        ({"options": lambda *_: {"a": object()}}, "options must be JSON: Object of"),
        ({"options": lambda *_: {"a": 1}}, "Mine(**options) raised TypeError"),
        (
            {"current_model": lambda *_: "2"},
            "current_model returns '2', but model is '1'",
        ),
    ],
)
def test_a_fault_of_a_local_one(attributes: dict[str, Any], message: str) -> None:
    check_local(Local)
    mine: Any = type("Mine", (Local,), attributes)
    with pytest.raises(AssertionError, match=re.escape(message)):
        check_local(mine)


def test_a_local_one_is_made_as_in_the_product() -> None:
    made = []

    class Mine(Local):
        def __init__(self, sure: float, sizes: Any) -> None:
            made.append((sure, sizes))

        @classmethod
        def options(cls, settings: Any, machine: Any) -> Any:
            return {"sure": settings["confidence_threshold"], "sizes": (1, 2)}

    check_local(Mine)
    check_local(Mine, {"confidence_threshold": 0.7})
    assert made == [(0.5, [1, 2]), (0.7, [1, 2])]
    with pytest.raises(AssertionError, match="there is no field 'sure'"):
        check_local(Mine, {"sure": 1})


def test_broader_labels_may_be_beside_those_of_a_local_one() -> None:
    class Mine(Local):
        def classify(self, images: Any) -> Any:
            return [[Label("1", "a", 0.5)] * 300 for _ in images]

    check_local(Mine)
