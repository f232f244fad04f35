"""Users, photos, and their instances."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask import current_app
from flask_login import UserMixin
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import ForeignKey, Select, String, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from werkzeug.security import check_password_hash, generate_password_hash


class Base(DeclarativeBase):
    """Base of the application's classes."""


db = SQLAlchemy(model_class=Base)


@dataclass(frozen=True)
class Instance:
    """A tenant: it has its own library of photos, and its own tags."""

    key: str
    title: str
    motto: str


INSTANCES = {
    instance.key: instance
    for instance in (
        Instance("news", "News", "Photos for the newsroom."),
        Instance("shop", "Shop", "Photos for the catalogue."),
    )
}

ADMINISTRATOR, MANAGER, EDITOR = "administrator", "manager", "editor"

TITLE_LENGTH = 200


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


class User(UserMixin, db.Model):
    """A user: an editor or a manager of one instance, or an administrator of all."""

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(20))
    home: Mapped[str] = mapped_column(String(64))

    def set_password(self, password: str) -> None:
        """Store the hash of a password."""
        self.password_hash = generate_password_hash(password)

    def has_password(self, password: str) -> bool:
        """Return whether the password is correct."""
        return check_password_hash(self.password_hash, password)

    @property
    def is_administrator(self) -> bool:
        """Whether the user administers every instance."""
        return self.role == ADMINISTRATOR

    def may_manage(self, instance: str | None) -> bool:
        """Return whether the user may manage an instance; ``None`` is the system."""
        return self.is_administrator or (
            self.role == MANAGER and instance is not None and self.home == instance
        )

    @property
    def instances(self) -> list[Instance]:
        """The instances that the user may see."""
        return [one for one in INSTANCES.values() if self.may_use(one.key)]

    def may_use(self, instance: str) -> bool:
        """Return whether the user may see and change the photos of an instance."""
        return self.is_administrator or self.home == instance


class Photo(db.Model):
    """A photo of an instance."""

    # Keys are not reused: data of a deleted photo never belong to a new one.
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    instance: Mapped[str] = mapped_column(String(64), index=True)
    title: Mapped[str] = mapped_column(String(TITLE_LENGTH))
    filename: Mapped[str] = mapped_column(String(50), unique=True)
    uploaded_at: Mapped[datetime] = mapped_column(default=_now)
    uploader_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
    uploader: Mapped[User | None] = relationship()

    @classmethod
    def of(cls, instance: str) -> Select[Any]:
        """Return a ``Select`` of the photos of an instance."""
        return select(cls).where(cls.instance == instance)

    @property
    def path(self) -> Path:
        """The path of the file."""
        return Path(current_app.config["UPLOAD_FOLDER"]) / self.filename

    @property
    def extension(self) -> str:
        """The extension of the file, in lower case, with the dot."""
        return Path(self.filename).suffix

    @property
    def is_shown_by_browsers(self) -> bool:
        """Whether browsers can show the file."""
        return self.extension not in (".tif", ".tiff")


class Milestone(db.Model):
    """A step that is done once for each database."""

    name: Mapped[str] = mapped_column(String(50), primary_key=True)
    reached_at: Mapped[datetime] = mapped_column(default=_now)
