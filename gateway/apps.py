from importlib import import_module

from django.apps import AppConfig


class GatewayConfig(AppConfig):
    name = "gateway"
    verbose_name = "Gateway"

    def ready(self) -> None:
        # Every process that commits work rings for it.
        import_module("gateway.tasks")
        import_module("gateway.bell").set_up()
        import_module("gateway.statements").set_up()
