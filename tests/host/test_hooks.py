"""Functions that can be registered on the extension, and functions that cannot."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest
from sqlalchemy import Integer
from sqlalchemy.orm import DeclarativeBase, mapped_column

from flask_autotag import AssetError, AutoTag, ConfigurationError

from ..hosts import Host

#: Each decorator, and the number of arguments of its function.
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
    with pytest.raises(
        ConfigurationError, match=rf"function for {name} must be callable"
    ):
        getattr(autotag, name)("path")
    assert getattr(autotag._hooks, name) is None


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("authorizer", one, "authorizer(action, instance); one(asset: 'Any')"),
        ("authorizer", no_arguments, "authorizer(action, instance); no_arguments()"),
        ("image_loader", two, "image_loader(asset); two(action: 'Any', instance"),
        ("user_namer", one, "user_namer(); one(asset: 'Any')"),
        ("image_url", 7, "image_url(asset); 7 is not."),
        ("image_url", None, "image_url(asset); None is not."),
    ],
)
def test_what_takes_other_arguments(name: str, code: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        getattr(AutoTag(), name)(code)
    assert str(caught.value).startswith(
        f"The function for {name} must be callable as {message}"
    )


def test_a_watch_whose_functions_cannot_be_called(host: Host) -> None:
    for arguments, name in (
        ({"image": "path"}, "image"),
        ({"image": no_arguments}, "image"),
        ({"image": one, "instance": two}, "instance"),
        ({"image": one, "when": two}, "when"),
    ):
        with pytest.raises(ConfigurationError, match=f"function for {name} must be"):
            host.autotag.watch(host.Photo, **arguments)  # type: ignore[arg-type]


def photo_model(place: str, name: str = "photo") -> type[Any]:
    """Return a model of a base of its own, as if it was defined in *place*."""
    base = type("Base", (DeclarativeBase,), {})
    columns = {"id": mapped_column(Integer, primary_key=True)}
    return type(place, (base,), {"__tablename__": name, **columns})


def test_another_table_of_the_same_type_is_refused() -> None:
    autotag, first = AutoTag(), photo_model("First")
    autotag.watch(first, lambda photo: photo.path)
    with pytest.raises(AssetError) as caught:
        autotag.watch(photo_model("Second"), lambda photo: photo.path)
    assert str(caught.value) == (
        "The images of First and Second would share their tags: both have the asset"
        " type 'photo'. Give one of the tables another name, schema or bind key."
    )
    assert [watch.model for watch in autotag._hooks.watches] == [first]


def test_a_model_that_a_factory_defines_again_is_watched_instead() -> None:
    autotag, again = AutoTag(), photo_model("Photo")
    for model in (photo_model("Photo"), again, again):
        autotag.watch(model, lambda photo: photo.path)
    assert [watch.model for watch in autotag._hooks.watches] == [again]


def test_a_type_that_is_too_long_is_refused() -> None:
    with pytest.raises(AssetError, match="1 to 350 characters"):
        AutoTag().watch(photo_model("Photo", "x" * 351), lambda photo: photo.path)
