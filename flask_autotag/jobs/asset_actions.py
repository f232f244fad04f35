"""Actions of host code on one asset: tag it, decide on a tag, move it, forget it.

Except for ``tag_now`` and ``explain``, they write in the transaction of the session
that holds the asset if it has uncommitted writes, and in one of their own otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from flask import has_request_context
from sqlalchemy import Connection

from ..classification import remote
from ..db.database import Database
from ..db.models import Models
from ..db.sql import lock_writers
from ..errors import NoImage, TransactionError
from ..host.assets import (
    AssetRef,
    ImageSource,
    check_instance,
    instance_state,
    saved_ref,
)
from ..host.image_source import read
from ..host.images import image_type, images_of, names_of
from ..runtime.state import State
from ..settings.tag_names import tag_name
from ..tags import pins, store
from ..tags.explanation import Explanation
from ..tags.explanation import explain as explain_labels
from ..tags.queries import applied_tags
from ..tags.queries.applied_tags import AppliedTag
from ..tags.queries.instances import resolve_instance
from . import forgetting, outbox, outcomes, queue
from .image_loading import load_asset
from .reclassify import intent_again

if TYPE_CHECKING:
    from flask import Flask
    from sqlalchemy.orm import Session

T = TypeVar("T")


def tag_now(
    app: Flask,
    state: State,
    asset: object,
    image: ImageSource | None,
    instance: str | None,
    name: str | None,
) -> list[AppliedTag]:
    """Classify an asset's image and store its tags before returning them."""
    ref = _one_image(state, asset, name)
    database, models = state.database, state.database.models
    _refuse_open_writes(database)
    tenant = instance or database.transact(
        lambda session: _instance_of(state, session, asset, ref)
    )
    try:
        if image is None:
            data = load_asset(state, ref)
        else:
            data = read(image, state.config.max_image_bytes)
    except NoImage:
        return database.transact(
            lambda session: _without_image(session, models, ref, tenant)
        )
    settings = state.settings_for(tenant)
    patience = remote.TAG_NOW if has_request_context() else None
    classified = remote.classify(app, state, tenant, data, settings, patience)

    def work(session: Session) -> list[AppliedTag]:
        # Settings and words may have changed while the image was classified.
        now = state.stored_settings().settings(session, tenant)
        store.store(session, models, [store.Entry(ref, tenant, classified, now)])
        outcomes.cancel_failures(session, models, {(tenant, ref): math.inf})
        return applied_tags.tags_for(session, models, ref, tenant)

    return database.transact(work)


def _without_image(
    session: Session, models: Models, ref: AssetRef, tenant: str
) -> list[AppliedTag]:
    """Delete what providers said of an asset; return people's tags."""
    store.remove_image(session.connection(), models, ref, tenant)
    outcomes.cancel_failures(session, models, {(tenant, ref): math.inf})
    return applied_tags.tags_for(session, models, ref, tenant)


def pin_tags(
    state: State,
    asset: object,
    tags: Iterable[str],
    instance: str | None,
    person: str | None,
    name: str | None,
) -> None:
    """Pin a person's tags to the front of an image, in their order."""
    if isinstance(tags, str):
        raise TypeError(f"tags takes several tags: tags=[{tags!r}].")
    ref, pinned = _one_image(state, asset, name), [tag_name(each) for each in tags]
    who = person or state.hooks.user_name()

    def work(connection: Connection) -> str:
        tenant = instance or _instance_of(state, connection, asset, ref)
        pins.pin(connection, state.stored_settings(), ref, tenant, pinned, who)
        return tenant

    outbox.note_decision(state, asset, ref, _write(state, asset, work))


def untag(state: State, asset: object, instance: str | None, name: str | None) -> None:
    """Delete the predictions for images and the tags that came of them."""
    models = state.database.models

    def work(connection: Connection, ref: AssetRef, tenant: str) -> None:
        store.untag(connection, models, ref, tenant)

    _write_all(state, asset, images_of(asset, name), instance, work)


def retag(
    app: Flask, state: State, asset: object, instance: str | None, name: str | None
) -> None:
    """Queue jobs that classify images again."""
    models = state.database.models
    types = state.hooks.watches.watched_types(asset, name)
    refs = [saved_ref(asset, each) for each in types]

    def enqueue(connection: Connection, ref: AssetRef) -> int:
        tenant = instance or _instance_of(state, connection, asset, ref)
        intent = intent_again(connection, state, ref, check_instance(tenant))
        return queue.enqueue(connection, models, intent)

    def work(connection: Connection) -> list[int]:
        lock_writers(connection, models.job.__table__)
        return [enqueue(connection, ref) for ref in refs]

    outbox.enqueue(app, state, asset, work)


