"""Articles with a cover and a logo, and subclasses of each kind of inheritance."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from flask_autotag import AssetRef

from .hosts import Host, jpeg

COLORS = ("red", "green", "blue", "black")
#: The picture of each color.
PICTURES = {color: jpeg(color) for color in COLORS}
PLAIN = AssetRef("article", "1")
COVER, LOGO = AssetRef("article#cover", "1"), AssetRef("article#logo", "1")


def cover(target: Any) -> bytes | None:
    return PICTURES.get(target.cover)


def logo(target: Any) -> bytes | None:
    return PICTURES.get(target.logo)


def define_articles(host: Host) -> None:
    """Define the classes, as attributes of the host; its photos are articles now."""

    class Article(host.db.Model):  # type: ignore[name-defined]
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str] = mapped_column(String(20), default="article")
        cover: Mapped[str] = mapped_column(String(20), default="red")
        logo: Mapped[str] = mapped_column(String(20), default="blue")
        tenant: Mapped[str] = mapped_column(String(20), default="default")
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "article"}

    class Review(Article):
        __mapper_args__ = {"polymorphic_identity": "review"}

    class Essay(Article):
        __mapper_args__ = {"polymorphic_identity": "essay"}

    class Report(Article):
        id: Mapped[int] = mapped_column(ForeignKey("article.id"), primary_key=True)
        __mapper_args__ = {"polymorphic_identity": "report"}

    class Copy(Article):
        __tablename__ = "copy"
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str] = mapped_column(String(20), default="copy")
        cover: Mapped[str] = mapped_column(String(20), default="green")
        logo: Mapped[str] = mapped_column(String(20), default="black")
        tenant: Mapped[str] = mapped_column(String(20), default="default")
        __mapper_args__ = {"polymorphic_identity": "copy", "concrete": True}

    host.Photo = Article
    for each in (Review, Essay, Report, Copy):
        setattr(host, each.__name__, each)


def watch_both(host: Host, **arguments: Any) -> None:
    """Watch the cover and the logo of each article."""
    for name, image in (("cover", cover), ("logo", logo)):
        host.autotag.watch(host.Photo, image, columns=[name], name=name, **arguments)
