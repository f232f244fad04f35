"""Code of the host that the extension calls, and how it is registered."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flask import has_request_context

from .assets import DEFAULT_INSTANCE, AssetRef, ImageSource, instance_state, type_of
from .errors import ConfigurationError

ImageLoader = Callable[[AssetRef], ImageSource]
#: Gets an action and an instance, ``None`` for the system.
Authorizer = Callable[[str, str | None], Any]
InstanceLister = Callable[[], Iterable[str] | Mapping[str, str]]
#: Gives images of the host: each an asset, a pair of an asset and its instance, or an
#: :class:`.Upload`.
AssetLister = Callable[[], Iterable[Any]]
UserNamer = Callable[[], str | None]
ImageUrl = Callable[[AssetRef], str | None]
HiddenFields = Callable[[], Mapping[str, str]]

HookT = TypeVar("HookT", bound=Callable[..., Any])


@dataclass(frozen=True)
class Watch:
    """A model whose new rows are tagged.

    :param model: the mapped class.
    :param image: finds the image of one of its objects.
    :param instance: finds its tenant.
    :param columns: the attributes whose change means another image.
    """

    model: type[Any]
    image: Callable[[Any], ImageSource]
    instance: Callable[[Any], str]
    columns: tuple[str, ...] = ()


@dataclass
class Hooks:
    """What was registered on one extension object, for all its applications.

    :param watches: watched models, by asset type.

    The others are those of :class:`HookRegistry`, of the same names.
    """

    image_loader: ImageLoader | None = None
    authorizer: Authorizer | None = None
    instance_lister: InstanceLister | None = None
    asset_lister: AssetLister | None = None
    user_namer: UserNamer | None = None
    image_url: ImageUrl | None = None
    hidden_fields: HiddenFields | None = None
    watches: dict[str, Watch] = field(default_factory=dict)

    def can_load(self, asset_type: str) -> bool:
        """Whether a worker can find images of that type by itself."""
        return self.image_loader is not None or asset_type in self.watches

    def instance_of(self, asset: object) -> str:
        """Find the tenant of an object of a watched model; else the default one.

        :raises AssetError: if *asset* is neither an :class:`AssetRef` nor an instance
            of a mapped class.
        """
        if isinstance(asset, AssetRef):
            return DEFAULT_INSTANCE
        watch = self.watches.get(type_of(instance_state(asset).mapper))
        return DEFAULT_INSTANCE if watch is None else watch.instance(asset)

    def form_fields(self) -> Mapping[str, str]:
        """Give what the host adds to every form."""
        return self.hidden_fields() if self.hidden_fields else {}

    def user_name(self) -> str | None:
        """Name the user of the present request, if the host says who that is."""
        if self.user_namer is None or not has_request_context():
            return None
        return self.user_namer()


class HookRegistry:
    """The decorators with which a host registers its code.

    :raises ConfigurationError: each of them, for what cannot be called as it says.
    """

    def __init__(self) -> None:
        self._hooks = Hooks()

    def image_loader(self, loader: HookT) -> HookT:
        """Register how a worker, on any machine, reads the image of an asset.

        With a loader, no upload's bytes are kept in the database.

        :param loader: takes an :class:`AssetRef`; returns a path, bytes or a binary
            file, which is closed afterwards; raises ``LookupError`` if the asset is
            gone. It is called in an application context.
        :return: *loader*, so that this can decorate it.
        """
        self._hooks.image_loader = checked_hook("image_loader", loader, "asset")
        return loader

    def authorizer(self, may: HookT) -> HookT:
        """Register who may open the pages. Without it nobody may.

        :param may: takes an action and an instance, and says whether the user of the
            present request may do that: ``True``, or anything else for no. If it
            returns a response, such as a redirect to a page to sign in, that is the
            answer. The actions are ``"view_settings"``, ``"change_settings"`` and
            ``"try_image"``, and ``"review_tags"`` for the tags of images, which
            implies none of the others; the instance is ``None`` for the system's own
            settings, which hold for all instances. The JSON API asks about
            ``"view_tags"``, ``"review_tags"`` and ``"enqueue"``; metrics are asked for
            as ``"view_metrics"``, of the system.
        :return: *may*.
        """
        self._hooks.authorizer = checked_hook("authorizer", may, "action", "instance")
        return may

    def instance_lister(self, lister: HookT) -> HookT:
        """Register which instances there are. Without it, those with images.

        :param lister: returns their names; or a dictionary of names and of titles that
            people read.
        :return: *lister*.
        """
        self._hooks.instance_lister = checked_hook("instance_lister", lister)
        return lister

    def asset_lister(self, lister: HookT) -> HookT:
        """Register which images there are, for the commands that look at all of them.

        Without it, these are the objects of the models that :meth:`watch` was given,
        read page by page.

        :param lister: gives one image after the other, best as a generator that reads
            some hundred at a time: an asset (a model instance or an
            :class:`AssetRef`), a pair of an asset and its instance, or an
            :class:`Upload`, which also says where the image is. An asset alone belongs
            to the instance that :meth:`watch` finds for its model, else to
            ``"default"``. It is called in an application context of its own.
        :return: *lister*.
        """
        self._hooks.asset_lister = checked_hook("asset_lister", lister)
        return lister

    def user_namer(self, namer: HookT) -> HookT:
        """Register how the user of the present request is named in the history.

        :param namer: returns a name, or ``None``.
        :return: *namer*.
        """
        self._hooks.user_namer = checked_hook("user_namer", namer)
        return namer

    def image_url(self, find: HookT) -> HookT:
        """Register where a page finds a small picture of an asset.

        :param find: takes an :class:`AssetRef`; returns an address of the host's, or
            ``None``. The host decides there who may see it.
        :return: *find*.
        """
        self._hooks.image_url = checked_hook("image_url", find, "asset")
        return find

    def hidden_fields(self, make: HookT) -> HookT:
        """Register hidden fields for every form, such as a token of the host's own.

        :param make: returns names and values. What they protect is checked by the
            host, before the extension gets the request.
        :return: *make*.
        """
        self._hooks.hidden_fields = checked_hook("hidden_fields", make)
        return make


def checked_hook(name: str, code: HookT, *arguments: str) -> HookT:
    """Accept what a host registers.

    :param name: what it is registered as.
    :param arguments: the names of what it is called with.
    :raises ConfigurationError: if it cannot be called so.
    """
    if not _takes(code, len(arguments)):
        call = f"{name}({', '.join(arguments)})"
        raise ConfigurationError(
            f"What is registered as {name} must be a function that can be called as"
            f" {call}; {_described(code)} cannot."
        )
    return code


def _takes(code: Any, number: int) -> bool:
    """Whether something can be called with so many arguments, as far as one can see."""
    if not callable(code):
        return False
    try:
        signature = inspect.signature(code)
    except (TypeError, ValueError):
        # Such as of a function in C, which does not tell.
        return True
    try:
        signature.bind(*range(number))
    except TypeError:
        return False
    return True


def _described(code: Any) -> str:
    """Name a function with its parameters; or show what is none."""
    if not callable(code):
        return f"{code!r:.80}"
    name = getattr(code, "__name__", type(code).__name__)
    return f"{name}{inspect.signature(code)}"
