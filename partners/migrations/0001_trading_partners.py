"""The first tables: who the trading partners are, on what terms, and with which keys."""

import uuid
from decimal import Decimal

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

import partners.models.choices
import partners.models.grammar
import partners.models.identity


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="KeystoreCanary",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("key_id", models.CharField(db_index=True, editable=False, max_length=16)),
                ("wrapped_key", models.BinaryField()),
                ("ciphertext", models.BinaryField()),
                ("sealed_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "verbose_name_plural": "keystore canaries",
            },
        ),
        migrations.CreateModel(
            name="TradingPartner",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "code",
                    models.CharField(
                        help_text="Short, for screens, commands and logs: capital letters, digits, '-' and '_', e.g. ACME.",
                        max_length=32,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A[A-Z0-9][A-Z0-9_-]{0,31}\\Z",
                                "A partner code has 1 to 32 capital letters, digits, '-' or '_' and begins with a letter or digit, e.g. ACME-01.",
                            )
                        ],
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        help_text="As it should appear on screens, e.g. ACME Castings Ltd.", max_length=200
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=partners.models.choices.partner_states,
                        db_index=True,
                        default="draft",
                        help_text="Draft: being set up, nothing is exchanged. Testing: exchanged, marked as test. Live: for real. Suspended: everything is refused until it is live again.",
                        max_length=16,
                    ),
                ),
                (
                    "notes",
                    models.TextField(
                        blank=True, help_text="Contacts, agreements by telephone, anything the next person needs."
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "ordering": ["code"],
            },
        ),
        migrations.CreateModel(
            name="OwnIdentity",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "name",
                    models.CharField(
                        help_text="What we call this identity, e.g. Main plant.", max_length=100, unique=True
                    ),
                ),
                (
                    "as2_name",
                    models.CharField(
                        help_text="AS2-From of what we send, AS2-To of what we get. 1 to 128 printable ASCII characters; upper and lower case differ. Partners enter it on their side: changing it later breaks their link.",
                        max_length=128,
                        unique=True,
                        validators=[partners.models.grammar.validate_as2_name],
                        verbose_name="our AS2 name",
                    ),
                ),
                (
                    "isa_qualifier",
                    models.CharField(
                        default="ZZ",
                        help_text="ISA05 of what we send: ZZ mutually defined, 01 DUNS, 12 telephone number …",
                        max_length=2,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A[A-Z0-9]{2}\\Z",
                                "An ISA qualifier (ISA05, ISA07) has exactly two characters, e.g. ZZ (mutually defined), 01 (DUNS), 12 (telephone).",
                            )
                        ],
                        verbose_name="our ISA qualifier",
                    ),
                ),
                (
                    "isa_id",
                    models.CharField(
                        help_text="ISA06 of what we send, 2 to 15 characters, without padding.",
                        max_length=15,
                        validators=[partners.models.grammar.validate_isa_id],
                        verbose_name="our ISA identifier",
                    ),
                ),
                (
                    "group_id",
                    models.CharField(
                        blank=True,
                        help_text="GS02 of what we send. Empty: the same as the ISA identifier.",
                        max_length=15,
                        validators=[partners.models.grammar.validate_group_id],
                        verbose_name="our group identifier",
                    ),
                ),
                (
                    "active",
                    models.BooleanField(
                        default=True,
                        help_text="Off: new partners are no longer connected to it, and its AS2 name is no longer ours.",
                    ),
                ),
            ],
            options={
                "verbose_name": "own identity",
                "verbose_name_plural": "own identities",
                "ordering": ["name"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("isa_qualifier", "isa_id"),
                        name="own_identity_isa",
                        violation_error_message="Another own identity has this ISA qualifier and identifier.",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Certificate",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "role",
                    models.CharField(
                        choices=partners.models.choices.certificate_roles,
                        default="both",
                        help_text="What it is used for. Most partners have one certificate for both.",
                        max_length=8,
                    ),
                ),
                (
                    "certificate_pem",
                    models.TextField(
                        help_text="PEM: from BEGIN CERTIFICATE to END CERTIFICATE.", verbose_name="certificate"
                    ),
                ),
                (
                    "fingerprint",
                    models.CharField(
                        db_index=True,
                        editable=False,
                        help_text="Compare it with the partner by telephone before going live.",
                        max_length=64,
                        verbose_name="SHA-256 fingerprint",
                    ),
                ),
                ("subject", models.CharField(editable=False, max_length=500)),
                ("serial_number", models.CharField(editable=False, max_length=64)),
                ("algorithm", models.CharField(editable=False, max_length=40)),
                ("not_before", models.DateTimeField(editable=False, verbose_name="valid from")),
                ("not_after", models.DateTimeField(db_index=True, editable=False, verbose_name="valid until")),
                (
                    "active_from",
                    models.DateTimeField(
                        blank=True,
                        help_text="When we begin to sign or encrypt with it; empty: at once. The one taken into use last is the one used. What arrives under it is accepted as soon as it is here, so both sides may switch on different days.",
                        null=True,
                        verbose_name="we use it from",
                    ),
                ),
                (
                    "active_until",
                    models.DateTimeField(
                        blank=True,
                        help_text="Then it neither signs nor encrypts, and what arrives under it is refused. Empty: until it expires.",
                        null=True,
                        verbose_name="we use it until",
                    ),
                ),
                (
                    "own_identity",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="certificates",
                        to="partners.ownidentity",
                    ),
                ),
                (
                    "partner",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="certificates",
                        to="partners.tradingpartner",
                    ),
                ),
            ],
            options={
                "ordering": ["-not_after"],
            },
        ),
        migrations.CreateModel(
            name="PrivateKey",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("key_id", models.CharField(db_index=True, editable=False, max_length=16)),
                ("wrapped_key", models.BinaryField()),
                ("ciphertext", models.BinaryField()),
                ("sealed_at", models.DateTimeField(auto_now_add=True)),
                (
                    "certificate",
                    models.OneToOneField(
                        editable=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="private_key",
                        to="partners.certificate",
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="SupplierNumber",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "number",
                    models.CharField(
                        error_messages={
                            "unique": "This supplier number already belongs to a partner; search for it in the list."
                        },
                        help_text="Exactly as the ERP has it, leading zeros included. It belongs to one partner only.",
                        max_length=40,
                        unique=True,
                    ),
                ),
                (
                    "partner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="supplier_numbers",
                        to="partners.tradingpartner",
                    ),
                ),
            ],
            options={
                "ordering": ["number"],
            },
        ),
        migrations.CreateModel(
            name="As2Link",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "their_name",
                    models.CharField(
                        help_text="AS2-From of what they send, exactly as they spell it: upper and lower case differ.",
                        max_length=128,
                        validators=[partners.models.grammar.validate_as2_name],
                        verbose_name="their AS2 name",
                    ),
                ),
                (
                    "url",
                    models.CharField(
                        blank=True,
                        help_text="Where we post, e.g. https://as2.example.com/receive. Empty: they send, we cannot.",
                        max_length=500,
                        validators=[partners.models.grammar.validate_url],
                        verbose_name="their address",
                    ),
                ),
                ("signed", models.BooleanField(default=True)),
                ("encrypted", models.BooleanField(default=True)),
                ("compressed", models.BooleanField(default=False, help_text="Outbound only; inbound we read both.")),
                ("digest", models.CharField(choices=partners.models.choices.digests, default="sha256", max_length=16)),
                (
                    "cipher",
                    models.CharField(choices=partners.models.choices.ciphers, default="aes256_cbc", max_length=16),
                ),
                (
                    "signed_mdn",
                    models.BooleanField(
                        default=True, help_text="We ask for a signed MDN.", verbose_name="signed receipts"
                    ),
                ),
                (
                    "timeout_s",
                    models.PositiveIntegerField(
                        default=30,
                        help_text="How long we wait for their answer, 1 to 110. Longer than a worker holds its work would send twice.",
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(110),
                        ],
                        verbose_name="time-out in seconds",
                    ),
                ),
                (
                    "max_megabytes",
                    models.PositiveIntegerField(
                        default=25,
                        help_text="What they may send at most, 1 to 100.",
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(100),
                        ],
                        verbose_name="largest message in MB",
                    ),
                ),
                (
                    "verify_tls",
                    models.BooleanField(
                        default=True,
                        help_text="Off only for a test partner on your own machine: nobody then proves who answers.",
                        verbose_name="check their TLS certificate",
                    ),
                ),
                (
                    "own_identity",
                    models.ForeignKey(
                        default=partners.models.identity.only_own_identity,
                        help_text="Which of our identities they talk to: its AS2 name and its certificates.",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="partners.ownidentity",
                        verbose_name="we are",
                    ),
                ),
                (
                    "partner",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="as2", to="partners.tradingpartner"
                    ),
                ),
            ],
            options={
                "verbose_name": "AS2 link",
            },
        ),
        migrations.CreateModel(
            name="ApiKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "label",
                    models.CharField(blank=True, help_text="Who uses it, e.g. Warehouse script.", max_length=100),
                ),
                (
                    "env",
                    models.CharField(
                        choices=partners.models.choices.api_environments,
                        default="live",
                        help_text="A test key never touches live documents.",
                        max_length=8,
                        verbose_name="environment",
                    ),
                ),
                ("prefix", models.CharField(editable=False, max_length=32, unique=True)),
                ("digest", models.CharField(editable=False, max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("last_used_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("expires_at", models.DateTimeField(blank=True, help_text="Empty: it does not expire.", null=True)),
                ("revoked_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "partner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="api_keys",
                        to="partners.tradingpartner",
                    ),
                ),
            ],
            options={
                "verbose_name": "API key",
                "ordering": ["-created_at"],
            },
        ),
        migrations.CreateModel(
            name="AckTerms",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "due_after_hours",
                    models.PositiveIntegerField(
                        default=24,
                        help_text="From our order to their acknowledgment. Later than that, somebody is told.",
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(2160),
                        ],
                        verbose_name="answer due after hours",
                    ),
                ),
                (
                    "quantity_tolerance_percent",
                    models.DecimalField(
                        decimal_places=2,
                        default=Decimal("0"),
                        help_text="How far a promised quantity may lie from the ordered one; 0 is exact.",
                        max_digits=5,
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(100),
                        ],
                    ),
                ),
                (
                    "price_tolerance_percent",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        default=Decimal("0"),
                        help_text="How far a confirmed unit price may lie from the ordered one; 0 is exact, empty: never compared.",
                        max_digits=5,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(100),
                        ],
                    ),
                ),
                (
                    "days_early",
                    models.PositiveIntegerField(
                        default=0,
                        help_text="A promise may lie this many days before the wish.",
                        validators=[django.core.validators.MaxValueValidator(365)],
                    ),
                ),
                (
                    "days_late",
                    models.PositiveIntegerField(
                        default=0,
                        help_text="A promise may lie this many days after the wish.",
                        validators=[django.core.validators.MaxValueValidator(365)],
                    ),
                ),
                (
                    "partner",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="ack", to="partners.tradingpartner"
                    ),
                ),
            ],
            options={
                "verbose_name": "acknowledgment terms",
                "verbose_name_plural": "acknowledgment terms",
            },
        ),
        migrations.CreateModel(
            name="X12Terms",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "their_qualifier",
                    models.CharField(
                        default="ZZ",
                        help_text="ISA05 of what they send: ZZ mutually defined, 01 DUNS, 12 telephone number …",
                        max_length=2,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A[A-Z0-9]{2}\\Z",
                                "An ISA qualifier (ISA05, ISA07) has exactly two characters, e.g. ZZ (mutually defined), 01 (DUNS), 12 (telephone).",
                            )
                        ],
                        verbose_name="their ISA qualifier",
                    ),
                ),
                (
                    "their_id",
                    models.CharField(
                        help_text="ISA06 of what they send, 2 to 15 characters, without padding.",
                        max_length=15,
                        validators=[partners.models.grammar.validate_isa_id],
                        verbose_name="their ISA identifier",
                    ),
                ),
                (
                    "their_group_id",
                    models.CharField(
                        blank=True,
                        help_text="GS02 of what they send. Empty: the same as the ISA identifier.",
                        max_length=15,
                        validators=[partners.models.grammar.validate_group_id],
                        verbose_name="their group identifier",
                    ),
                ),
                (
                    "version",
                    models.CharField(
                        default="004010",
                        help_text="The X12 version we write, e.g. 004010.",
                        max_length=6,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A00[3-8]\\d{3}\\Z",
                                "An X12 version has six digits, e.g. 004010 or 005010; what follows it belongs in the suffix.",
                            )
                        ],
                    ),
                ),
                (
                    "version_suffix",
                    models.CharField(
                        blank=True,
                        help_text="What follows the version in GS08, e.g. VICS. Mostly empty.",
                        max_length=6,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A[A-Z0-9]{1,6}\\Z",
                                "A version suffix has 1 to 6 capital letters or digits, e.g. VICS or UCS (GS08 has 12 in all).",
                            )
                        ],
                    ),
                ),
                (
                    "element",
                    models.CharField(
                        default="*",
                        max_length=1,
                        validators=[partners.models.grammar.validate_delimiter],
                        verbose_name="element separator",
                    ),
                ),
                (
                    "segment",
                    models.CharField(
                        default="~",
                        max_length=1,
                        validators=[partners.models.grammar.validate_delimiter],
                        verbose_name="segment terminator",
                    ),
                ),
                (
                    "component",
                    models.CharField(
                        default=">",
                        max_length=1,
                        validators=[partners.models.grammar.validate_delimiter],
                        verbose_name="component separator",
                    ),
                ),
                (
                    "repetition",
                    models.CharField(
                        default="^",
                        help_text="Used from version 00402 on.",
                        max_length=1,
                        validators=[partners.models.grammar.validate_delimiter],
                        verbose_name="repetition separator",
                    ),
                ),
                (
                    "newline_after_segment",
                    models.BooleanField(
                        default=False,
                        help_text="One segment a line: easier on the eye, and some translators insist on it.",
                    ),
                ),
                (
                    "usage",
                    models.CharField(
                        choices=partners.models.choices.usages,
                        default="P",
                        help_text="ISA15.",
                        max_length=1,
                        verbose_name="usage indicator",
                    ),
                ),
                (
                    "functional_ack",
                    models.CharField(
                        choices=partners.models.choices.functional_acks,
                        default="full",
                        help_text="What we answer to their groups and expect for ours.",
                        max_length=8,
                        verbose_name="functional acknowledgment",
                    ),
                ),
                (
                    "relaxed",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="Findings that only warn for this partner instead of rejecting the document.",
                        validators=[partners.models.grammar.validate_finding_codes],
                        verbose_name="relaxed rules",
                    ),
                ),
                (
                    "own_identity",
                    models.ForeignKey(
                        default=partners.models.identity.only_own_identity,
                        help_text="Which of our identities stands in the envelopes.",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="partners.ownidentity",
                        verbose_name="we are",
                    ),
                ),
                (
                    "partner",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="x12", to="partners.tradingpartner"
                    ),
                ),
            ],
            options={
                "verbose_name": "X12 terms",
                "verbose_name_plural": "X12 terms",
            },
        ),
        migrations.CreateModel(
            name="DocumentAgreement",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("document", models.CharField(choices=partners.models.choices.documents, max_length=40)),
                ("direction", models.CharField(choices=partners.models.choices.directions, max_length=10)),
                (
                    "channel",
                    models.CharField(
                        choices=partners.models.choices.channels,
                        help_text="How it travels. Each document may use another channel.",
                        max_length=16,
                    ),
                ),
                (
                    "format",
                    models.CharField(
                        choices=partners.models.choices.formats,
                        help_text="AS2 carries X12, the portal its own JSON, REST canonical JSON or X12, web pages canonical JSON.",
                        max_length=20,
                    ),
                ),
                (
                    "sheet",
                    models.CharField(
                        blank=True,
                        help_text="For portal JSON only: the name of the partner's shape, e.g. boltco.",
                        max_length=64,
                        verbose_name="map sheet",
                    ),
                ),
                (
                    "partner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="agreements",
                        to="partners.tradingpartner",
                    ),
                ),
            ],
            options={
                "ordering": ["direction", "document"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("partner", "document", "direction"),
                        name="agreement_once",
                        violation_error_message="This partner already has an agreement for this document in this direction; change that one.",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ControlNumber",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(choices=partners.models.choices.control_number_kinds, max_length=12)),
                ("last", models.PositiveIntegerField(default=0)),
                (
                    "partner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="control_numbers",
                        to="partners.tradingpartner",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("partner", "kind"), name="control_number_once")],
            },
        ),
        migrations.AddConstraint(
            model_name="certificate",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("own_identity", None), ("partner__isnull", False)),
                    models.Q(("own_identity__isnull", False), ("partner", None)),
                    _connector="OR",
                ),
                name="certificate_one_owner",
            ),
        ),
        migrations.AddConstraint(
            model_name="certificate",
            constraint=models.UniqueConstraint(fields=("partner", "fingerprint"), name="certificate_once_a_partner"),
        ),
        migrations.AddConstraint(
            model_name="certificate",
            constraint=models.UniqueConstraint(
                fields=("own_identity", "fingerprint"), name="certificate_once_an_identity"
            ),
        ),
        migrations.AddConstraint(
            model_name="as2link",
            constraint=models.UniqueConstraint(
                fields=("own_identity", "their_name"),
                name="as2_link_pair",
                violation_error_message="Another partner already uses this pair of AS2 names; a pair is one partner.",
            ),
        ),
        migrations.AddConstraint(
            model_name="x12terms",
            constraint=models.UniqueConstraint(
                fields=("their_qualifier", "their_id"),
                name="x12_terms_their_isa",
                violation_error_message="Another partner has this ISA qualifier and identifier; one sender, one partner.",
            ),
        ),
    ]
