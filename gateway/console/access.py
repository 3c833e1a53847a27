"""Who may see a staff page, and what every staff page shows around its content."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec

from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

_P = ParamSpec("_P")
_View = Callable[Concatenate[HttpRequest, _P], HttpResponse]


def staff_page(permission: str) -> Callable[[_View[_P]], _View[_P]]:
    """Let only staff with ``permission`` in; others are sent to sign in, or refused.

    The admin's own guard around it forbids caches to keep the page and wants the CSRF token of every POST.
    """

    def guard(view: _View[_P]) -> _View[_P]:
        def guarded(request: HttpRequest, /, *args: _P.args, **kwargs: _P.kwargs) -> HttpResponse:
            if not staff(request).has_perm(permission):
                raise PermissionDenied(permission)
            return view(request, *args, **kwargs)

        page: _View[_P] = admin.site.admin_view(guarded)
        update_wrapper(page, view)
        return page

    return guard


def staff(request: HttpRequest) -> User:
    """The person signed in; ``staff_page`` has seen to it that there is one."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def show(request: HttpRequest, template: str, *, title: str, status: int = 200, **content: Any) -> HttpResponse:
    """A page with the admin's frame around it."""
    frame = admin.site.each_context(request)
    return render(request, template, {**frame, "title": title, **content}, status=status)
