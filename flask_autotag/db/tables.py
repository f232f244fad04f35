"""The columns and indexes of each table, as mixins of mapped classes.

``DateTime`` columns are in UTC, without a time zone. Times of the queue and of remote
providers are seconds since 1970 by the database's clock.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Double,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.schema import SchemaItem

from ..host.assets import ID_LENGTH, INSTANCE_LENGTH, NAME_LENGTH, TYPE_LENGTH
from .columns import (
    FIELD_LENGTH,
    MODEL_LENGTH,
    PROVIDER_LENGTH,
    USER_LENGTH,
    BigKey,
    Key,
    Moment,
    TableMixin,
)


class AssetMixin(TableMixin):
    """An image of the host that a worker or a person has met.

    ``asset_type`` and ``asset_id`` are those of its :class:`~flask_autotag.AssetRef`.
    ``sha256`` is the hash of its bytes in hexadecimal digits. ``no_image`` is true if
    the host returned no image, or its file was found to be none.
    """

    __tablename__ = "autotag_asset"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    instance: Mapped[str] = mapped_column(String(INSTANCE_LENGTH))
    asset_type: Mapped[str] = mapped_column(String(TYPE_LENGTH))
    asset_id: Mapped[str] = mapped_column(String(ID_LENGTH))
    sha256: Mapped[str | None] = mapped_column(String(64))
    tagged_at: Mapped[datetime | None] = mapped_column(Moment)
    no_image: Mapped[bool] = mapped_column(Boolean, default=False)

    @classmethod
    def table_items(cls) -> tuple[SchemaItem, ...]:
        """Keep one row for each image of an instance; find images by their bytes."""
        return (
            UniqueConstraint(
                "asset_type", "asset_id", "instance", name="uq_autotag_asset"
            ),
            # Finds bytes that a provider has answered, so that they are paid for once.
            Index("ix_autotag_asset_content", "sha256", "instance"),
            # Lists the images of an instance, the latest first.
            Index("ix_autotag_asset_instance", "instance", "id"),
        )

    @classmethod
    def table_options(cls) -> dict[str, Any]:
        """Stop SQLite from giving the key of a deleted image to the next one.

        A form that names the deleted image would change the next one. The other
        databases never use a key twice.
        """
        return {"sqlite_autoincrement": True}


class TagMixin(TableMixin):
    """A tag of an instance.

    ``key`` is equal for names that are the same tag, and ``name`` is shown to people.
    ``concept`` is the stable id of the label that the tag comes from.
    """

    __tablename__ = "autotag_tag"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    instance: Mapped[str] = mapped_column(String(INSTANCE_LENGTH))
    key: Mapped[str] = mapped_column(Key)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    concept: Mapped[str | None] = mapped_column(String(NAME_LENGTH))

    @classmethod
    def table_items(cls) -> tuple[SchemaItem, ...]:
        """Keep one row for each key of an instance; find a key in all instances."""
        return (
            UniqueConstraint("instance", "key", name="uq_autotag_tag"),
            Index("ix_autotag_tag_key", "key"),
        )


class WordMixin(TableMixin):
    """The rule for one word, on all images of an instance.

    ``instance`` is ``""`` for the system. A column that is ``NULL`` in an instance's
    row inherits the value of the system's row.

    ``becomes`` is the name of the tag to use instead, and ``becomes_key`` its key.
    ``blocked`` words are never applied by providers. ``listed`` words may be applied
    where the vocabulary is limited to listed words. ``threshold`` is the confidence,
    from 0 to 1, that a provider must reach. Decisions of people about the word before
    ``dropped_at`` are ignored.
    """

    __tablename__ = "autotag_word"

    instance: Mapped[str] = mapped_column(String(INSTANCE_LENGTH), primary_key=True)
    key: Mapped[str] = mapped_column(Key, primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    becomes: Mapped[str | None] = mapped_column(String(NAME_LENGTH))
    becomes_key: Mapped[str | None] = mapped_column(Key)
    blocked: Mapped[bool | None] = mapped_column(Boolean)
    listed: Mapped[bool | None] = mapped_column(Boolean)
    threshold: Mapped[float | None] = mapped_column(Double)
    dropped_at: Mapped[datetime | None] = mapped_column(Moment)
    changed_by: Mapped[str | None] = mapped_column(String(USER_LENGTH))
    changed_at: Mapped[datetime] = mapped_column(Moment)

    @classmethod
    def table_items(cls) -> tuple[SchemaItem, ...]:
        """Find rules by their word, or by the tag that it becomes, in all instances."""
        return (
            Index("ix_autotag_word_key", "key"),
            Index("ix_autotag_word_becomes", "becomes_key"),
        )


class AssignmentMixin(TableMixin):
    """A tag on an asset: ``state`` is ``applied``, ``suggested`` or ``rejected``.

    ``source`` is ``provider`` or ``person``; ``decided_by`` is the person's name.
    ``provider``, ``model`` and ``confidence`` belong to the surest provider, and
    ``providers`` lists all that returned the label, separated by commas. If a person
    decided, they describe the label that the decision was about.

    ``asset_type`` and ``asset_number`` repeat the asset's type and id if the id is an
    integer, and are ``NULL`` otherwise: one index leads from a tag to the host's rows.

    ``position`` orders the tags that a person pinned to the front of the asset; it is
    ``NULL`` for all others.
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
    position: Mapped[int | None] = mapped_column(Integer)

    @classmethod
    def table_items(cls) -> tuple[SchemaItem, ...]:
        """Find the assets of a tag. The primary key finds the tags of an asset.

        The unique constraint serves as an index. Alembic would drop an index before the
        table, and MySQL refuses to drop one that a foreign key needs.
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
        """Store the tags of an asset side by side on SQLite, as InnoDB does."""
        return {"sqlite_with_rowid": False}


class BulkActionMixin(TableMixin):
    """A decision of a person about one tag on many assets of an instance.

    ``state`` is the state that the tag gets. ``expected`` is the state that an asset's
    tag must have for it, or ``NULL`` for any. ``tag_key`` and ``tag_name`` are those of
    the tag at that time. ``images`` and ``changed`` count the assets of the action and
    those whose tag has changed.

    ``phase`` is ``doing``, ``done``, ``undoing`` or ``undone``. ``undone_by`` is the
    person who undid it, and ``restored`` counts the assets that got their tag back.

    ``request_key`` is the key that a client gave its request, and ``request_digest``
    the hash of that request: a repeated one is answered without another decision.
    """

    __tablename__ = "autotag_bulk_action"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    instance: Mapped[str] = mapped_column(String(INSTANCE_LENGTH))
    state: Mapped[str] = mapped_column(String(10))
    expected: Mapped[str | None] = mapped_column(String(10))
    tag_key: Mapped[str] = mapped_column(Key)
    tag_name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    phase: Mapped[str] = mapped_column(String(10))
    images: Mapped[int] = mapped_column(Integer, default=0)
    changed: Mapped[int] = mapped_column(Integer, default=0)
    restored: Mapped[int] = mapped_column(Integer, default=0)
    decided_by: Mapped[str | None] = mapped_column(String(USER_LENGTH))
    undone_by: Mapped[str | None] = mapped_column(String(USER_LENGTH))
    request_key: Mapped[str | None] = mapped_column(String(64))
    request_digest: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Moment)

    @classmethod
    def table_items(cls) -> tuple[SchemaItem, ...]:
        """Find the latest actions of an instance, and the action of a request."""
        return (
            UniqueConstraint(
                "instance", "request_key", name="uq_autotag_bulk_action_request"
            ),
            Index("ix_autotag_bulk_action", "instance", "id"),
        )

    @classmethod
    def table_options(cls) -> dict[str, Any]:
        """Stop SQLite from using a key twice, as for assets."""
        return {"sqlite_autoincrement": True}


class BulkItemMixin(TableMixin):
    """One asset of a bulk action.

    ``outcome`` is ``NULL`` until the asset's turn, then ``changed``, ``unchanged`` or
    ``unexpected`` if the tag was not in the expected state, and after an undo
    ``restored`` or ``kept`` if somebody had decided again.

    The columns that begin with ``old_`` repeat those of the assignment before the
    decision; they are ``NULL`` if there was none. ``decided_at`` is the time of the
    decision.
    """

    __tablename__ = "autotag_bulk_item"

    action_id: Mapped[int] = mapped_column(
        BigKey, primary_key=True, autoincrement=False
    )
    asset_id: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=False)
    outcome: Mapped[str | None] = mapped_column(String(10))
    old_state: Mapped[str | None] = mapped_column(String(10))
    old_source: Mapped[str | None] = mapped_column(String(10))
    old_decided_by: Mapped[str | None] = mapped_column(String(USER_LENGTH))
    old_created_at: Mapped[datetime | None] = mapped_column(Moment)
    old_position: Mapped[int | None] = mapped_column(Integer)
    decided_at: Mapped[datetime | None] = mapped_column(Moment)

    @classmethod
    def table_items(cls) -> tuple[SchemaItem, ...]:
        """Find the items of an asset that is deleted."""
        return (UniqueConstraint("asset_id", "action_id", name="uq_autotag_bulk_item"),)

    @classmethod
    def table_options(cls) -> dict[str, Any]:
        """Store the items of an action side by side on SQLite, as InnoDB does."""
        return {"sqlite_with_rowid": False}


class CounterMixin(TableMixin):
    """The number of assets on which a tag is applied; no row means 0.

    ``instance`` repeats the tag's: an index finds the most used tags of an instance.
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
    """The labels that one provider returned for one asset, before any threshold.

    ``labels`` is a list of ``[id, name, confidence]``, surest first. ``shared`` is true
    if the provider ran under the system's settings, so that other instances may use the
    labels for the same bytes.
    """

    __tablename__ = "autotag_prediction"

    asset_id: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=False)
    provider: Mapped[str] = mapped_column(String(PROVIDER_LENGTH), primary_key=True)
    model: Mapped[str] = mapped_column(String(MODEL_LENGTH))
    labels: Mapped[list[Any]] = mapped_column(JSON)
    shared: Mapped[bool] = mapped_column(Boolean, default=False)
    created_at: Mapped[datetime] = mapped_column(Moment)


