"""The watched models: which watch an image belongs to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from types import CellType
from typing import Any, NoReturn

from sqlalchemy.orm import Mapper

from ..errors import AssetError
from .assets import AssetRef, ImageSource, instance_state, mapper_of, type_of
from .images import add_name, check_name, image_type, named_type, refuse_name
from .keys import lineage, root_of

#: The types of values whose equality is certain.
_PLAIN = str | bytes | int | float | None


@dataclass(frozen=True)
class Watch:
    """A model whose new rows are tagged.

    :param image: finds the image of an object; returns ``None`` if it has none.
    :param instance: finds its tenant.
    :param columns: the attributes whose change means another image.
    :param when: whether the image of an object may be tagged now; by default always.
    :param name: which image of the row; ``None`` if it has no name.
    """

    model: type[Any]
    image: Callable[[Any], ImageSource | None]
    instance: Callable[[Any], str]
    columns: tuple[str, ...] = ()
    when: Callable[[Any], object] | None = None
    name: str | None = None

    def is_ready(self, target: Any) -> bool:
        """Return whether the image of an object may be tagged now."""
        return self.when is None or bool(self.when(target))

    @cached_property
    def mapper(self) -> Mapper[Any]:
        """The mapper of the model."""
        return mapper_of(self.model)

    @cached_property
    def asset_type(self) -> str:
        """The asset type of its images."""
        return named_type(self.mapper, self.name)

    @cached_property
    def row_type(self) -> str:
        """The asset type of its rows, which their images without a name have."""
        return type_of(self.mapper)


@dataclass(frozen=True)
class Always:
    """A function that returns the same text for every object."""

    text: str

    def __call__(self, _target: object) -> str:
        """Return the text."""
        return self.text


class Watches:
    """The watches of one extension object.

    An object belongs, for each of its images, to the watch of its class, or of the
    nearest base class that has one. A class is known by where it is defined: an
    application factory may define its models at each call.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], Watch] = {}
        #: The watches of earlier applications, which a factory may watch again.
        self._earlier: set[tuple[str, str, str]] = set()

    def __iter__(self) -> Iterator[Watch]:
        return iter(self._known.values())

    def __len__(self) -> int:
        return len(self._known)

    def add(self, watch: Watch) -> None:
        """Add the watch of a model.

        :raises AssetError: if it cannot be told from another one, if its asset type is
            too long, or as :func:`.images.check_name` does.
        """
        if watch.name is not None:
            check_name(watch.mapper, watch.name)
        AssetRef(watch.asset_type, "0")
        others = [each for each in self if _share(each, watch)]
        replaced = [each for each in others if _is_redefined(each, watch)]
        for other in others:
            if other not in replaced:
                _refuse_confusion(other, watch, again=_key(other) in self._earlier)
        for each in replaced:
            del self._known[_key(each)]
        self._known[_key(watch)] = watch
        self._earlier.discard(_key(watch))
        if watch.name is not None:
            add_name(watch.mapper, watch.name)

    def allow_again(self) -> None:
        """Let the factory of another application watch the same images again.

        Its functions may keep other values, such as another folder.
        """
        self._earlier = set(self._known)

    def types(self) -> list[str]:
        """Return the asset types of watched images."""
        return list(dict.fromkeys(each.asset_type for each in self))

    def has(self, asset_type: str) -> bool:
        """Return whether images of a type are watched."""
        return any(each.asset_type == asset_type for each in self)

    def models(self, asset_type: str | None = None) -> list[type[Any]]:
        """Return the classes that read all objects with watched images.

        :param asset_type: only of images of this type.
        """
        found = [each for each in self if asset_type in (None, each.asset_type)]
        return list(
            dict.fromkeys(
                each.model
                for each in found
                if not any(_is_below(each, other) for other in found)
            )
        )

    def find(self, target: object, asset_type: str) -> Watch | None:
        """Return the watch of one image of an object; ``None`` if there is none.

        :raises AssetError: if *target* is no instance of a mapped class.
        """
        for mapper in lineage(instance_state(target).mapper):
            found = self._known.get((asset_type, *_place(mapper.class_)))
            if found is not None:
                return found
        return None

    def of(self, target: object) -> list[Watch]:
        """Return the watches of all images of an object.

        :raises AssetError: if *target* is no instance of a mapped class.
        """
        found = (self.find(target, asset_type) for asset_type in self.types())
        return [each for each in found if each is not None]

    def type_of_one(self, asset: object, name: str | None = None) -> str:
        """Return the asset type of the one image that a caller means.

        :param name: its name; otherwise the image without a name, or the only one.
        :raises AssetError: if there are several, or as :func:`.images.image_type` does.
        """
        if isinstance(asset, AssetRef):
            refuse_name(asset, name)
            return asset.type
        row_type = image_type(instance_state(asset).mapper, name)
        watches = [] if name is not None else self.of(asset)
        types = [each.asset_type for each in watches]
        if not types or row_type in types:
            return row_type
        if len(types) > 1:
            names = " or ".join(f"name={each.name!r}" for each in watches)
            raise AssetError(
                f"The {type(asset).__name__} has several images: pass {names}."
            )
        return types[0]

    def watched_types(self, asset: object, name: str | None = None) -> list[str]:
        """Return the asset types of the images that a row is watched for.

        Without any, that is the image that :meth:`type_of_one` returns.

        :raises AssetError: as :meth:`type_of_one` does.
        """
        if name is None and not isinstance(asset, AssetRef):
            types = [each.asset_type for each in self.of(asset)]
            if types:
                return types
        return [self.type_of_one(asset, name)]


