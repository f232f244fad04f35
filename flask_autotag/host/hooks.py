"""Functions of the host that the extension calls."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flask import has_request_context

from ..errors import ConfigurationError
from .assets import (
    DEFAULT_INSTANCE,
    AssetRef,
    ImageSource,
    check_columns,
    mapper_of,
)
from .keys import key_columns
from .watches import Always, Watch, Watches

ImageLoader = Callable[[AssetRef], ImageSource | None]
#: Takes an action and an instance, ``None`` for the system.
Authorizer = Callable[[str, str | None], Any]
InstanceLister = Callable[[], Iterable[str] | Mapping[str, str]]
#: Returns images of the host: each an asset, a pair of an asset and its instance, or an
#: :class:`.Upload`.
AssetLister = Callable[[], Iterable[Any]]
UserNamer = Callable[[], str | None]
ImageUrl = Callable[[AssetRef], str | None]
HiddenFields = Callable[[], Mapping[str, str]]

HookT = TypeVar("HookT", bound=Callable[..., Any])
T = TypeVar("T")


@dataclass
class Hooks:
    """Functions that were registered on one extension object, for its applications.

    Each is documented at the method of :class:`.AutoTag` that registers it.

    :ivar watches: the watched models.
    """

    image_loader: ImageLoader | None = None
    authorizer: Authorizer | None = None
    instance_lister: InstanceLister | None = None
    asset_lister: AssetLister | None = None
    user_namer: UserNamer | None = None
    image_url: ImageUrl | None = None
    hidden_fields: HiddenFields | None = None
    watches: Watches = field(default_factory=Watches)

    def register(self, name: str, function: HookT, *arguments: str) -> HookT:
        """Store a function in the field *name*.

        :param arguments: the names of its positional arguments.
        :return: *function*.
        :raises ConfigurationError: if it cannot be called with these arguments.
        """
        setattr(self, name, _checked(name, function, *arguments))
        return function

    def watch(
        self,
        model: type[T],
        image: Callable[[T], ImageSource | None],
        instance: Callable[[T], str] | str,
        columns: Iterable[str],
        when: Callable[[T], object] | None = None,
        name: str | None = None,
    ) -> None:
        """Store the functions for an image of the objects of a model.

        :raises AssetError: if *model* is not mapped, or has no such attribute, if the
            type of its primary key has no canonical text, or as :meth:`.Watches.add`
            does.
        :raises ConfigurationError: if *image*, *instance* or *when* cannot be called
            with an object.
        """
        _checked("image", image, "photo")
        if when is not None:
            _checked("when", when, "photo")
        if isinstance(instance, str):
            find_instance: Callable[[T], str] = Always(instance)
        else:
            find_instance = _checked("instance", instance, "photo")
        mapper = mapper_of(model)
        key_columns(mapper)
        attributes = check_columns(mapper, columns)
        self.watches.add(Watch(model, image, find_instance, attributes, when, name))

    def can_load(self, asset_type: str, asset: object = None) -> bool:
        """Return whether a worker can find images of that type by itself.

        :param asset: the object of the image, if it is known: another class of its
            table may be watched, and its own not.
        """
        if self.image_loader is not None:
            return True
        if asset is None or isinstance(asset, AssetRef):
            return self.watches.has(asset_type)
        return self.watches.find(asset, asset_type) is not None

    def instance_of(self, asset: object, asset_type: str) -> str:
        """Return the tenant of an object of a watched model, otherwise the default one.

        :param asset_type: which image of the object; another one of the object is asked
            about if that is not watched.
        :raises AssetError: if *asset* is neither an :class:`AssetRef` nor an instance
            of a mapped class.
        """
        watched = self.watched_instance(asset, asset_type)
        return DEFAULT_INSTANCE if watched is None else watched

    def watched_instance(self, asset: object, asset_type: str) -> str | None:
        """Return the tenant of an object of a watched model, otherwise ``None``.

        :param asset_type: as in :meth:`instance_of`.
        :raises AssetError: as :meth:`instance_of` does.
        """
        if isinstance(asset, AssetRef):
            return None
        watch = self.watches.find(asset, asset_type)
        if watch is None:
            watch = next(iter(self.watches.of(asset)), None)
        return None if watch is None else watch.instance(asset)

    def form_fields(self) -> Mapping[str, str]:
        """Return the fields that the host adds to every form."""
        return self.hidden_fields() if self.hidden_fields else {}

    def user_name(self) -> str | None:
        """Return the name of the current request's user, if the host knows it."""
        if self.user_namer is None or not has_request_context():
            return None
        return self.user_namer()


def _checked(name: str, function: HookT, *arguments: str) -> HookT:
    """Return *function* if it can be called with *arguments*.

    :raises ConfigurationError: if it cannot.
    """
    if not _takes(function, len(arguments)):
        call = f"{name}({', '.join(arguments)})"
        raise ConfigurationError(
            f"The function for {name} must be callable as {call};"
            f" {_signature(function)} is not."
        )
    return function


def _takes(function: Any, number: int) -> bool:
    """Return whether it can be called with so many arguments, if that is known."""
    if not callable(function):
        return False
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        # Functions in C may have no signature.
        return True
    try:
        signature.bind(*range(number))
    except TypeError:
        return False
    return True


def _signature(function: Any) -> str:
    """Return a function's name and parameters, or the repr of anything else."""
    if not callable(function):
        return f"{function!r:.80}"
    name = getattr(function, "__name__", type(function).__name__)
    return f"{name}{inspect.signature(function)}"
