from django.apps import AppConfig
from django.core import checks


class PartnersConfig(AppConfig):
    name = "partners"
    verbose_name = "Trading partners"

    def ready(self) -> None:
        from partners.checks import keystore_opens

        checks.register(keystore_opens, "partners")
