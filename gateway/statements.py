"""Rows that every message reads and writes: their statements are made once, by the ORM or from its models, and run many times.

What the ORM makes of the same call is the same each time, and making it costs several times what the database needs for it.
Nothing here knows a table: columns, adaptation and objects are the models'. Signals are not sent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final, Generic, TypeAlias, TypeVar, cast

from django.db import connection, models
from django.db.backends.signals import connection_created
from django.db.models.expressions import Expression
from django.db.models.query import ModelIterable
from django.db.models.sql.compiler import SQLCompiler

_M = TypeVar("_M", bound=models.Model)
_Field: TypeAlias = "models.Field[Any, Any]"


# --------------------------------------------------------------------------------------------------------------- writing
def insert(row: models.Model, *, unless: str = "") -> bool:
    """Insert a row and give it its key.

    Args:
        unless: a unique column: a row that has the same value there stays, and nothing is inserted.

    Returns:
        Whether it was inserted.
    """
    fields, statement = _insertion(type(row), unless)
    values = [field.get_db_prep_save(field.pre_save(row, add=True), connection) for field in fields]
    with connection.cursor() as cursor:
        # reviewed SQL: one statement for a row; names of columns are the model's, values are bound
        cursor.execute(statement, values)
        given = cursor.fetchone()
    if given is None:
        return False
    (row.pk,) = given
    row._state.adding, row._state.db = False, connection.alias
    return True


def insert_all(rows: Sequence[_M], *, unless: str = "") -> list[_M]:
    """As ``insert``, of rows of one model; of many in fewer statements than rows. Returns those that were inserted."""
    if len(rows) == 1:
        return [*rows] if insert(rows[0], unless=unless) else []
    if not rows:
        return []
    table, fresh = type(rows[0])._default_manager, list(rows)
    if unless:
        found = table.filter(**{f"{unless}__in": [getattr(row, unless) for row in rows]})
        known = set(found.values_list(unless, flat=True))
        fresh = [row for row in rows if getattr(row, unless) not in known]
    return table.bulk_create(fresh)


def move(row: models.Model, values: Mapping[str, Any], *, only_if: Mapping[str, Any]) -> bool:
    """Update a row if it is still as expected, and its object with it.

    Args:
        values: field → what it becomes, a value.
        only_if: field → what it must be in the table.

    Returns:
        Whether it was; if not, nothing changed.
    """
    model = type(row)
    setting, expected, statement = _update(model, tuple(values), tuple(only_if))
    given = [
        field.get_db_prep_save(value.pk if isinstance(value, models.Model) else value, connection)
        for field, value in zip([*setting, *expected], [*values.values(), *only_if.values()], strict=True)
    ]
    with connection.cursor() as cursor:
        # reviewed SQL: one statement for a row; names of columns are the model's, values are bound
        cursor.execute(statement, [*given, row.pk])
        moved: bool = cursor.rowcount == 1
    if moved:
        for name, value in values.items():
            setattr(row, name, value)
    return moved


@cache
def _insertion(model: type[models.Model], unless: str) -> tuple[list[_Field], str]:
    key = model._meta.pk
    fields = [
        field for field in model._meta.concrete_fields if field is not key or not isinstance(key, models.AutoField)
    ]
    names = ", ".join(_column(field) for field in fields)
    places = ", ".join(["%s"] * len(fields))
    passed_over = f" ON CONFLICT ({_column(model._meta.get_field(unless))}) DO NOTHING" if unless else ""
    into = connection.ops.quote_name(model._meta.db_table)
    return fields, f"INSERT INTO {into} ({names}) VALUES ({places}){passed_over} RETURNING {_column(key)}"  # noqa: S608


@cache
def _update(
    model: type[models.Model], setting: tuple[str, ...], expected: tuple[str, ...]
) -> tuple[list[_Field], list[_Field], str]:
    written, asked = ([cast("_Field", model._meta.get_field(name)) for name in names] for names in (setting, expected))
    table = connection.ops.quote_name(model._meta.db_table)
    places = ", ".join(f"{_column(field)} = %s" for field in written)
    conditions = " AND ".join(f"{_column(field)} = %s" for field in [*asked, model._meta.pk])
    return written, asked, f"UPDATE {table} SET {places} WHERE {conditions}"  # noqa: S608


def _column(field: Any) -> str:
    return connection.ops.quote_name(field.column)


# --------------------------------------------------------------------------------------------------------------- reading
class Given(Expression):
    """A value that is named in a query and given when it runs."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def as_sql(self, compiler: SQLCompiler, connection: Any) -> tuple[str, Any]:
        return "%s", (self,)


class Query(Generic[_M]):
    """A query that differs only in its ``Given`` values each time it is asked. They are bound as they are, without a field's
    adaptation: numbers and text.

    ``Query(lambda: Order.objects.filter(pk=Given("pk"))).all(pk=3)``
    """

    def __init__(self, make: Callable[[], models.QuerySet[_M]]) -> None:
        self._make = make
        self._made = threading.local()  # a compiler belongs to the connection of one thread

    def all(self, **given: Any) -> list[_M]:
        """The objects, with what ``select_related`` names."""
        made: _Made | None = getattr(self._made, "query", None)
        if made is None:
            made = self._made.query = _Made(self._make())
        return list(ModelIterable(cast("models.QuerySet[_M]", _Run(made, given))))

    def first(self, **given: Any) -> _M | None:
        """The first object. The query itself should ask for one only."""
        return next(iter(self.all(**given)), None)


class _Made:
    """A compiled query."""

    def __init__(self, queryset: models.QuerySet[Any]) -> None:
        self.model, self.using = queryset.model, queryset.db
        self.compiler = queryset.query.get_compiler(queryset.db)
        self.statement, self.values = self.compiler.as_sql()


class _Run:
    """What makes objects of rows (``ModelIterable``) sees this as queryset, query and compiler in one."""

    _known_related_objects: Final[Mapping[Any, Any]] = {}

    def __init__(self, made: _Made, given: Mapping[str, Any]) -> None:
        self.db, self.model, self.query = made.using, made.model, self
        self._made = made
        self._values = [given[one.name] if isinstance(one, Given) else one for one in made.values]

    def get_compiler(self, using: str) -> _Run:
        return self

    def execute_sql(self, **how: Any) -> list[list[tuple[Any, ...]]]:
        with connection.cursor() as cursor:
            # reviewed SQL: the ORM's own statement
            cursor.execute(self._made.statement, self._values)
            return [cursor.fetchall()]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made.compiler, name)


# ------------------------------------------------------------------------------------------------------------ connections
#: Statements that a connection to PostgreSQL keeps prepared; psycopg's 100 are fewer than a worker's, and it would forget in turn.
_PREPARED_MOST: Final = 400


def set_up() -> None:
    """Have every connection keep the statements it uses again and again."""
    connection_created.connect(_keep_prepared, dispatch_uid="gateway.statements")


def _keep_prepared(connection: Any, **signal: Any) -> None:
    if connection.vendor == "postgresql":
        connection.connection.prepared_max = _PREPARED_MOST
