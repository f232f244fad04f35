"""The tables, on the host's metadata so that ``create_all`` and Alembic see them.

The mixins are the contract: a host that wants more columns or another table name
subclasses one and passes its class to :func:`create_models`, which makes the rest.
Foreign keys are added there too, when every table's name is known.

Times are UTC: ``DateTime`` columns without a zone, except in the queue, whose
columns are seconds since 1970 by the database's own clock.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Connection,
    DateTime,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    delete,
    event,
    insert,
    inspect,
    select,
)
from sqlalchemy.dialects.mysql import DATETIME
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column
from sqlalchemy.schema import SchemaItem

from .assets import ID_LENGTH, INSTANCE_LENGTH, TYPE_LENGTH
from .errors import ConfigurationError
from .migrations import newest_revision
from .vocabulary import NAME_LENGTH

#: Case folding makes at most three characters of one ("ΐ").
KEY_LENGTH = 3 * NAME_LENGTH
PROVIDER_LENGTH = 64
MODEL_LENGTH = 128
FIELD_LENGTH = 64
USER_LENGTH = 100

#: Bytes of an upload in one row: what a BLOB of MySQL and MariaDB holds.
UPLOAD_PART_BYTES = 2**16 - 1

#: Keys and host ids are compared byte by byte, as on the other databases.
_MYSQL = {"engine": "InnoDB", "charset": "utf8mb4", "collate": "utf8mb4_bin"}
TABLE_OPTIONS = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in _MYSQL.items()
}

#: MySQL and MariaDB keep whole seconds only, unless told otherwise; what people decided
#: before and after a word was dropped may be less than that apart.
Moment = DateTime().with_variant(DATETIME(fsp=6), "mysql", "mariadb")

#: Of tags and words: sorted byte by byte on PostgreSQL too, so that an index finds
#: what begins with something.
Key = String(KEY_LENGTH).with_variant(String(KEY_LENGTH, collation="C"), "postgresql")

#: SQLite counts up only what is called INTEGER.
BigKey = BigInteger().with_variant(Integer(), "sqlite")


class TableMixin:
    """What all tables have in common."""

    __autotag_schema__: ClassVar[str | None] = None

    if TYPE_CHECKING:
        __table__: ClassVar[Table]

        def __init__(self, **values: Any) -> None: ...

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[Any, ...]:
        options = {**TABLE_OPTIONS, **cls.table_options()}
        return (*cls.table_items(), {**options, "schema": cls.__autotag_schema__})

    @classmethod
    def table_items(cls) -> tuple[SchemaItem, ...]:
        """List constraints and indexes; a subclass may add to them."""
        return ()

    @classmethod
    def table_options(cls) -> dict[str, Any]:
        """Give what a database is to know of this table and not of the others."""
        return {}


class AssetMixin(TableMixin):
    """An image of the host that was tagged at least once."""

    __tablename__ = "autotag_asset"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    instance: Mapped[str] = mapped_column(String(INSTANCE_LENGTH))
    asset_type: Mapped[str] = mapped_column(String(TYPE_LENGTH))
    asset_id: Mapped[str] = mapped_column(String(ID_LENGTH))
    sha256: Mapped[str | None] = mapped_column(String(64))
    tagged_at: Mapped[datetime | None] = mapped_column(Moment)

    @classmethod
    def table_items(cls) -> tuple[SchemaItem, ...]:
        """One row for each image of an instance."""
        return (
            UniqueConstraint(
                "asset_type", "asset_id", "instance", name="uq_autotag_asset"
            ),
            # The same bytes are not paid for twice.
            Index("ix_autotag_asset_content", "sha256", "instance"),
        )


class TagMixin(TableMixin):
    """A word of an instance's vocabulary."""

    __tablename__ = "autotag_tag"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    instance: Mapped[str] = mapped_column(String(INSTANCE_LENGTH))
    key: Mapped[str] = mapped_column(Key)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    concept: Mapped[str | None] = mapped_column(String(NAME_LENGTH))

    @classmethod
    def table_items(cls) -> tuple[SchemaItem, ...]:
        """Names are unique in an instance, whatever their case."""
        return (UniqueConstraint("instance", "key", name="uq_autotag_tag"),)


