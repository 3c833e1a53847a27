"""Every AS2 term a column, our address, the password sealed, how far the end of a certificate was announced."""

import uuid

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

import partners.models.choices
import partners.models.grammar


class Migration(migrations.Migration):
    dependencies = [
        ("partners", "0001_trading_partners"),
    ]

    operations = [
        migrations.AddField(
            model_name="as2link",
            name="algorithms",
            field=models.CharField(
                choices=partners.models.choices.algorithms,
                default="secure",
                help_text="What both sides may use. Legacy lets SHA-1 and 3DES pass, which can be broken: only until the partner has renewed its software. Modern refuses whatever is not AES-GCM with OAEP and SHA-2.",
                max_length=8,
            ),
        ),
        migrations.AddField(
            model_name="as2link",
            name="all_recipients",
            field=models.BooleanField(
                default=False,
                help_text="While they change certificates, either of their keys opens what we send. Some software reads only the first recipient: leave it off then, and we use the certificate taken into use last.",
                verbose_name="encrypt for all their certificates",
            ),
        ),
        migrations.AddField(
            model_name="as2link",
            name="as2_version",
            field=models.CharField(
                choices=partners.models.choices.as2_versions,
                default="1.2",
                help_text="What we say we speak. 1.2 is what nearly everybody expects.",
                max_length=8,
                verbose_name="AS2 version",
            ),
        ),
        migrations.AddField(
            model_name="as2link",
            name="async_mdn",
            field=models.BooleanField(
                default=False,
                help_text="We ask for an asynchronous MDN, posted to the address of our identity. For partners whose server cannot answer while we wait.",
                verbose_name="receipts come later",
            ),
        ),
        migrations.AddField(
            model_name="as2link",
            name="authorities_pem",
            field=models.TextField(
                blank=True,
                help_text="PEM certificates of whoever issued their server's certificate, for a private authority or a self-signed server; trusted for this partner instead of the public ones. Empty: the public ones.",
                verbose_name="their authorities",
            ),
        ),
        migrations.AddField(
            model_name="as2link",
            name="compressed_after_signing",
            field=models.BooleanField(
                default=False,
                help_text="Compress the signature too. Only where the partner asks for it: most compress before signing.",
            ),
        ),
        migrations.AddField(
            model_name="as2link",
            name="demand_client_certificate",
            field=models.BooleanField(
                default=False,
                help_text="Every request of theirs must come with one of their TLS certificates below; the proxy in front of the gateway passes it on. When all of them have ended, nothing is let in.",
                verbose_name="they must present a client certificate",
            ),
        ),
        migrations.AddField(
            model_name="as2link",
            name="expired_grace_days",
            field=models.PositiveIntegerField(
                default=0,
                help_text="So many days after it expired a certificate of theirs is still accepted, with a warning, 0 to 90. 0 refuses it at once. One that you ended is refused whatever stands here.",
                validators=[django.core.validators.MaxValueValidator(90)],
                verbose_name="days of grace",
            ),
        ),
        migrations.AddField(
            model_name="as2link",
            name="http_user",
            field=models.CharField(
                blank=True,
                help_text="HTTP Basic, if their server asks for it.",
                max_length=200,
                validators=[partners.models.grammar.validate_http_user],
                verbose_name="user name",
            ),
        ),
        migrations.AddField(
            model_name="as2link",
            name="key_transport",
            field=models.CharField(
                choices=partners.models.choices.key_transports,
                default="pkcs1v15",
                help_text="How the key of a message is wrapped for them. OAEP is safer; ask whether their software reads it.",
                max_length=16,
            ),
        ),
        migrations.AddField(
            model_name="as2link",
            name="mdn_timeout_minutes",
            field=models.PositiveIntegerField(
                default=76,
                help_text="From our message to their asynchronous MDN, 1 to 10080. Then the same bytes are sent again.",
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(10080),
                ],
                verbose_name="receipt is missed after minutes",
            ),
        ),
        migrations.AddField(
            model_name="as2link",
            name="present_client_certificate",
            field=models.BooleanField(
                default=False,
                help_text="For servers that ask for one: the TLS certificate on the page of our identity.",
                verbose_name="we present a client certificate",
            ),
        ),
        migrations.AddField(
            model_name="as2link",
            name="private_network",
            field=models.BooleanField(
                default=False,
                help_text="Their addresses may be private ones, e.g. 10.1.2.3. Only for partners behind a VPN or in our own network: off, nobody can make the gateway post into it.",
                verbose_name="in a network of ours",
            ),
        ),
        migrations.AddField(
            model_name="as2link",
            name="proxy_url",
            field=models.CharField(
                blank=True,
                help_text="http://host:port of the proxy our requests to them leave by. Empty: none.",
                max_length=200,
                validators=[partners.models.grammar.validate_proxy_url],
                verbose_name="proxy",
            ),
        ),
        migrations.AddField(
            model_name="as2link",
            name="proxy_user",
            field=models.CharField(
                blank=True,
                help_text="If the proxy asks for it.",
                max_length=200,
                validators=[partners.models.grammar.validate_http_user],
                verbose_name="user name at the proxy",
            ),
        ),
        migrations.AddField(
            model_name="as2link",
            name="receipt_origins",
            field=models.TextField(
                blank=True,
                help_text="Scheme, host and port, one a line, e.g. https://mdn.example.com:8443, for partners that ask for asynchronous receipts at another host than their address. A receipt to any other host is not sent.",
                validators=[partners.models.grammar.validate_origins],
                verbose_name="where our receipts may go",
            ),
        ),
        migrations.AddField(
            model_name="as2link",
            name="retry_minutes",
            field=models.CharField(
                blank=True,
                help_text="E.g. 5, 10, 20, 40. When the last is over, somebody is told. Empty: as for everybody.",
                max_length=200,
                validators=[partners.models.grammar.validate_retry_minutes],
                verbose_name="pauses between tries, in minutes",
            ),
        ),
        migrations.AddField(
            model_name="as2link",
            name="signature_scheme",
            field=models.CharField(
                choices=partners.models.choices.signature_schemes,
                default="pkcs1v15",
                help_text="How an RSA key of ours signs; PSS only where the partner reads it. An elliptic-curve key signs with ECDSA.",
                max_length=16,
            ),
        ),
        migrations.AddField(
            model_name="certificate",
            name="announced_days",
            field=models.SmallIntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="ownidentity",
            name="as2_url",
            field=models.CharField(
                blank=True,
                help_text="Where partners reach our AS2 door from outside, e.g. https://b2b.example.com/as2/. Needed for receipts that come later; give it to partners in any case.",
                max_length=500,
                validators=[partners.models.grammar.validate_url],
                verbose_name="our AS2 address",
            ),
        ),
        migrations.AlterField(
            model_name="as2link",
            name="cipher",
            field=models.CharField(
                choices=partners.models.choices.ciphers,
                default="aes256_cbc",
                help_text="What we encrypt with. AES-GCM notices any change on the way; ask whether their software reads it.",
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="as2link",
            name="digest",
            field=models.CharField(
                choices=partners.models.choices.digests,
                default="sha256",
                help_text="Of our signatures and of the receipts we ask for.",
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="as2link",
            name="encrypted",
            field=models.BooleanField(
                default=True,
                help_text="We encrypt, and refuse what comes in clear. Leave it on unless both of you agreed.",
            ),
        ),
        migrations.AlterField(
            model_name="as2link",
            name="signed",
            field=models.BooleanField(
                default=True,
                help_text="We sign, and refuse what comes unsigned. Leave it on: a signature says who sent it.",
            ),
        ),
        migrations.AlterField(
            model_name="as2link",
            name="signed_mdn",
            field=models.BooleanField(
                default=True,
                help_text="We ask for a signed MDN. Without one nothing proves that they have it.",
                verbose_name="signed receipts",
            ),
        ),
        migrations.AlterField(
            model_name="certificate",
            name="active_until",
            field=models.DateTimeField(
                blank=True,
                help_text="Then it neither signs nor encrypts, and what arrives under it is refused. Empty: until it expires. A certificate is never deleted, because it proves old messages: end one that is wrong or no longer safe with Now.",
                null=True,
                verbose_name="we use it until",
            ),
        ),
        migrations.AlterField(
            model_name="certificate",
            name="role",
            field=models.CharField(
                choices=partners.models.choices.certificate_roles,
                default="both",
                help_text="What it is used for. Most partners have one certificate to sign and encrypt with. TLS client: what a program shows when it connects to a server over HTTPS.",
                max_length=8,
            ),
        ),
        migrations.CreateModel(
            name="HttpPassword",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("key_id", models.CharField(db_index=True, editable=False, max_length=16)),
                ("wrapped_key", models.BinaryField()),
                ("ciphertext", models.BinaryField()),
                ("sealed_at", models.DateTimeField(auto_now_add=True)),
                (
                    "link",
                    models.OneToOneField(
                        editable=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="http_password",
                        to="partners.as2link",
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="ProxyPassword",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("key_id", models.CharField(db_index=True, editable=False, max_length=16)),
                ("wrapped_key", models.BinaryField()),
                ("ciphertext", models.BinaryField()),
                ("sealed_at", models.DateTimeField(auto_now_add=True)),
                (
                    "link",
                    models.OneToOneField(
                        editable=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="proxy_password",
                        to="partners.as2link",
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
    ]
