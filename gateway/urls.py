"""Every address of the gateway."""

from django.contrib import admin
from django.urls import path, re_path

from gateway.endpoints import as2, error_handlers, health, problems

handler400 = error_handlers.bad_request
handler404 = error_handlers.not_found
handler500 = error_handlers.server_error

urlpatterns = [
    path("admin/", admin.site.urls),
    # With or without a slash: a redirected POST is a lost message.
    re_path(r"^as2/?$", as2.receive_message, name="as2"),
    path("problems/", problems.index),
    path("problems/<slug:slug>", problems.page),
    path("healthz", health.alive),
    path("readyz", health.ready),
]
