"""Decisions of host code about one tag, on one asset or on many.

All are written in one transaction: that of the session that holds the assets if it has
uncommitted writes, and one of ours otherwise. Assets are worked through in portions;
the number of statements for a portion does not depend on its size.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Select

from ..errors import AssetError
from ..host.assets import AssetRef, check_instance, listed, saved_ref
from ..runtime.state import State
from ..settings.tag_names import TagName, tag_name
from ..tags import bulk_actions
from ..tags.asset_rows import ensure_assets
from ..tags.bulk_actions import ItemOutcome
from ..tags.bulk_decisions import decide_all, decide_on
from ..tags.queries.instances import choose_instance, instances_of
from ..tags.queries.tag_counts import selected_mapper
from . import outbox

_Outcomes = dict[AssetRef, ItemOutcome]
_Refused = list[tuple[object, str]]


@dataclass(frozen=True)
class BulkResult:
    """The effect of a decision on one asset or several.

    :param changed: the assets whose tag has changed.
    :param unchanged: the assets on which a person had decided so before.
    :param refused: each asset that was left out, as it was passed, and the reason.
    """

    changed: Sequence[AssetRef] = ()
    unchanged: Sequence[AssetRef] = ()
    refused: Sequence[tuple[object, str]] = ()


@dataclass(frozen=True)
class _Decision:
    """What is decided on each asset."""

    tag: TagName
    state: str
    who: str | None


def decide(
    state: State,
    assets: object,
    tag: str,
    decision: str,
    instance: str | None,
    person: str | None,
    name: str | None,
) -> BulkResult:
    """Store a person's decision on one tag of an asset, or of several.

    Several assets are a bulk action of each instance. Of these, an asset that cannot be
    decided on is left out; the error of a single asset is raised.

    :param assets: an asset, several, or a ``Select`` of a mapped class.
    :param tag: the tag's name.
    :param decision: :data:`.rules.APPLIED` or :data:`.rules.REJECTED`.
    """
    if instance is not None:
        check_instance(instance)
    decided = _Decision(tag_name(tag), decision, person or state.hooks.user_name())
    passed = _selected(state, assets) if isinstance(assets, Select) else listed(assets)
    is_one = len(passed) == 1 and passed[0] is assets
    refs, refused = _named(state, passed, name)
    if is_one:
        _raise_first(refused)
    if not refs:
        return BulkResult(refused=tuple(refused))

    def work(connection: Connection) -> tuple[dict[AssetRef, str], _Outcomes, _Refused]:
        tenants, unknown = _tenants(state, connection, refs, instance)
        if is_one:
            _raise_first(unknown)
        outcomes: _Outcomes = {}
        for tenant in sorted({*tenants.values()}):
            own = [ref for ref in tenants if tenants[ref] == tenant]
            outcomes |= _decide_in(
                state, connection, tenant, own, decided, is_recorded=not is_one
            )
        return tenants, outcomes, unknown

    session = outbox.session_of(state, next(iter(refs.values())))
    (tenants, outcomes, unknown), _ = state.database.write(session, work)
    for ref, tenant in tenants.items():
        outbox.note_decision(state, refs[ref], ref, tenant)
    changed = tuple(ref for ref in tenants if outcomes[ref] is ItemOutcome.CHANGED)
    others = tuple(ref for ref in tenants if outcomes[ref] is not ItemOutcome.CHANGED)
    return BulkResult(changed, others, (*refused, *unknown))


def _selected(state: State, statement: Select[tuple[object]]) -> list[object]:
    """Return the objects that a host selects, from its current session."""
    selected_mapper(statement, "assets")
    session = state.database.host_session()
    if session is None:
        raise AssetError(
            "A Select needs the application's session, and it has none: pass the"
            " objects."
        )
    return list(session.scalars(statement).unique())


def _named(
    state: State, passed: Iterable[object], name: str | None
) -> tuple[dict[AssetRef, object], _Refused]:
    """Return the assets by their names, and those that have none."""
    refs: dict[AssetRef, object] = {}
    refused: _Refused = []
    for asset in passed:
        try:
            asset_type = state.hooks.watches.type_of_one(asset, name)
            refs[saved_ref(asset, asset_type)] = asset
        except AssetError as error:
            refused.append((asset, str(error)))
    return refs, refused


def _raise_first(refused: _Refused) -> None:
    for _, reason in refused:
        raise AssetError(reason)


def _tenants(
    state: State,
    connection: Connection,
    refs: Mapping[AssetRef, object],
    instance: str | None,
) -> tuple[dict[AssetRef, str], _Refused]:
    """Find the instance of each asset, and the assets without a single one."""
    if instance is not None:
        return dict.fromkeys(refs, instance), []
    known = instances_of(connection, state.database.models, refs)
    tenants: dict[AssetRef, str] = {}
    refused: _Refused = []
    for ref, asset in refs.items():
        usual = state.hooks.instance_of(asset, ref.type)
        try:
            tenants[ref] = choose_instance(ref, known[ref], usual)
        except AssetError as error:
            refused.append((asset, str(error)))
    return tenants, refused


def _decide_in(
    state: State,
    connection: Connection,
    instance: str,
    refs: Collection[AssetRef],
    decided: _Decision,
    *,
    is_recorded: bool,
) -> _Outcomes:
    """Decide on the assets of one instance.

    :param is_recorded: store a bulk action, which can be undone.
    """
    models, stored = state.database.models, state.stored_settings()
    tag, who = decided.tag, decided.who
    assets = ensure_assets(connection, models, instance, refs)
    if not is_recorded:
        made = decide_on(connection, stored, instance, tag, decided.state, assets, who)
        return {assets[each.asset_id]: each.outcome for each in made}
    action = bulk_actions.begin(
        connection, stored, instance, tag, decided.state, None, who
    )
    outcomes = decide_all(connection, stored, action, assets)
    return {assets[row]: outcome for row, outcome in outcomes.items()}