class WordMixin(TableMixin):
    """What was decided about one word, whatever image it is on.

    ``instance`` is ``""`` for the system, whose words hold for every instance that
    decides nothing else; ``NULL`` in a column decides nothing. ``becomes`` is the name
    that is used instead. What people said of the word on images before ``dropped_at``
    counts no more.
    """

    __tablename__ = "autotag_word"

    instance: Mapped[str] = mapped_column(String(INSTANCE_LENGTH), primary_key=True)
    key: Mapped[str] = mapped_column(Key, primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    becomes: Mapped[str | None] = mapped_column(String(NAME_LENGTH))
    blocked: Mapped[bool | None] = mapped_column(Boolean)
    listed: Mapped[bool | None] = mapped_column(Boolean)
    threshold: Mapped[float | None] = mapped_column(Double)
    dropped_at: Mapped[datetime | None] = mapped_column(Moment)
    changed_by: Mapped[str | None] = mapped_column(String(USER_LENGTH))
    changed_at: Mapped[datetime] = mapped_column(Moment)


class AssignmentMixin(TableMixin):
    """A tag on an asset: ``state`` is applied, suggested or rejected.

    ``source`` is a provider or a person. ``provider`` was the surest; ``providers`` are
    all who said it, with commas. Where a person decided, ``decided_by`` says who, and
    the providers' columns tell what the decision was about.

    ``asset_type`` and ``asset_number`` repeat the asset's type and id where that is an
    integer, ``NULL`` elsewhere: one index then leads from a tag to the host's objects.
    """

    __tablename__ = "autotag_assignment"

    asset_id: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=False)
    tag_id: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=False)
    state: Mapped[str] = mapped_column(String(10))
    source: Mapped[str] = mapped_column(String(10))
    provider: Mapped[str | None] = mapped_column(String(PROVIDER_LENGTH))
    providers: Mapped[str | None] = mapped_column(Text)
    model: Mapped[str | None] = mapped_column(String(MODEL_LENGTH))
    confidence: Mapped[float | None] = mapped_column(Double)
    decided_by: Mapped[str | None] = mapped_column(String(USER_LENGTH))
    created_at: Mapped[datetime] = mapped_column(Moment)
    asset_type: Mapped[str | None] = mapped_column(String(TYPE_LENGTH))
    asset_number: Mapped[int | None] = mapped_column(BigInteger)

    @classmethod
    def table_items(cls) -> tuple[SchemaItem, ...]:
        """Find the assets of a tag; the primary key finds the tags of an asset.

        A constraint, where an index would do: Alembic drops a table's indexes one by
        one before the table, and MySQL refuses that for one that a foreign key needs.
        """
        return (
            UniqueConstraint(
                "tag_id", "state", "asset_id", name="uq_autotag_assignment_tag"
            ),
            Index(
                "ix_autotag_assignment_number",
                *("tag_id", "state", "asset_type", "asset_number"),
            ),
        )

    @classmethod
    def table_options(cls) -> dict[str, Any]:
        """Let SQLite keep the tags of an asset side by side, as InnoDB does."""
        return {"sqlite_with_rowid": False}


class CounterMixin(TableMixin):
    """On how many assets a tag is applied; none is 0 too.

    ``instance`` is the tag's, so that an index finds the most used tags of one.
    """

    __tablename__ = "autotag_counter"

    tag_id: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=False)
    instance: Mapped[str] = mapped_column(String(INSTANCE_LENGTH))
    assets: Mapped[int] = mapped_column(Integer)

    @classmethod
    def table_items(cls) -> tuple[SchemaItem, ...]:
        """Find the most used tags of an instance."""
        return (Index("ix_autotag_counter", "instance", "assets"),)


