"""Resources and operations of the API, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...host.assets import AssetRef
from ...runtime.state import State
from .fields import Parameter

if TYPE_CHECKING:
    from flask import Flask

#: The most bytes of a body, unless the resource sets another limit: an asset, some
#: tags, and room for escapes.
MOST_BYTES = 16 * 1024


@dataclass(frozen=True)
class Call:
    """An authorized request with checked fields.

    :param values: the values of the fields and of the path's parameters.
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
    """One method of a resource.

    :param name: a unique name, the description's ``operationId``.
    :param action: the action that the user needs.
    :param answer: returns the body of the response.
    :param schema: the name of that body's schema.
    :param query: the parameters of the address.
    :param body: the members of the request's JSON object; empty for no body.
    :param problems: causes of errors by status, beside those of every operation.
    """

    name: str
    summary: str
    action: str
    answer: Callable[[Call], Mapping[str, Any]]
    schema: str
    query: tuple[Parameter, ...] = ()
    body: tuple[Parameter, ...] = ()
    status: int = 200
    problems: Mapping[int, str] | None = None


@dataclass(frozen=True)
class Resource:
    """A resource of every instance.

    :param name: the endpoint, for ``url_for``.
    :param path: the Flask rule below the instance's path.
    :param operations: the operations by method.
    :param most_bytes: the most bytes of a request's body.
    """

    name: str
    path: str
    operations: Mapping[str, Operation]
    most_bytes: int = MOST_BYTES
