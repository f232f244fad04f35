"""How an image of the host is named: its type and its primary key, as text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import IO, Any, TypeVar, cast

from sqlalchemy import inspect
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.orm import InstanceState, Mapper

from .errors import AssetError

TYPE_LENGTH = 100
ID_LENGTH = 255
INSTANCE_LENGTH = 64
DEFAULT_INSTANCE = "default"
#: Stands for an instance where the system itself is meant.
SYSTEM = ""

_BIGINT = 2**63

T = TypeVar("T")

#: What a host may hand over as an image. A function is called when the image is
#: needed and may return any of the others.
ImageSource = (
    str | PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | Callable[[], Any]
)


@dataclass(frozen=True)
class AssetRef:
    """The name of one image of the host.

    :param type: what kind of thing it is; for a model, its table's name. At most
        100 characters.
    :param id: its key, unique within the type; for a model, its primary key as
        text (a JSON list of texts where the key has several columns). At most
        255 characters.
    :raises AssetError: if one of them is empty or too long.
    """

    type: str
    id: str

    def __post_init__(self) -> None:
        if self.id is not None:
            object.__setattr__(self, "id", str(self.id))
        for name, length in (("type", TYPE_LENGTH), ("id", ID_LENGTH)):
            value = getattr(self, name)
            if not isinstance(value, str) or not 0 < len(value) <= length:
                raise AssetError(
                    f"The {name} of an AssetRef is a text of 1 to {length} characters,"
                    f" not {value!r:.80}."
                )

    def __str__(self) -> str:
        return f"{self.type} {self.id}"


@dataclass(frozen=True)
class Upload:
    """One uploaded image, as an adapter of ``AutoTag.connect`` returns it.

    :param asset: the model instance that the image belongs to, or an
        :class:`AssetRef`.
    :param image: where the image is; see :data:`~flask_autotag.image_uploaded`.
    :param instance: the tenant.
    :param bulk: whether it may wait for fresh uploads.
    """

    asset: object
    image: ImageSource | None = field(default=None, repr=False)
    instance: str = DEFAULT_INSTANCE
    bulk: bool = False


class ByAsset(Mapping[object, T]):
    """What is known of several assets.

    Looked up by a model instance or an :class:`AssetRef`; iterated, it gives the
    latter.
    """

    def __init__(self, known: Mapping[AssetRef, T]) -> None:
        self._known = known

    def __getitem__(self, asset: object) -> T:
        """Give what is known of one of them.

        :raises KeyError: if it is none of them.
        """
        try:
            return self._known[cast(AssetRef, ref_of(asset))]
        except (AssetError, KeyError):
            raise KeyError(asset) from None

    def __iter__(self) -> Iterator[AssetRef]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def ref_of(asset: object) -> AssetRef | None:
    """Name *asset* without a query to the database.

    :return: ``None`` for a model instance that has no primary key yet because it
        was not flushed.
    :raises AssetError: if *asset* is neither an :class:`AssetRef` nor an instance
        of a mapped class.
    """
    if isinstance(asset, AssetRef):
        return asset
    state = instance_state(asset)
    key = state.identity or state.mapper.primary_key_from_instance(asset)
    if any(part is None for part in key):
        return None
    return AssetRef(type_of(state.mapper), encode_key(key))


def number_of(asset: AssetRef) -> int | None:
    """Give the id of *asset* as a number, if it is an integer key of 64 bits."""
    try:
        number = int(asset.id)
    except ValueError:
        return None
    as_key = str(number) == asset.id and -_BIGINT <= number < _BIGINT
    return number if as_key else None


def saved_ref(asset: object) -> AssetRef:
    """Name *asset*, which has a primary key.

    :raises AssetError: if it has none yet, or as :func:`ref_of` does.
    """
    ref = ref_of(asset)
    if ref is None:
        raise AssetError(
            f"The {type(asset).__name__} was not saved yet: flush it first."
        )
    return ref


def instance_state(asset: object) -> InstanceState[Any]:
    """SQLAlchemy's record of *asset*.

    :raises AssetError: if *asset* is not an instance of a mapped class.
    """
    try:
        state = inspect(asset)
    except NoInspectionAvailable:
        state = None
    if not isinstance(state, InstanceState):
        raise AssetError(
            f"An asset is an instance of a mapped class or an AssetRef, not"
            f" {asset!r:.80}."
        )
    return state


def mapper_of(model: type[Any]) -> Mapper[Any]:
    """Give the mapper of a mapped class.

    :raises AssetError: if it is none.
    """
    try:
        mapper = inspect(model)
    except NoInspectionAvailable:
        mapper = None
    if not isinstance(mapper, Mapper):
        raise AssetError(f"{model!r:.80} is no mapped class.")
    return mapper


def check_columns(mapper: Mapper[Any], names: Iterable[str]) -> tuple[str, ...]:
    """Accept names of attributes of a mapped class.

    :raises AssetError: if it has no such attribute.
    """
    if isinstance(names, str):
        names = (names,)
    columns = tuple(names)
    for name in columns:
        if name not in mapper.attrs:
            raise AssetError(
                f"{mapper.class_.__name__} has no mapped attribute {name!r:.80}; it has"
                f" {', '.join(mapper.attrs.keys())}."
            )
    return columns


def type_of(mapper: Mapper[Any]) -> str:
    """Name the type of a mapped class: its table, shared by all its subclasses."""
    return str(mapper.base_mapper.local_table.name)  # type: ignore[attr-defined]


def check_instance(instance: object) -> str:
    """Accept the name of a tenant.

    :raises AssetError: if it is no text, empty or too long.
    """
    if not isinstance(instance, str) or not 0 < len(instance) <= INSTANCE_LENGTH:
        raise AssetError(
            f"The instance is a text of 1 to {INSTANCE_LENGTH} characters, not"
            f" {instance!r:.80}."
        )
    return instance


def encode_key(key: tuple[object, ...]) -> str:
    """Write a primary key as the text that ``AssetRef.id`` holds."""
    if len(key) == 1:
        return str(key[0])
    return json.dumps([str(part) for part in key], ensure_ascii=False)


def decode_key(mapper: Mapper[Any], text: str) -> tuple[object, ...]:
    """Read a primary key of *mapper* back from the text of :func:`encode_key`.

    :raises AssetError: if the text is no key of that class.
    """
    columns = mapper.base_mapper.primary_key
    try:
        parts = [text] if len(columns) == 1 else json.loads(text)
        return tuple(
            part if column.type.python_type is str else column.type.python_type(part)
            for column, part in zip(columns, parts, strict=True)
        )
    except (ArithmeticError, NotImplementedError, TypeError, ValueError) as error:
        raise AssetError(
            f"{text!r:.80} is no primary key of {mapper.class_.__name__}."
        ) from error
