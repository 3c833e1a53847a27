"""Lists of the admin over tables that only grow: paged by position, searched by whole values, nothing counted.

Django's own list counts the table twice, skips rows to find a page and searches by ``LIKE '%…%'``: each reads all there is.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import or_
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest

from gateway import paging


class ByPosition(ChangeList):
    """A list whose pages follow each other by the position of their last row."""

    is_by_position = True

    def by(self) -> tuple[str, ...]:
        return self.model_admin.paged_by if isinstance(self.model_admin, Paged) else ("-pk",)

    def get_results(self, request: HttpRequest) -> None:
        cursor = request.GET.get(PAGE_VAR, "")
        try:
            found = paging.page(self.queryset, self.by(), size=self.list_per_page, cursor=cursor)
        except paging.BadCursor as wrong:
            raise IncorrectLookupParameters(str(wrong)) from wrong
        self.result_list = found.rows
        self.result_count = self.full_result_count = len(found.rows)
        self.following = self.get_query_string({PAGE_VAR: found.next}) if found.next else ""
        self.first = self.get_query_string({PAGE_VAR: None}) if cursor else ""
        self.show_full_result_count, self.show_admin_actions = False, True
        self.can_show_all = self.multi_page = False
        self.paginator = None


class Paged(admin.ModelAdmin):
    """A list over a table that only grows."""

    paged_by: ClassVar[tuple[str, ...]] = ("-pk",)  #: columns that are never null, the last unique; see ``paging``
    sortable_by = ()
    list_per_page = 100
    show_full_result_count = False
    search_help_text = "The whole value, as it is written"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ByPosition

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return self.paged_by

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Rows one of whose ``search_fields`` is what was entered, by the index of each."""
        term = search_term.strip()
        if not term:
            return queryset, False
        fitting = [found for name in self.search_fields if (found := _is(self.model, name, term)) is not None]
        return queryset.filter(reduce(or_, fitting, Q(pk__in=()))), False


def _is(model: type[Model], name: str, term: str) -> Q | None:
    """That a column, or one behind a foreign key, has this value; None when it never could."""
    relation, _, column = name.rpartition("__")
    there: Any = model._meta.get_field(relation).related_model if relation else model
    try:
        value = there._meta.get_field(column).to_python(term)
    except ValidationError:
        return None
    if not term.isprintable():
        return None
    if not relation:
        return Q(**{column: value})
    return Q(**{f"{relation}__in": there._default_manager.filter(**{column: value}).values("pk")})


def one_of(column: str, values: Iterable[str]) -> type[admin.SimpleListFilter]:
    """A filter whose choices are known, where Django's would ask the whole table for them."""
    choices = [(value, value.replace("_", " ") or "none") for value in map(str, values)]

    class OneOf(admin.SimpleListFilter):
        title = column
        parameter_name = column

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            return choices

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            return queryset.filter(**{column: self.value()}) if self.value() is not None else queryset

    return OneOf