def explain(
    state: State, asset: object, instance: str | None, name: str | None
) -> Explanation:
    """Explain why each label of an image did or did not become a tag."""
    ref, database = _one_image(state, asset, name), state.database
    with database.reading() as session:
        tenant = instance or _instance_of(state, session, asset, ref)
    settings = state.settings_for(tenant)
    with database.reading() as session:
        return explain_labels(session, database.models, ref, tenant, settings)


def move(
    state: State, asset: object, to: object, instance: str | None, name: str | None
) -> None:
    """Keep the rows and jobs of images under another name."""
    models, moved = state.database.models, _moved(state, asset, to, name)
    known = set[AssetRef]()

    def work(connection: Connection, ref: AssetRef, tenant: str) -> None:
        arguments = (connection, models, ref, moved[ref], tenant)
        if any([queue.move(*arguments), store.move(*arguments)]):
            known.add(ref)

    for ref, tenant in _write_all(state, asset, moved, instance, work, to).items():
        if ref in known:
            outbox.note_decision(state, to, moved[ref], tenant)


def _moved(
    state: State, asset: object, to: object, name: str | None
) -> dict[AssetRef, AssetRef]:
    """Return the new name of each image, except for names that stay."""
    if isinstance(asset, AssetRef):
        pairs = {saved_ref(asset): _one_image(state, to, name)}
    elif isinstance(to, AssetRef):
        pairs = {_one_image(state, asset, name): saved_ref(to)}
    else:
        old, new = instance_state(asset).mapper, instance_state(to).mapper
        pairs = {
            saved_ref(asset, image_type(old, each)): saved_ref(
                to, image_type(new, each)
            )
            for each in (names_of(old) if name is None else [name])
        }
    return {ref: other for ref, other in pairs.items() if ref != other}


def forget(state: State, asset: object, instance: str | None, name: str | None) -> None:
    """Delete the rows and jobs of images."""
    models = state.database.models

    def work(connection: Connection, ref: AssetRef, tenant: str) -> None:
        forgetting.forget(connection, models, ref, tenant)

    _write_all(state, asset, images_of(asset, name), instance, work)


def _one_image(state: State, asset: object, name: str | None) -> AssetRef:
    return saved_ref(asset, state.hooks.watches.type_of_one(asset, name))


def _instance_of(
    state: State, session: Session | Connection, asset: object, ref: AssetRef
) -> str:
    """Find the instance to read or decide in where the caller names none."""
    usual = state.hooks.instance_of(asset, ref.type)
    return resolve_instance(session, state.database.models, ref, usual)


def _only_instance(
    state: State, connection: Connection, ref: AssetRef, *assets: object
) -> str:
    """Find the instance to delete or move in where the caller names none.

    A deletion cannot be taken back, so the default instance is not preferred to
    others that know the asset.

    :param assets: objects of watched models tell their instance.
    """
    models = state.database.models
    lock_writers(connection, models.asset.__table__)
    watched = (state.hooks.watched_instance(asset, ref.type) for asset in assets)
    usual = next((each for each in watched if each is not None), None)
    return resolve_instance(connection, models, ref, usual)


def _write_all(
    state: State,
    asset: object,
    refs: Iterable[AssetRef],
    instance: str | None,
    work: Callable[[Connection, AssetRef, str], None],
    *others: object,
) -> dict[AssetRef, str]:
    """Write about each image of *asset* in its tenant, all in one transaction.

    :param others: objects that may tell the tenant, too.
    :return: the tenant of each image.
    """

    def write(connection: Connection) -> dict[AssetRef, str]:
        tenants = {}
        for ref in refs:
            tenant = instance or _only_instance(state, connection, ref, asset, *others)
            work(connection, ref, tenant)
            tenants[ref] = tenant
        return tenants

    return _write(state, asset, write)


def _write(state: State, asset: object, work: Callable[[Connection], T]) -> T:
    return state.database.write(outbox.session_of(state, asset), work)[0]


def _refuse_open_writes(database: Database) -> None:
    session = database.host_session()
    connection = database.writing_connection(session)
    if session is None or connection is None:
        return
    hint = ""
    bind = session.get_bind(clause=database.models.job.__table__)
    if isinstance(bind, Connection) and database.outer_connection() is None:
        hint = (
            " If a test rolls back an outer transaction, its sessions need"
            " join_transaction_mode='create_savepoint'."
        )
    raise TransactionError(
        "The session has uncommitted writes: commit the upload before tag_now." + hint
    )