class PredictionMixin(TableMixin):
    """What one provider said of one asset, thresholds not applied.

    ``labels`` is a list of ``[id, name, confidence]``, surest first.
    """

    __tablename__ = "autotag_prediction"

    asset_id: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=False)
    provider: Mapped[str] = mapped_column(String(PROVIDER_LENGTH), primary_key=True)
    model: Mapped[str] = mapped_column(String(MODEL_LENGTH))
    labels: Mapped[list[Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(Moment)


class JobMixin(TableMixin):
    """The durable intent to tag one asset; ``jobs/`` moves its states.

    ``run_at`` is when the job may be claimed next: its due time while queued, the
    end of the lease while running, ``NULL`` when it has ended. ``dedupe_key`` is
    ``NULL`` then too, so that a unique key keeps one *live* job for each content.
    ``priority`` is 0 for a fresh upload and 1 for bulk work, which waits for those.

    A job of the kind ``"rules"`` has no asset of its own: it applies new settings to
    the stored predictions of all assets of its instance, one after the other.
    ``done_to`` is the key of the last asset that it has done.
    """

    __tablename__ = "autotag_job"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    instance: Mapped[str] = mapped_column(String(INSTANCE_LENGTH))
    asset_type: Mapped[str] = mapped_column(String(TYPE_LENGTH))
    asset_id: Mapped[str] = mapped_column(String(ID_LENGTH))
    kind: Mapped[str] = mapped_column(String(10), default="tag")
    done_to: Mapped[int | None] = mapped_column(BigKey)
    path: Mapped[str | None] = mapped_column(Text)
    dedupe_key: Mapped[str | None] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(12))
    priority: Mapped[int] = mapped_column(SmallInteger, default=0)
    run_at: Mapped[float | None] = mapped_column(Double)
    claims: Mapped[int] = mapped_column(Integer, default=0)
    failures: Mapped[int] = mapped_column(Integer, default=0)
    crashes: Mapped[int] = mapped_column(Integer, default=0)
    lease_token: Mapped[str | None] = mapped_column(String(32))
    lease_owner: Mapped[str | None] = mapped_column(String(100))
    error_code: Mapped[str | None] = mapped_column(String(40))
    error_text: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[float] = mapped_column(Double)
    finished_at: Mapped[float | None] = mapped_column(Double)

    @classmethod
    def table_items(cls) -> tuple[SchemaItem, ...]:
        """One live job for each content; range scans for every question asked often.

        They serve claims and counts, purging and throughput, what the jobs of an
        instance have come to and why, and the jobs of an asset.
        """
        return (
            UniqueConstraint("dedupe_key", name="uq_autotag_job_dedupe"),
            Index("ix_autotag_job_due", "state", "priority", "run_at", "id"),
            Index("ix_autotag_job_finished", "state", "finished_at"),
            Index(
                "ix_autotag_job_reason",
                *("state", "error_code", "instance", "finished_at", "run_at"),
            ),
            Index("ix_autotag_job_asset", "asset_type", "asset_id"),
        )


class UploadMixin(TableMixin):
    """A part of the bytes of a job whose image cannot be read again elsewhere.

    Apart from the job, so that scans of the queue do not drag them along.
    """

    __tablename__ = "autotag_upload"

    job_id: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=False)
    part: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class SettingMixin(TableMixin):
    """One value that an administrator set.

    ``instance`` is ``""`` for the system. ``value`` is JSON, or the encrypted text of
    a secret. A row without a ``name`` counts the changes of its instance, and is what
    those who make them wait for.
    """

    __tablename__ = "autotag_setting"

    instance: Mapped[str] = mapped_column(String(INSTANCE_LENGTH), primary_key=True)
    section: Mapped[str] = mapped_column(String(PROVIDER_LENGTH), primary_key=True)
    name: Mapped[str] = mapped_column(String(FIELD_LENGTH), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class SettingChangeMixin(TableMixin):
    """Who changed which setting, when, from what to what.

    The values are JSON, ``NULL`` for an inherited one; of a secret they only say
    whether there is one.
    """

    __tablename__ = "autotag_setting_change"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    instance: Mapped[str] = mapped_column(String(INSTANCE_LENGTH))
    section: Mapped[str] = mapped_column(String(PROVIDER_LENGTH))
    name: Mapped[str] = mapped_column(String(FIELD_LENGTH))
    old: Mapped[str | None] = mapped_column(Text)
    new: Mapped[str | None] = mapped_column(Text)
    changed_by: Mapped[str | None] = mapped_column(String(USER_LENGTH))
    changed_at: Mapped[datetime] = mapped_column(Moment)

    @classmethod
    def table_items(cls) -> tuple[SchemaItem, ...]:
        """Find the latest changes of an instance."""
        return (Index("ix_autotag_setting_change", "instance", "id"),)


class ProviderStateMixin(TableMixin):
    """How a provider elsewhere fares, seen from one instance; shared by all workers.

    ``paused`` says why it is not asked until somebody acts. Until ``open_until``, in
    seconds since 1970, it is left alone, after ``failures`` in a row or at its wish.
    ``tested_at`` is when somebody last tried whether it answers.
    """

    __tablename__ = "autotag_provider_state"

    instance: Mapped[str] = mapped_column(String(INSTANCE_LENGTH), primary_key=True)
    provider: Mapped[str] = mapped_column(String(PROVIDER_LENGTH), primary_key=True)
    paused: Mapped[str | None] = mapped_column(Text)
    paused_at: Mapped[datetime | None] = mapped_column(Moment)
    failures: Mapped[int] = mapped_column(Integer, default=0)
    open_until: Mapped[float | None] = mapped_column(Double)
    tested_at: Mapped[float | None] = mapped_column(Double)


class UsageMixin(TableMixin):
    """How many images an instance has sent to a provider in a month (2026-11).

    ``instance`` is ``""`` for all together.
    """

    __tablename__ = "autotag_usage"

    instance: Mapped[str] = mapped_column(String(INSTANCE_LENGTH), primary_key=True)
    provider: Mapped[str] = mapped_column(String(PROVIDER_LENGTH), primary_key=True)
    month: Mapped[str] = mapped_column(String(7), primary_key=True)
    calls: Mapped[int] = mapped_column(BigInteger, default=0)


class InquiryMixin(TableMixin):
    """Bytes that a provider elsewhere is asked about, so that they are sent once.

    ``token`` is that of who asks until ``until``, in seconds since 1970. With the
    answer, ``labels`` as in a prediction, there is none, and ``until`` is when the row
    may go. ``instance`` is ``""`` where the answer holds for all.
    """

    __tablename__ = "autotag_inquiry"

    instance: Mapped[str] = mapped_column(String(INSTANCE_LENGTH), primary_key=True)
    provider: Mapped[str] = mapped_column(String(PROVIDER_LENGTH), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    model: Mapped[str] = mapped_column(String(MODEL_LENGTH))
    labels: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    token: Mapped[str | None] = mapped_column(String(32))
    until: Mapped[float] = mapped_column(Double)

    @classmethod
    def table_items(cls) -> tuple[SchemaItem, ...]:
        """Find what may go."""
        return (Index("ix_autotag_inquiry_until", "until"),)


class RevisionMixin(TableMixin):
    """Which of our migrations the tables have seen last; one row, or none if unknown.

    Alembic's version table under a name of ours, so that a host's own stays apart. It
    is on the metadata, or the host's Alembic would want to drop it.
    """

    __tablename__ = "autotag_revision"

    version_num: Mapped[str] = mapped_column(String(32), primary_key=True)


@dataclass(frozen=True)
class Models:
    """The mapped classes of one metadata."""

    asset: type[AssetMixin]
    tag: type[TagMixin]
    word: type[WordMixin]
    assignment: type[AssignmentMixin]
    counter: type[CounterMixin]
    prediction: type[PredictionMixin]
    job: type[JobMixin]
    upload: type[UploadMixin]
    setting: type[SettingMixin]
    setting_change: type[SettingChangeMixin]
    provider_state: type[ProviderStateMixin]
    usage: type[UsageMixin]
    inquiry: type[InquiryMixin]
    revision: type[RevisionMixin]

    @property
    def metadata(self) -> MetaData:
        """The metadata that all of them share."""
        return self.job.__table__.metadata

    @property
    def tables(self) -> list[Table]:
        """The tables, in the order in which they can be created."""
        return [getattr(self, field.name).__table__ for field in fields(self)]


_MIXINS: dict[str, type[TableMixin]] = {
    "asset": AssetMixin,
    "tag": TagMixin,
    "word": WordMixin,
    "assignment": AssignmentMixin,
    "counter": CounterMixin,
    "prediction": PredictionMixin,
    "job": JobMixin,
    "upload": UploadMixin,
    "setting": SettingMixin,
    "setting_change": SettingChangeMixin,
    "provider_state": ProviderStateMixin,
    "usage": UsageMixin,
    "inquiry": InquiryMixin,
    "revision": RevisionMixin,
}

#: Referring column → referred table; what refers goes when the other goes.
_REFERENCES = (
    ("assignment", "asset_id", "asset"),
    ("assignment", "tag_id", "tag"),
    ("counter", "tag_id", "tag"),
    ("prediction", "asset_id", "asset"),
    ("upload", "job_id", "job"),
)

_INFO = "flask_autotag.models"


def create_models(
    metadata: MetaData, *, schema: str | None = None, **own: type[TableMixin]
) -> Models:
    """Make the tables and classes on *metadata*. Call it once for each metadata.

    :param metadata: the host's: ``db.metadata``, or ``Base.metadata``.
    :param schema: the database schema to put the tables in; by default that of the
        metadata.
    :param own: classes of the host that stand for some of them, by the names of
        :class:`Models`, such as ``tag=PhotoTag``. Each is a mapped subclass of the
        mixin of that name.
    :raises ConfigurationError: if it was called for this metadata before, or if
        *own* has an unknown name or a class without the mixin.
    """
    if _INFO in metadata.info:
        raise ConfigurationError(
            "The models exist already on this metadata. Call create_models once,"
            " before AutoTag.init_app, and pass the result as AutoTag(models=...)."
        )
    _check_own(own)
    base = type("AutotagBase", (DeclarativeBase,), {"metadata": metadata})
    models = Models(
        **{
            name: own.get(name) or _make_class(name, mixin, base, schema)  # type: ignore[arg-type]
            for name, mixin in _MIXINS.items()
        }
    )
    _add_foreign_keys(models)
    event.listen(metadata, "after_create", partial(_note_revision, models))
    metadata.info[_INFO] = models
    return models


def models_of(metadata: MetaData) -> Models:
    """Give the models of *metadata*, made on the first call."""
    made: Models | None = metadata.info.get(_INFO)
    return made or create_models(metadata)


def noted_revision(connection: Connection, models: Models) -> str | None:
    """Read which revision the tables are of, if it was noted."""
    table = models.revision.__table__
    if not inspect(connection).has_table(table.name, schema=table.schema):
        return None
    return connection.scalar(select(table.c.version_num))


def _check_own(own: dict[str, type[TableMixin]]) -> None:
    for name, model in own.items():
        if name not in _MIXINS:
            raise ConfigurationError(
                f"create_models has no table {name!r}; they are {', '.join(_MIXINS)}."
            )
        if not issubclass(model, _MIXINS[name]):
            raise ConfigurationError(
                f"create_models({name}=...) takes a subclass of"
                f" {_MIXINS[name].__name__}, not {model.__name__}."
            )


def _make_class(
    name: str, mixin: type[TableMixin], base: type[Any], schema: str | None
) -> type[Any]:
    return type(
        f"Autotag{name.title().replace('_', '')}",
        (mixin, base),
        {"__autotag_schema__": schema, "__module__": __name__},
    )


def _note_revision(
    models: Models,
    _metadata: MetaData,
    connection: Connection,
    *,
    tables: Collection[Table],
    **_other: Any,
) -> None:
    """Note the newest revision when all tables were just made, by whomever.

    Of those that were there before, nobody knows it yet: ``upgrade-db`` finds it out.
    """
    table = models.revision.__table__
    if {*models.tables} - {table} <= {*tables}:
        connection.execute(delete(table))
        connection.execute(insert(table).values(version_num=newest_revision()))


def _add_foreign_keys(models: Models) -> None:
    for child, column, parent in _REFERENCES:
        table = getattr(models, child).__table__
        target = getattr(models, parent).__table__.c.id
        table.append_constraint(
            ForeignKeyConstraint(
                [column],
                [target],
                name=f"fk_{table.name}_{parent}",
                ondelete="CASCADE",
            )
        )