def _key(watch: Watch) -> tuple[str, str, str]:
    return (watch.asset_type, *_place(watch.model))


def _place(model: type[Any]) -> tuple[str, str]:
    """Return where a class is defined."""
    return model.__module__, model.__qualname__


def _share(one: Watch, other: Watch) -> bool:
    """Return whether two watches are about the same rows, or the same images."""
    return bool(_types(one) & _types(other))


def _types(watch: Watch) -> set[str]:
    return {watch.row_type, watch.asset_type}


def _is_redefined(old: Watch, new: Watch) -> bool:
    """Return whether the model of *old* was defined again, with all its classes."""
    before, after = root_of(old.mapper), root_of(new.mapper)
    return before is not after and _place(before.class_) == _place(after.class_)


def _is_below(watch: Watch, other: Watch) -> bool:
    return (
        watch.model is not other.model
        and watch.row_type == other.row_type
        and issubclass(watch.model, other.model)
    )


def _refuse_confusion(known: Watch, new: Watch, *, again: bool) -> None:
    """Refuse a watch if an image would not be known to be of one of two watches.

    :param again: whether *new* may be that of another application.
    :raises AssetError: if it would not.
    """
    if root_of(known.mapper) is not root_of(new.mapper):
        _refuse_same_type(known, new)
    if known.model is not new.model:
        _refuse_unknown_class(known, new)
    elif known.name == new.name and not (
        _is_same(known, new) and (again or _keeps_same(known, new))
    ):
        model = new.model.__name__
        raise AssetError(
            f"{model} is watched already, with other arguments. For another image of"
            f" its rows, pass watch({model}, ..., name=...)."
        )


def _refuse_same_type(known: Watch, new: Watch) -> NoReturn:
    """Refuse two classes without a common base class.

    :raises AssetError: always.
    """
    old, model = known.model.__name__, new.model.__name__
    table = root_of(new.mapper).local_table
    if root_of(known.mapper).local_table is table:
        raise AssetError(
            f"{old} and {model} are mapped to one table, {table}, and have no mapped"
            " base class in common. Watch only one of the two."
        )
    # A table may be called like an image of another one.
    shared = max(_types(known) & _types(new))
    raise AssetError(
        f"The images of {old} and {model} would share their tags: both have the asset"
        f" type {shared!r:.80}. Give one of the tables another name, schema or bind"
        " key."
    )


def _refuse_unknown_class(known: Watch, new: Watch) -> None:
    """Refuse two classes of one table unless a row tells its class."""
    old, model, root = known.model.__name__, new.model.__name__, root_of(new.mapper)
    if _place(known.model) == _place(new.model):
        raise AssetError(
            f"Two watched classes of the table {root.local_table} have the name"
            f" {model}. Rename one of them."
        )
    if root.polymorphic_on is None:
        raise AssetError(
            f"{old} and {model} are classes of the table {root.local_table}, whose rows"
            f" do not tell their class. Set polymorphic_on for {root.class_.__name__},"
            " or watch only one of the two."
        )


def _is_same(old: Watch, new: Watch) -> bool:
    """Return whether an application factory has watched a model again."""
    return old.columns == new.columns and all(
        _code(before) == _code(after) for before, after in _functions(old, new)
    )


def _keeps_same(old: Watch, new: Watch) -> bool:
    """Return whether no plain value that the functions keep differs."""
    return all(
        one == other
        for before, after in _functions(old, new)
        for one, other in zip(_kept(before), _kept(after), strict=False)
        if isinstance(one, _PLAIN) and isinstance(other, _PLAIN)
    )


def _functions(old: Watch, new: Watch) -> Iterator[tuple[Any, Any]]:
    yield old.image, new.image
    yield old.instance, new.instance
    yield old.when, new.when


def _code(function: Any) -> object:
    """Return the code of a function, which each definition of it shares."""
    return getattr(_plain(function), "__code__", None) or repr(function)


def _kept(function: Any) -> list[object]:
    """Return the values that a function got where it was made."""
    made = _plain(function)
    return [
        *getattr(function, "args", ()),
        *getattr(function, "keywords", {}).values(),
        *(getattr(made, "__defaults__", None) or ()),
        *map(_content, getattr(made, "__closure__", None) or ()),
    ]


def _content(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        # The variable has no value yet.
        return cell


def _plain(function: Any) -> Any:
    """Return the function that a ``partial`` calls, or *function* itself."""
    return getattr(function, "func", function)
