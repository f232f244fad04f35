"""Names for the images of a host: a type and a primary key, as text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import IO, Any, TypeVar, cast

from sqlalchemy import Table, inspect
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.orm import InstanceState, Mapper

from ..characters import printable
from ..errors import AssetError
from .keys import encode_key, root_of

#: With the other two, the key of an image must fit into an index: of 3072 bytes on
#: MariaDB, with four for each character, and of 2704 bytes on PostgreSQL.
TYPE_LENGTH = 350
ID_LENGTH = 255
INSTANCE_LENGTH = 64
#: Characters of a tag's name.
NAME_LENGTH = 100
DEFAULT_INSTANCE = "default"
#: Precedes the name of an image in its type.
NAME_MARK = "#"
#: The system itself, in place of an instance.
SYSTEM = ""
#: Characters that some databases cannot store.
UNFIT = re.compile("[\0\ud800-\udfff]")

_BIGINT = 2**63

T = TypeVar("T")

#: The forms of an image that a host may pass. A function is called when the image is
#: needed, and may return any of the other forms.
ImageSource = (
    str | PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | Callable[[], Any]
)


@dataclass(frozen=True)
class AssetRef:
    """The name of one image of the host.

    :param type: the kind of image; for a model, the name of its table, such as
        ``photo``, with its schema (``cms.photo``), bind key (``media:photo``) or both
        (``media:cms.photo``) if it has them. A named image has its name at the end,
        such as ``photo#cover``. At most 350 characters.
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

    @property
    def name(self) -> str | None:
        """The name of the image, if :meth:`.AutoTag.watch` gave it one."""
        _, mark, name = self.type.rpartition(NAME_MARK)
        return name if mark else None

    def __str__(self) -> str:
        """Return type and id on one line of printable characters."""
        return printable(f"{self.type} {self.id}")


@dataclass(frozen=True)
class Upload:
    """One uploaded image, as an adapter of ``AutoTag.connect`` returns it.

    :param asset: the model instance that the image belongs to, or an
        :class:`AssetRef`.
    :param image: where the image is; see :data:`~flask_autotag.image_uploaded`.
    :param instance: the tenant.
    :param bulk: whether it may wait for fresh uploads.
    :param name: which image of the instance, if :meth:`.AutoTag.watch` named several.
    """

    asset: object
    image: ImageSource | None = field(default=None, repr=False)
    instance: str = DEFAULT_INSTANCE
    bulk: bool = False
    name: str | None = None


class ByAsset(Mapping[object, T]):
    """A mapping from assets.

    Keys may be model instances or :class:`AssetRef`; iteration yields the latter.
    """

    def __init__(self, known: Mapping[AssetRef, T]) -> None:
        self._known = known

    def __getitem__(self, asset: object) -> T:
        """Return the value of an asset.

        :raises KeyError: if it is not among them.
        """
        try:
            return self._known[cast(AssetRef, ref_of(asset))]
        except (AssetError, KeyError):
            raise KeyError(asset) from None

    def __iter__(self) -> Iterator[AssetRef]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def ref_of(asset: object, asset_type: str | None = None) -> AssetRef | None:
    """Return the name of *asset*, without a query.

    :param asset_type: the type of an image of a model instance; by default that of
        its table.
    :return: ``None`` for a model instance that has no primary key yet because it
        was not flushed.
    :raises AssetError: if *asset* is neither an :class:`AssetRef` nor an instance
        of a mapped class, if its name has characters that no database can store, or if
        the type of its primary key has no canonical text.
    """
    if isinstance(asset, AssetRef):
        for part in (asset.type, asset.id):
            _check_characters(part, "The name of an asset")
        return asset
    state = instance_state(asset)
    key = state.identity or state.mapper.primary_key_from_instance(asset)
    if any(part is None for part in key):
        return None
    return AssetRef(asset_type or type_of(state.mapper), encode_key(state.mapper, key))


def number_of(asset: AssetRef) -> int | None:
    """Return the id of *asset* as a number, if it is a 64-bit integer key."""
    try:
        number = int(asset.id)
    except ValueError:
        return None
    as_key = str(number) == asset.id and -_BIGINT <= number < _BIGINT
    return number if as_key else None


def saved_ref(asset: object, asset_type: str | None = None) -> AssetRef:
    """Return the name of *asset*, which must have a primary key.

    :param asset_type: as in :func:`ref_of`.
    :raises AssetError: if it has none yet, or as :func:`ref_of` does.
    """
    ref = ref_of(asset, asset_type)
    if ref is None:
        raise AssetError(
            f"The {type(asset).__name__} was not saved yet: flush it first."
        )
    return ref


def listed(assets: object) -> list[object]:
    """Return one asset, or several, as a list; a text counts as one, a wrong one."""
    if isinstance(assets, (str, bytes)):
        return [assets]
    if isinstance(assets, Iterable) and not _is_mapped(assets):
        return list(assets)
    return [assets]


def _is_mapped(asset: object) -> bool:
    return isinstance(inspect(asset, raiseerr=False), InstanceState)


def instance_state(asset: object) -> InstanceState[Any]:
    """Return SQLAlchemy's state of *asset*.

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
    """Return the mapper of a mapped class.

    :raises AssetError: if *model* is not mapped.
    """
    try:
        mapper = inspect(model)
    except NoInspectionAvailable:
        mapper = None
    if not isinstance(mapper, Mapper):
        raise AssetError(f"{model!r:.80} is no mapped class.")
    return mapper


def check_columns(mapper: Mapper[Any], names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of attributes of a mapped class as a tuple.

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
    """Return the asset type of a mapped class: the table of its base class.

    Only subclasses with concrete inheritance have a type of their own. Tables of the
    same name in other schemas and binds have other types: ``schema.table``,
    ``bind:table`` or ``bind:schema.table``.
    """
    table: Any = root_of(mapper).local_table
    name = str(table.name) if table.schema is None else f"{table.schema}.{table.name}"
    bind = bind_key(mapper)
    return name if bind is None else f"{bind}:{name}"


def bind_key(mapper: Mapper[Any]) -> str | None:
    """Return Flask-SQLAlchemy's name of the database of a mapped class.

    :return: ``None`` for the default database, and without Flask-SQLAlchemy.
    """
    table = root_of(mapper).local_table
    if not isinstance(table, Table):
        return None
    bind: str | None = table.metadata.info.get("bind_key")
    return bind


def metadata_text(mapper: Mapper[Any]) -> str:
    """Return an expression of Python for the metadata of a mapped class."""
    bind = bind_key(mapper)
    return (
        f"{mapper.class_.__name__}.metadata"
        if bind is None
        else f"db.metadatas[{bind!r}]"
    )


def check_instance(instance: object) -> str:
    """Return the name of a tenant.

    :raises AssetError: if it is not a text, empty, too long, or has NUL or a lone
        surrogate.
    """
    if not isinstance(instance, str) or not 0 < len(instance) <= INSTANCE_LENGTH:
        raise AssetError(
            f"The instance is a text of 1 to {INSTANCE_LENGTH} characters, not"
            f" {instance!r:.80}."
        )
    _check_characters(instance, "The name of an instance")
    return instance


def _check_characters(text: str, subject: str) -> None:
    if UNFIT.search(text):
        raise AssetError(
            f"{subject} must have no NUL and no lone surrogates, which databases do not"
            f" store, unlike {text!r:.80}. Decode a file's name with os.fsencode(name)"
            ".decode('utf-8', 'backslashreplace')."
        )
