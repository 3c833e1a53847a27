"""The addresses of the staff pages, below ``/admin/console/``."""

from django.urls import path

from gateway.console import annotated, cases, documents, operations, orders, queue, transmissions

app_name = "console"
urlpatterns = [
    path("queue/", queue.page, name="queue"),
    path("queue/assign/", queue.assign, name="assign"),
    path("operations/", operations.page, name="operations"),
    path("operations/try/", operations.try_now, name="try_now"),
    path("cases/<int:pk>/", cases.page, name="case"),
    path("cases/<int:pk>/<slug:choice>/", cases.decision, name="decision"),
    path("orders/<int:pk>/", orders.page, name="order"),
    path("orders/<int:pk>/close/", orders.close, name="close_order"),
    path("orders/<int:pk>/open-again/", orders.open_again, name="open_order_again"),
    path("documents/<int:pk>/", documents.page, name="document"),
    path("documents/<int:pk>/annotated/", annotated.page, name="annotated"),
    path("transmissions/<int:pk>/", transmissions.page, name="transmission"),
    path("transmissions/<int:pk>/<slug:part>/", documents.message, name="message"),
    path("transmissions/<int:pk>/<slug:part>/download/", documents.download, name="download"),
]
