"""An operation of the API, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..assets import AssetRef
from ..state import State
from .fields import Field

if TYPE_CHECKING:
    from flask import Flask


@dataclass(frozen=True)
class Call:
    """A request that was let in, and read.

    :param values: of the fields, and of what stands in the path.
    """

    app: Flask
    state: State
    instance: str
    values: Mapping[str, Any]

    @property
    def asset(self) -> AssetRef:
        """The asset that the request names."""
        return AssetRef(self.values["type"], self.values["id"])


@dataclass(frozen=True)
class Operation:
    """What one method does at one address.

    :param name: unique; the description calls it ``operationId``.
    :param action: what the authorizer is asked about.
    :param answer: makes the body of the answer.
    :param schema: names the schema of that body.
    :param query: parameters of the address.
    :param body: members of the JSON object that is sent; empty for none.
    :param problems: what may go wrong beside the usual: status → when.
    """

    name: str
    summary: str
    action: str
    answer: Callable[[Call], Mapping[str, Any]]
    schema: str
    query: tuple[Field, ...] = ()
    body: tuple[Field, ...] = ()
    status: int = 200
    problems: Mapping[int, str] | None = None


@dataclass(frozen=True)
class Resource:
    """An address, and what each method does there.

    :param name: the endpoint's, for ``url_for``.
    :param path: below that of an instance, as Flask writes it.
    :param operations: by method.
    """

    name: str
    path: str
    operations: Mapping[str, Operation]
