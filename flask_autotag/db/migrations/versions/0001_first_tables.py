"""The tables of the first release."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.mysql import DATETIME

from flask_autotag.db.migrations.steps import create_table, drop_table, reference

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_BIG_KEY = BigInteger().with_variant(Integer(), "sqlite")
_MOMENT = DateTime().with_variant(DATETIME(fsp=6), "mysql", "mariadb")
_WORD_KEY = String(300).with_variant(String(300, collation="C"), "postgresql")


def upgrade() -> None:
    """Create each table after the tables that it refers to."""
    _create_vocabulary()
    _create_tags()
    _create_queue()
    _create_settings()
    _create_providers()
    _create_bulk_actions()


def downgrade() -> None:
    """Drop each table before the tables that it refers to."""
    for model in (
        "bulk_item",
        "bulk_action",
        "inquiry",
        "usage",
        "provider_state",
        "setting_change",
        "setting",
        "upload",
        "job",
        "prediction",
        "counter",
        "assignment",
        "word",
        "tag",
        "asset",
    ):
        drop_table(model)


def _create_vocabulary() -> None:
    create_table(
        "tag",
        Column("id", _BIG_KEY, nullable=False),
        Column("instance", String(64), nullable=False),
        Column("key", _WORD_KEY, nullable=False),
        Column("name", String(100), nullable=False),
        Column("concept", String(100)),
        PrimaryKeyConstraint("id"),
        UniqueConstraint("instance", "key", name="uq_autotag_tag"),
        indexes={"ix_autotag_tag_key": ["key"]},
    )
    create_table(
        "word",
        Column("instance", String(64), nullable=False),
        Column("key", _WORD_KEY, nullable=False),
        Column("name", String(100), nullable=False),
        Column("becomes", String(100)),
        Column("becomes_key", _WORD_KEY),
        Column("blocked", Boolean()),
        Column("listed", Boolean()),
        Column("threshold", Double()),
        Column("dropped_at", _MOMENT),
        Column("changed_by", String(100)),
        Column("changed_at", _MOMENT, nullable=False),
        PrimaryKeyConstraint("instance", "key"),
        indexes={
            "ix_autotag_word_key": ["key"],
            "ix_autotag_word_becomes": ["becomes_key"],
        },
    )


def _create_tags() -> None:
    create_table(
        "asset",
        Column("id", _BIG_KEY, nullable=False),
        Column("instance", String(64), nullable=False),
        Column("asset_type", String(350), nullable=False),
        Column("asset_id", String(255), nullable=False),
        Column("sha256", String(64)),
        Column("tagged_at", _MOMENT),
        Column("no_image", Boolean(), nullable=False),
        PrimaryKeyConstraint("id"),
        UniqueConstraint("asset_type", "asset_id", "instance", name="uq_autotag_asset"),
        indexes={
            "ix_autotag_asset_content": ["sha256", "instance"],
            "ix_autotag_asset_instance": ["instance", "id"],
        },
        sqlite_autoincrement=True,
    )
    create_table(
        "assignment",
        Column("asset_id", _BIG_KEY, autoincrement=False, nullable=False),
        Column("tag_id", _BIG_KEY, autoincrement=False, nullable=False),
        Column("state", String(10), nullable=False),
        Column("source", String(10), nullable=False),
        Column("provider", String(64)),
        Column("providers", Text()),
        Column("model", String(128)),
        Column("confidence", Double()),
        Column("decided_by", String(100)),
        Column("created_at", _MOMENT, nullable=False),
        Column("asset_type", String(350)),
        Column("asset_number", BigInteger()),
        Column("position", Integer()),
        PrimaryKeyConstraint("asset_id", "tag_id"),
        UniqueConstraint(
            "tag_id", "state", "asset_id", name="uq_autotag_assignment_tag"
        ),
        reference("assignment", "asset_id", "asset"),
        reference("assignment", "tag_id", "tag"),
        indexes={
            "ix_autotag_assignment_number": [
                *("tag_id", "state", "asset_type", "asset_number")
            ]
        },
        sqlite_with_rowid=False,
    )
    create_table(
        "counter",
        Column("tag_id", _BIG_KEY, autoincrement=False, nullable=False),
        Column("instance", String(64), nullable=False),
        Column("assets", Integer(), nullable=False),
        PrimaryKeyConstraint("tag_id"),
        reference("counter", "tag_id", "tag"),
        indexes={"ix_autotag_counter": ["instance", "assets"]},
    )
    create_table(
        "prediction",
        Column("asset_id", _BIG_KEY, autoincrement=False, nullable=False),
        Column("provider", String(64), nullable=False),
        Column("model", String(128), nullable=False),
        Column("labels", JSON(), nullable=False),
        Column("shared", Boolean(), nullable=False),
        Column("created_at", _MOMENT, nullable=False),
        PrimaryKeyConstraint("asset_id", "provider"),
        reference("prediction", "asset_id", "asset"),
    )


def _create_queue() -> None:
    create_table(
        "job",
        Column("id", _BIG_KEY, nullable=False),
        Column("instance", String(64), nullable=False),
        Column("asset_type", String(350), nullable=False),
        Column("asset_id", String(255), nullable=False),
        Column("kind", String(10), nullable=False),
        Column("done_to", _BIG_KEY),
        Column("path", Text()),
        Column("dedupe_key", String(64)),
        Column("state", String(12), nullable=False),
        Column("priority", SmallInteger(), nullable=False),
        Column("run_at", Double()),
        Column("claims", Integer(), nullable=False),
        Column("failures", Integer(), nullable=False),
        Column("crashes", Integer(), nullable=False),
        Column("lease_token", String(32)),
        Column("lease_owner", String(100)),
        Column("lease_process", String(100)),
        Column("error_code", String(40)),
        Column("error_text", Text()),
        Column("created_at", Double(), nullable=False),
        Column("finished_at", Double()),
        PrimaryKeyConstraint("id"),
        UniqueConstraint("dedupe_key", name="uq_autotag_job_dedupe"),
        indexes={
            "ix_autotag_job_due": ["state", "priority", "run_at", "id"],
            "ix_autotag_job_turn": ["state", "priority", "instance", "run_at", "id"],
            "ix_autotag_job_finished": ["state", "finished_at"],
            "ix_autotag_job_reason": [
                *("state", "error_code", "instance", "finished_at", "run_at")
            ],
            "ix_autotag_job_asset": ["asset_type", "asset_id"],
        },
    )
    create_table(
        "upload",
        Column("job_id", _BIG_KEY, autoincrement=False, nullable=False),
        Column("part", Integer(), autoincrement=False, nullable=False),
        Column("data", LargeBinary(), nullable=False),
        PrimaryKeyConstraint("job_id", "part"),
        reference("upload", "job_id", "job"),
    )


def _create_settings() -> None:
    create_table(
        "setting",
        Column("instance", String(64), nullable=False),
        Column("section", String(64), nullable=False),
        Column("name", String(64), nullable=False),
        Column("value", Text(), nullable=False),
        PrimaryKeyConstraint("instance", "section", "name"),
    )
    create_table(
        "setting_change",
        Column("id", _BIG_KEY, nullable=False),
        Column("instance", String(64), nullable=False),
        Column("section", String(64), nullable=False),
        Column("name", String(64), nullable=False),
        Column("old", Text()),
        Column("new", Text()),
        Column("changed_by", String(100)),
        Column("changed_at", _MOMENT, nullable=False),
        PrimaryKeyConstraint("id"),
        indexes={"ix_autotag_setting_change": ["instance", "id"]},
    )


def _create_providers() -> None:
    create_table(
        "provider_state",
        Column("instance", String(64), nullable=False),
        Column("provider", String(64), nullable=False),
        Column("paused", Text()),
        Column("paused_at", _MOMENT),
        Column("failures", Integer(), nullable=False),
        Column("open_until", Double()),
        Column("tested_at", Double()),
        PrimaryKeyConstraint("instance", "provider"),
    )
    create_table(
        "usage",
        Column("instance", String(64), nullable=False),
        Column("provider", String(64), nullable=False),
        Column("month", String(7), nullable=False),
        Column("calls", BigInteger(), nullable=False),
        PrimaryKeyConstraint("instance", "provider", "month"),
    )
    create_table(
        "inquiry",
        Column("instance", String(64), nullable=False),
        Column("provider", String(64), nullable=False),
        Column("sha256", String(64), nullable=False),
        Column("model", String(128), nullable=False),
        Column("labels", JSON()),
        Column("token", String(32)),
        Column("until", Double(), nullable=False),
        PrimaryKeyConstraint("instance", "provider", "sha256"),
        indexes={"ix_autotag_inquiry_until": ["until"]},
    )


def _create_bulk_actions() -> None:
    create_table(
        "bulk_action",
        Column("id", _BIG_KEY, nullable=False),
        Column("instance", String(64), nullable=False),
        Column("state", String(10), nullable=False),
        Column("expected", String(10)),
        Column("tag_key", _WORD_KEY, nullable=False),
        Column("tag_name", String(100), nullable=False),
        Column("phase", String(10), nullable=False),
        Column("images", Integer(), nullable=False),
        Column("changed", Integer(), nullable=False),
        Column("restored", Integer(), nullable=False),
        Column("decided_by", String(100)),
        Column("undone_by", String(100)),
        Column("request_key", String(64)),
        Column("request_digest", String(64)),
        Column("created_at", _MOMENT, nullable=False),
        PrimaryKeyConstraint("id"),
        UniqueConstraint(
            "instance", "request_key", name="uq_autotag_bulk_action_request"
        ),
        indexes={"ix_autotag_bulk_action": ["instance", "id"]},
        sqlite_autoincrement=True,
    )
    create_table(
        "bulk_item",
        Column("action_id", _BIG_KEY, autoincrement=False, nullable=False),
        Column("asset_id", _BIG_KEY, autoincrement=False, nullable=False),
        Column("outcome", String(10)),
        Column("old_state", String(10)),
        Column("old_source", String(10)),
        Column("old_decided_by", String(100)),
        Column("old_created_at", _MOMENT),
        Column("old_position", Integer()),
        Column("decided_at", _MOMENT),
        PrimaryKeyConstraint("action_id", "asset_id"),
        UniqueConstraint("asset_id", "action_id", name="uq_autotag_bulk_item"),
        reference("bulk_item", "action_id", "bulk_action"),
        reference("bulk_item", "asset_id", "asset"),
        sqlite_with_rowid=False,
    )
