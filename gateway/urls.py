"""Every address of the gateway."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from gateway.endpoints import as2, error_handlers, health, metrics, portal_json, problems, rest

handler400 = error_handlers.bad_request
handler404 = error_handlers.not_found
handler500 = error_handlers.server_error

urlpatterns = [
    path("admin/console/", include("gateway.console.urls")),  # before the admin, which answers everything below it
    path("admin/", admin.site.urls),
    path("favicon.ico", RedirectView.as_view(url=f"{settings.STATIC_URL}gateway/icon.svg")),
    # With or without a slash: a redirected POST is a lost message.
    re_path(r"^as2/?$", as2.receive_message, name="as2"),
    path("v1/purchase-orders", rest.PurchaseOrders.as_view()),
    path("v1/purchase-orders/<uuid:uid>", rest.PurchaseOrder.as_view()),
    path("v1/purchase-orders/<uuid:uid>/revisions", rest.Revisions.as_view()),
    path("v1/purchase-orders/<uuid:uid>/revisions/<int:number>", rest.Revision.as_view()),
    re_path(r"^v1/(?P<slug>acknowledgments|ship-notices|invoices|inventory-advices)$", rest.Submit.as_view()),
    path("v1/submissions/<uuid:uid>", rest.Submission.as_view()),
    path("v1/validate", rest.Validate.as_view()),
    path("portal-json/v1/orders", portal_json.Orders.as_view()),
    path("portal-json/v1/orders/<uuid:uid>", portal_json.Order.as_view()),
    re_path(r"^portal-json/v1/documents/(?P<slug>acknowledgments|ship-notices)$", portal_json.Submit.as_view()),
    path("problems/", problems.index),
    path("problems/<slug:slug>", problems.page),
    path("healthz", health.alive),
    path("readyz", health.ready),
    path("metrics", metrics.scrape),
]
