"""Hosts that call Google, replaced by a server on this machine."""

from __future__ import annotations

import io

from PIL import Image
from sqlalchemy import update

from flask_autotag import AssetRef, image_uploaded
from flask_autotag.classification import circuit_breaker
from flask_autotag.jobs.worker import Worker

from ..hosts import ESPRESSO, ESPRESSO_TAGS, Host
from .vendors import Answer, Recorded, Vendor

GOOGLE_ON = {
    "AUTOTAG_GOOGLE_ENABLED": True,
    "AUTOTAG_GOOGLE_API_KEY": "AIza-secret-0123",
}
SAYS_CUP = {"responses": [{"labelAnnotations": [{"description": "Cup", "score": 0.9}]}]}


def answer_each(recorded: Recorded) -> Answer:
    """Answer every image with the label "Cup"."""
    number = len(recorded.json["requests"])
    return Answer(body={"responses": SAYS_CUP["responses"] * number})


def photo(number: int) -> bytes:
    """Make a photo that differs from the others."""
    file = io.BytesIO()
    with Image.open(ESPRESSO) as image:
        image.thumbnail((300, 300))
        image.putpixel((0, 0), (number % 256, number // 256, 7))
        image.save(file, "PNG")
    return file.getvalue()


def upload(
    host: Host, *numbers: int, instance: str = "shop", same: bool = False
) -> None:
    for number in numbers:
        image_uploaded.send(
            host.app,
            asset=AssetRef("photo", str(number)),
            image=photo(0 if same else number),
            instance=instance,
        )


def drain(host: Host) -> None:
    Worker(host.app, host.autotag.state_of(host.app)).drain()


#: The tags of the espresso from this machine.
LOCAL = dict.fromkeys(ESPRESSO_TAGS, "tensorflow")


def tags(host: Host, number: int, instance: str = "shop") -> dict[str, str | None]:
    with host.app.app_context():
        found = host.autotag.tags_for(AssetRef("photo", str(number)), instance)
    return {tag.name: tag.provider for tag in found}


def images_sent(google: Vendor) -> int:
    return sum(len(recorded.json["requests"]) for recorded in google.requests)


def provider_state(host: Host, instance: str = "shop") -> circuit_breaker.ProviderState:
    state = host.autotag.state_of(host.app)
    with host.app.app_context(), state.database.begin() as session:
        return circuit_breaker.read_states(session, state.database.models, instance)[
            "google"
        ]


def be_due(host: Host) -> None:
    table = host.autotag.state_of(host.app).database.models.job.__table__
    with host.app.app_context(), host.db.engine.begin() as connection:
        connection.execute(
            update(table).where(table.c.state == "queued").values(run_at=1)
        )


def let_it_in(host: Host) -> None:
    """End the rest of a provider, as if its time were over."""
    models = host.autotag.state_of(host.app).database.models
    table = models.provider_state.__table__
    with host.app.app_context(), host.db.engine.begin() as connection:
        connection.execute(update(table).values(open_until=1))
