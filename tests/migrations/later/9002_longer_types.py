"""Types of assets and names of providers are longer."""

from sqlalchemy import String

from flask_autotag.migrations.steps import altering

revision, down_revision = "9002", "9001"
branch_labels = depends_on = None


def upgrade() -> None:
    with altering("asset") as asset:
        asset.alter_column(
            "asset_type",
            type_=String(120),
            existing_type=String(100),
            existing_nullable=False,
        )
    with altering("assignment", sqlite_with_rowid=False) as assignment:
        assignment.alter_column("provider", type_=String(80), existing_type=String(64))


def downgrade() -> None:
    with altering("asset") as asset:
        asset.alter_column(
            "asset_type",
            type_=String(100),
            existing_type=String(120),
            existing_nullable=False,
        )
    with altering("assignment", sqlite_with_rowid=False) as assignment:
        assignment.alter_column("provider", type_=String(64), existing_type=String(80))