class JobMixin(TableMixin):
    """A job of the queue: tag one asset, or apply new settings to an instance.

    ``state`` is ``queued``, ``running``, ``done``, ``failed``, ``quarantined`` or
    ``cancelled``. ``run_at`` is the time at which a worker may claim the job: its due
    time while queued, the end of the lease while running, and ``NULL`` when it has
    ended. ``dedupe_key`` is ``NULL`` then too, so that its unique constraint allows one
    live job for each content. ``priority`` is 0 for a fresh upload and 1 for bulk work,
    which waits for fresh uploads.

    ``lease_token`` is the fencing token of the worker that holds the lease.
    ``lease_owner`` names that worker to people, and ``lease_process`` its process to
    other workers on the same machine. ``claims``, ``failures`` and ``crashes`` count.

    A job of the kind ``rules`` has no asset: it applies new settings to the stored
    predictions of all assets of its instance. Nor has a job of the kind ``bulk``, whose
    ``asset_id`` is the key of its bulk action. ``done_to`` is the key of the last asset
    that such a job has finished.
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
    lease_process: Mapped[str | None] = mapped_column(String(100))
    error_code: Mapped[str | None] = mapped_column(String(40))
    error_text: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[float] = mapped_column(Double)
    finished_at: Mapped[float | None] = mapped_column(Double)

    @classmethod
    def table_items(cls) -> tuple[SchemaItem, ...]:
        """Keep one live job for each content; support each frequent query by an index.

        In order, the indexes serve counts, claims of each instance in turn, purges, the
        reasons of failures, and the jobs of an asset.
        """
        return (
            UniqueConstraint("dedupe_key", name="uq_autotag_job_dedupe"),
            Index("ix_autotag_job_due", "state", "priority", "run_at", "id"),
            Index(
                "ix_autotag_job_turn",
                *("state", "priority", "instance", "run_at", "id"),
            ),
            Index("ix_autotag_job_finished", "state", "finished_at"),
            Index(
                "ix_autotag_job_reason",
                *("state", "error_code", "instance", "finished_at", "run_at"),
            ),
            Index("ix_autotag_job_asset", "asset_type", "asset_id"),
        )


class UploadMixin(TableMixin):
    """A part of an uploaded image's bytes, if no worker can load the image otherwise.

    The table is separate so that scans of the queue do not read the bytes.
    """

    __tablename__ = "autotag_upload"

    job_id: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=False)
    part: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class SettingMixin(TableMixin):
    """A value that an administrator set.

    ``instance`` is ``""`` for the system. ``value`` is JSON, or the encrypted text of
    a secret. The row with an empty ``section`` and ``name`` counts the changes of its
    instance; writers lock it.
    """

    __tablename__ = "autotag_setting"

    instance: Mapped[str] = mapped_column(String(INSTANCE_LENGTH), primary_key=True)
    section: Mapped[str] = mapped_column(String(PROVIDER_LENGTH), primary_key=True)
    name: Mapped[str] = mapped_column(String(FIELD_LENGTH), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class SettingChangeMixin(TableMixin):
    """The log of changed settings.

    ``old`` and ``new`` are JSON, or ``NULL`` for an inherited value. A secret is
    ``true``.
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
    """The circuit breaker of a remote provider in one instance, for all workers.

    ``paused`` is the reason why the provider is paused until somebody resumes it, or
    ``NULL``. ``failures`` counts failures in a row. No request is sent before
    ``open_until``, in seconds since 1970: after several failures, or if the provider
    asked for a pause. ``tested_at`` is the time of the last connection test, in the
    same unit.
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
    """The images that an instance sent to a provider in a month such as ``2026-11``.

    ``instance`` is ``""`` for all instances together.
    """

    __tablename__ = "autotag_usage"

    instance: Mapped[str] = mapped_column(String(INSTANCE_LENGTH), primary_key=True)
    provider: Mapped[str] = mapped_column(String(PROVIDER_LENGTH), primary_key=True)
    month: Mapped[str] = mapped_column(String(7), primary_key=True)
    calls: Mapped[int] = mapped_column(BigInteger, default=0)


class InquiryMixin(TableMixin):
    """A request to a remote provider, in flight or just answered, for the same bytes.

    It keeps several workers from sending them at once. While the request is in flight,
    ``token`` names the worker that sends it until ``until``, in seconds since 1970.
    Afterwards ``token`` is ``NULL``, ``labels`` holds the answer as a prediction does,
    and the row may be deleted after ``until``. ``instance`` is ``""`` if all instances
    may use the answer.
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
        """Find the rows to delete."""
        return (Index("ix_autotag_inquiry_until", "until"),)


class RevisionMixin(TableMixin):
    """The revision of the tables: one row, or none if it is unknown.

    It is Alembic's version table, under another name than the host's own. It is part of
    the metadata because the host's Alembic would propose to drop an unknown table.
    """

    __tablename__ = "autotag_revision"

    version_num: Mapped[str] = mapped_column(String(32), primary_key=True)
