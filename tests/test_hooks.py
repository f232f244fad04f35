"""What may be registered on the extension, and what is refused at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest

from flask_autotag import AutoTag, ConfigurationError

from .hosts import Host

#: Each decorator, and with how many arguments its function is called.
ARGUMENTS = {
    "image_loader": 1,
    "authorizer": 2,
    "instance_lister": 0,
    "asset_lister": 0,
    "user_namer": 0,
    "image_url": 1,
    "hidden_fields": 0,
}


def no_arguments() -> None: ...


def one(asset: Any) -> None: ...


def two(action: Any, instance: Any) -> None: ...


@pytest.mark.parametrize("name", ARGUMENTS)
def test_what_fits_is_given_back(name: str) -> None:
    fitting: tuple[Callable[..., Any], ...] = (no_arguments, one, two)
    code = fitting[ARGUMENTS[name]]
    for each in (code, lambda *arguments: None, Mock(), partial(code), dict):
        assert getattr(AutoTag(), name)(each) is each


@pytest.mark.parametrize("name", ARGUMENTS)
def test_what_is_no_function(name: str) -> None:
    autotag = AutoTag()
    with pytest.raises(ConfigurationError, match=rf"registered as {name} must be a"):
        getattr(autotag, name)("path")
    assert getattr(autotag._hooks, name) is None


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("authorizer", one, "authorizer(action, instance); one(asset: 'Any')"),
        ("authorizer", no_arguments, "authorizer(action, instance); no_arguments()"),
        ("image_loader", two, "image_loader(asset); two(action: 'Any', instance"),
        ("user_namer", one, "user_namer(); one(asset: 'Any')"),
        ("image_url", 7, "image_url(asset); 7 cannot."),
        ("image_url", None, "image_url(asset); None cannot."),
    ],
)
def test_what_takes_other_arguments(name: str, code: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        getattr(AutoTag(), name)(code)
    assert str(caught.value).startswith(
        f"What is registered as {name} must be a function that can be called as"
        f" {message}"
    )


def test_a_watch_whose_functions_cannot_be_called(host: Host) -> None:
    for arguments, name in (
        ({"image": "path"}, "image"),
        ({"image": no_arguments}, "image"),
        ({"image": one, "instance": two}, "instance"),
    ):
        with pytest.raises(ConfigurationError, match=f"registered as {name} must be"):
            host.autotag.watch(host.Photo, **arguments)  # type: ignore[arg-type]
