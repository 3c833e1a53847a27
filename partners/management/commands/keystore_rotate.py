"""``manage.py keystore_rotate``: re-wrap every secret with the current KEYSTORE_SECRET."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError, CommandParser

from partners import keystore
from partners.keystore import KeystoreError
from partners.models.secret import forget_lost as delete_lost
from partners.models.secret import rewrap_all


class Command(BaseCommand):
    help = (
        "Re-wrap every sealed secret with GATEWAY_KEYSTORE_SECRET while the gateway runs. First give every process the "
        "new secret and name the former one in GATEWAY_KEYSTORE_OLD_SECRETS; then run this; then drop the former one."
    )

    requires_system_checks = []  # it must run when the check refuses the start: it is the way out

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--forget-lost",
            action="store_true",
            help="first DELETE every secret that no configured key opens, because its wrapping key is lost for good",
        )

    def handle(self, *args: object, forget_lost: bool, **options: object) -> None:
        """Re-wrap row by row and say how many.

        Raises:
            CommandError: a secret opens with no configured key.
        """
        if forget_lost:
            self.stdout.write(f"{delete_lost()} secrets deleted that no configured key opens.")
        try:
            done = rewrap_all()
        except KeystoreError as error:
            raise CommandError(f"{error} What was re-wrapped before stays so; run this again afterwards.") from error
        self.stdout.write(
            f"{done} secrets re-wrapped with key {keystore.current_key_id()}. All secrets now open with "
            "GATEWAY_KEYSTORE_SECRET alone; GATEWAY_KEYSTORE_OLD_SECRETS can go."
        )
