"""Records executed statements, and analyses their tables and conditions.

A statement of SQLAlchemy is analysed scope by scope: a nested SELECT has its own
conditions. A table is *guarded* if a condition on its instance, on a tag or on the key
of a row restricts it to one instance.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.sql import operators
from sqlalchemy.sql.dml import Delete, Insert, Update
from sqlalchemy.sql.elements import (
    BindParameter,
    BooleanClauseList,
    ColumnClause,
    Grouping,
)
from sqlalchemy.sql.selectable import (
    Alias,
    CompoundSelect,
    Join,
    Select,
    SelectBase,
    Subquery,
)

import flask_autotag

PACKAGE = Path(flask_autotag.__file__).parent

ASSET, JOB = "autotag_asset", "autotag_job"
ASSIGNMENT, PREDICTION, TAG = (
    "autotag_assignment",
    "autotag_prediction",
    "autotag_tag",
)
#: The column that names an image among those of its type, by table.
NAMES = {ASSET: "asset_id", JOB: "asset_id", ASSIGNMENT: "asset_number"}
#: Columns that hold the key of an asset's row.
ROWS = {(ASSET, "id"), (ASSIGNMENT, "asset_id"), (PREDICTION, "asset_id")}

#: A column of a table under the name that it has in a statement.
Place = tuple[str, str]


@dataclass
class Scope:
    """One SELECT, UPDATE or DELETE.

    :ivar tables: name in the statement → name in the database.
    :ivar own: the names of the tables that no outer scope has.
    :ivar used: columns of the conditions.
    :ivar given: columns that are compared with values.
    :ivar same: pairs of columns that are equal.
    :ivar values: values that columns are compared with.
    """

    tables: dict[str, str] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)
    used: set[Place] = field(default_factory=set)
    given: set[Place] = field(default_factory=set)
    same: set[tuple[Place, Place]] = field(default_factory=set)
    values: list[tuple[Place, Any]] = field(default_factory=list)

    def equals(self, place: Place) -> set[Place]:
        """Return all columns that equal a column, and the column itself."""
        found, before = {place}, set[Place]()
        while found != before:
            before = set(found)
            for one, other in self.same:
                if one in found or other in found:
                    found |= {one, other}
        return found

    def is_given(self, place: Place) -> bool:
        return bool(self.equals(place) & self.given)

    def is_guarded(self, name: str) -> bool:
        """Return whether a table is guarded."""
        if self.tables[name] == JOB:
            return self.is_given((name, "instance"))
        row = (name, "id" if self.tables[name] == ASSET else "asset_id")
        return self.is_given(row) or any(
            self._is_of_tag(other)
            if self.tables.get(other) == ASSIGNMENT
            else self.is_given((other, "instance"))
            for other, column in self.equals(row)
            if (self.tables.get(other), column) in ROWS
        )

    def _is_of_tag(self, name: str) -> bool:
        """Return whether the rows belong to one tag, and so to one instance."""
        tag = (name, "tag_id")
        return self.is_given(tag) or any(
            self.is_given((other, "instance"))
            for other, column in self.equals(tag)
            if self.tables.get(other) == TAG and column == "id"
        )

    def searched_everywhere(self) -> set[str]:
        """Return the tables that are searched for a name in all instances."""
        return {
            self.tables[name]
            for name, column in self.used
            if column == NAMES.get(self.tables.get(name, ""))
            and not self.is_guarded(name)
        }

    def read_everywhere(self) -> set[str]:
        """Return the tables of images whose rows are read in all instances."""
        return {
            self.tables[name]
            for name in self.own
            if self.tables[name] in (ASSET, ASSIGNMENT, PREDICTION)
            and not self.is_guarded(name)
        }


def read_scopes(statement: Any, outer: Scope | None = None) -> Iterator[Scope]:
    """Yield the scope of a statement and of each nested statement."""
    scope = Scope()
    for part in _froms(statement):
        _read_from(part, scope)
    conditions = getattr(statement, "whereclause", None)
    if conditions is not None:
        _read_condition(conditions, scope)
    if outer is not None:
        # Conditions of a correlated subquery on a table outside it.
        for place in scope.used:
            if place[0] not in scope.tables and place[0] in outer.tables:
                scope.tables[place[0]] = outer.tables[place[0]]
        scope.given |= outer.given
        scope.same |= outer.same
    if not isinstance(statement, CompoundSelect):
        yield scope
    for inner in _nested(statement):
        yield from read_scopes(inner, scope)


def _froms(statement: Any) -> Sequence[Any]:
    if isinstance(statement, Select):
        return statement.get_final_froms()
    return [statement.table] if isinstance(statement, Update | Delete) else []


def _read_from(part: Any, scope: Scope) -> None:
    if isinstance(part, Join):
        _read_from(part.left, scope)
        _read_from(part.right, scope)
        _read_condition(part.onclause, scope)
        return
    table = part.element if isinstance(part, Alias) else part
    scope.tables[_name(part)] = getattr(table, "name", "")
    scope.own.add(_name(part))


def _name(table: Any) -> str:
    return str(getattr(table, "name", table))


def _read_condition(condition: Any, scope: Scope) -> None:
    scope.used |= set(_columns(condition))
    given, same = _given(condition, scope)
    scope.given |= given
    scope.same |= same


def _given(condition: Any, scope: Scope) -> tuple[set[Place], set[tuple[Place, Place]]]:
    """Return the columns that any row must match, and the columns that are equal."""
    if isinstance(condition, Grouping):
        return _given(condition.element, scope)
    if isinstance(condition, BooleanClauseList):
        parts = [_given(part, scope) for part in condition.clauses]
        if condition.operator is operators.and_:
            return (
                set().union(*(given for given, _ in parts)),
                set().union(*(same for _, same in parts)),
            )
        return set.intersection(*(given for given, _ in parts)), set()
    operator = getattr(condition, "operator", None)
    if operator not in (operators.eq, operators.in_op):
        return set(), set()
    left, right = _place(condition.left), _place(condition.right)
    if left is not None and right is not None:
        found = {(left, condition.right), (right, condition.left)}
        # The conditions inside the subquery are analysed separately.
        given = {place for place, other in found if isinstance(other.table, Subquery)}
        return given, {(left, right)}
    place, value = (left, condition.right) if left else (right, condition.left)
    if place is None:
        return set(), set()
    if isinstance(value, BindParameter):
        scope.values.append((place, value.effective_value))
    return {place}, set()


def _place(element: Any) -> Place | None:
    if isinstance(element, ColumnClause) and element.table is not None:
        return (_name(element.table), element.name)
    return None


def _columns(condition: Any) -> Iterator[Place]:
    """Yield the columns of a condition, without the columns of subqueries."""
    place = _place(condition)
    if place is not None:
        yield place
    elif not isinstance(condition, SelectBase):
        for child in condition.get_children():
            yield from _columns(child)


def _nested(element: Any) -> Iterator[Any]:
    """Yield the SELECTs in a statement, without the SELECTs inside them."""
    for child in element.get_children():
        if isinstance(child, Select | CompoundSelect):
            yield child
        elif not isinstance(child, ColumnClause):
            yield from _nested(child)


def as_executed(statement: Any, connection: Connection) -> Any:
    """Return the statement that the ORM executes for a statement."""
    if isinstance(statement, Select | CompoundSelect):
        compiled: Any = statement.compile(dialect=connection.dialect)
        state = compiled.compile_state
        return getattr(state, "statement", statement)
    return statement


@dataclass(frozen=True)
class Recorded:
    """A statement, and the function that executed it.

    :param step: the step of the test.
    :param function: the innermost function of the package.
    :param line: the file and line of the call.
    """

    step: str
    function: str
    line: str
    statement: Any
    scopes: Sequence[Scope]
    written: Sequence[Any]

    def rows(self) -> set[int]:
        """Return the keys of assets' rows that it receives and does not check.

        If it also compares the instance, the keys may come from a form.
        """
        found = set()
        for scope in self.scopes:
            for (name, column), value in scope.values:
                is_row = (scope.tables.get(name, ""), column) in ROWS
                if is_row and not scope.is_given((name, "instance")):
                    found |= set(value if isinstance(value, list | tuple) else [value])
        if isinstance(self.statement, Insert):
            table = self.statement.table.name
            keys = [key for name, key in ROWS if name == table]
            found |= {row[key] for row in self.written for key in keys if key in row}
        return {row for row in found if isinstance(row, int)}

    def instances(self) -> set[str]:
        """Return the instances that its conditions name."""
        found = set()
        for scope in self.scopes:
            for (name, column), value in scope.values:
                if column == "instance" and name in scope.tables:
                    found |= set(value if isinstance(value, list | tuple) else [value])
        return found


class Recorder:
    """Records the statements of an engine."""

    def __init__(self) -> None:
        self.step = ""
        self.recorded: list[Recorded] = []

    @contextmanager
    def listening(self, engine: Engine) -> Iterator[None]:
        event.listen(engine, "before_execute", self._note)
        try:
            yield
        finally:
            event.remove(engine, "before_execute", self._note)

    def _note(
        self,
        conn: Connection,
        clauseelement: Any,
        multiparams: Any,
        params: Any,
        execution_options: Any,
    ) -> None:
        if not self.step or not isinstance(
            clauseelement, Select | CompoundSelect | Insert | Update | Delete
        ):
            return
        function, line = _caller()
        self.recorded.append(
            Recorded(
                self.step,
                function,
                line,
                clauseelement,
                [*read_scopes(as_executed(clauseelement, conn))],
                list(multiparams) or [params],
            )
        )


def _caller() -> tuple[str, str]:
    """Return the innermost function of the package on the stack, and its line."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(f"{PACKAGE}/"):
            path = code.co_filename.removeprefix(f"{PACKAGE.parent}/")
            return code.co_qualname.replace("<locals>.", ""), f"{path}:{frame.f_lineno}"
        frame = frame.f_back
    return "", "the application"


def functions_about_images() -> dict[str, str]:
    """Return the functions that execute statements on tables of assets.

    :return: qualified name, as in :class:`Recorded` → file.
    """
    found: dict[str, str] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if "migrations" not in path.parts:
            text = path.read_text(encoding="utf-8")
            for name in _executing(ast.parse(text), text, ()):
                found[name] = str(path.relative_to(PACKAGE))
    return found


def _executing(node: ast.AST, text: str, inside: tuple[str, ...]) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef):
            about = ast.get_source_segment(text, child) or ""
            is_about = isinstance(child, ast.ClassDef) or "asset" in about
            if is_about:
                yield from _executing(child, text, (*inside, child.name))
        else:
            if inside and _is_execution(child):
                yield ".".join(inside)
            yield from _executing(child, text, inside)


def _is_execution(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("execute", "scalars", "scalar")
    )
