"""Who may see a staff page, and what every staff page shows around its content."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import update_wrapper
from http import HTTPStatus
from typing import Any, Concatenate, ParamSpec, TypeVar

from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from gateway import archives
from gateway.blob_store import StoreError
from gateway.models import Archive

log = logging.getLogger(__name__)

_P = ParamSpec("_P")
_View = Callable[Concatenate[HttpRequest, _P], HttpResponse]
_M = TypeVar("_M", bound=Model)


class _Archived(Exception):
    """What is asked for has left the tables."""

    def __init__(self, what: str, archive: Archive) -> None:
        super().__init__(what)
        self.what, self.archive = what, archive


def staff_page(permission: str) -> Callable[[_View[_P]], _View[_P]]:
    """Let only staff with ``permission`` in; others are sent to sign in, or refused.

    The admin's own guard around it forbids caches to keep the page and wants the CSRF token of every POST.
    """

    def guard(view: _View[_P]) -> _View[_P]:
        def guarded(request: HttpRequest, /, *args: _P.args, **kwargs: _P.kwargs) -> HttpResponse:
            if not staff(request).has_perm(permission):
                raise PermissionDenied(permission)
            try:
                return view(request, *args, **kwargs)
            except _Archived as left:
                return show(
                    request,
                    "console/archived.html",
                    title=f"{left.what.capitalize()} is archived",
                    status=HTTPStatus.GONE,
                    archive=left.archive,
                )
            except StoreError as error:
                log.error("a page cannot be shown: %s", error)
                return show(
                    request,
                    "console/unreadable.html",
                    title="What is stored cannot be read",
                    status=HTTPStatus.SERVICE_UNAVAILABLE,
                    why=str(error),
                )

        page: _View[_P] = admin.site.admin_view(guarded)
        update_wrapper(page, view)
        return page

    return guard


def staff(request: HttpRequest) -> User:
    """The person signed in; ``staff_page`` has seen to it that there is one."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def row_of(rows: QuerySet[_M], pk: int) -> _M:
    """The row a page is about; when it has left the tables the page says where it is, else there is none (404)."""
    row = rows.filter(pk=pk).first()
    if row is not None:
        return row
    archive, what = archives.by_row(rows.model, pk), f"{rows.model._meta.verbose_name} {pk}"
    if archive is not None:
        raise _Archived(what, archive)
    raise Http404(f"there is no {what}")


def show(request: HttpRequest, template: str, *, title: str, status: int = 200, **content: Any) -> HttpResponse:
    """A page with the admin's frame around it."""
    frame = admin.site.each_context(request)
    return render(request, template, {**frame, "title": title, **content}, status=status)
