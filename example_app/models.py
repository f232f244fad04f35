"""Users and photos, and the instances that they belong to."""

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
    """A tenant: a library of photos of its own, with tags of its own."""

    key: str
    title: str
    motto: str


INSTANCES = {
    instance.key: instance
    for instance in (
        Instance("news", "News", "What the newsroom has to choose from."),
        Instance("shop", "Shop", "What goes into the catalogue."),
    )
}

ADMINISTRATOR, MANAGER, EDITOR = "administrator", "manager", "editor"

TITLE_LENGTH = 200


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


class User(UserMixin, db.Model):
    """Somebody who signs in.

    An editor or a manager of one instance, or an administrator of all.
    """

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(20))
    home: Mapped[str] = mapped_column(String(64))

    def set_password(self, password: str) -> None:
        """Keep the hash of a password."""
        self.password_hash = generate_password_hash(password)

    def has_password(self, password: str) -> bool:
        """Whether it is this one."""
        return check_password_hash(self.password_hash, password)

    @property
    def is_administrator(self) -> bool:
        """Whether this user administers every instance."""
        return self.role == ADMINISTRATOR

    def may_manage(self, instance: str | None) -> bool:
        """Whether this user may set up an instance, or the system if it is ``None``."""
        return self.is_administrator or (
            self.role == MANAGER and instance is not None and self.home == instance
        )

    @property
    def instances(self) -> list[Instance]:
        """The instances that this user may enter."""
        return [one for one in INSTANCES.values() if self.may_use(one.key)]

    def may_use(self, instance: str) -> bool:
        """Whether this user may see and change the photos of an instance."""
        return self.is_administrator or self.home == instance


class Photo(db.Model):
    """A photo of an instance."""

    # Keys are not used again: what belonged to a deleted photo never meets a new one.
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
        """Select the photos of an instance."""
        return select(cls).where(cls.instance == instance)

    @property
    def path(self) -> Path:
        """The file."""
        return Path(current_app.config["UPLOAD_FOLDER"]) / self.filename

    @property
    def extension(self) -> str:
        """The ending of its name, lower case, with the dot."""
        return Path(self.filename).suffix

    @property
    def is_shown_by_browsers(self) -> bool:
        """Whether browsers can show this kind of file."""
        return self.extension not in (".tif", ".tiff")


class Milestone(db.Model):
    """Something that is done once in the life of a database."""

    name: Mapped[str] = mapped_column(String(50), primary_key=True)
    reached_at: Mapped[datetime] = mapped_column(default=_now)
