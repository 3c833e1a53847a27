"""Every setting of the gateway, read once from the environment; a wrong value stops the start with the reason.

With nothing set the gateway runs on one machine: SQLite, the broker in memory, everything under ``var/``.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import logging
import math
import os
import re
import secrets
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import dj_database_url
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent


def _flag(name: str, default: bool) -> bool:
    value = os.environ.get(name, "1" if default else "0")
    if value not in {"0", "1"}:
        raise ImproperlyConfigured(f"{name} is {value!r}; say 1 or 0.")
    return value == "1"


def _number(name: str, default: float, *, least: float) -> float:
    value = os.environ.get(name, str(default))
    try:
        number = float(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {value!r}; say a number.") from None
    if number < least or not math.isfinite(number):
        raise ImproperlyConfigured(f"{name} is {value}; it must be at least {least}.")
    return number


def _networks(name: str, default: str = "") -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    try:
        return tuple(
            ipaddress.ip_network(part.strip()) for part in os.environ.get(name, default).split(",") if part.strip()
        )
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{name}: {error}. Say addresses or networks by commas: 10.0.0.5,10.1.0.0/16."
        ) from None


def _header(name: str, default: str) -> str:
    """The name of a request header, as the key under which Django has it."""
    value = os.environ.get(name, default)
    if not re.fullmatch(r"[A-Za-z0-9-]+", value):
        raise ImproperlyConfigured(f"{name} is {value!r}; say the name of a header: letters, digits and hyphens.")
    return "HTTP_" + value.upper().replace("-", "_")


def _hosts(name: str, default: str) -> list[str]:
    """Names of hosts, as Django compares them: no scheme, no port, no path."""
    hosts = [part.strip() for part in os.environ.get(name, default).split(",") if part.strip()]
    for host in hosts:
        if host != "*" and not re.fullmatch(r"\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\]", host):
            raise ImproperlyConfigured(
                f"{name}: {host!r} is no host name. Say names by commas: b2b.example.com,10.0.0.5."
            )
    if not hosts:
        raise ImproperlyConfigured(
            f"{name} is empty: no request would be answered. Say names by commas: b2b.example.com."
        )
    return hosts


def _origins(name: str) -> list[str]:
    origins = [part.strip() for part in os.environ.get(name, "").split(",") if part.strip()]
    for origin in origins:
        if not re.fullmatch(r"https?://[^/?#@\s]+", origin):
            raise ImproperlyConfigured(
                f"{name}: {origin!r} is no origin. Say scheme and host: https://b2b.example.com."
            )
    return origins


def _url(name: str, default: str, schemes: tuple[str, ...], example: str) -> str:
    """An address. What is said of a wrong one is its scheme at most: the rest may hold a password."""
    value = os.environ.get(name, default)
    scheme, colon, _ = value.partition(":")
    if not colon or scheme not in schemes:
        said = f"begins with {scheme!r}" if colon else "is no address"
        raise ImproperlyConfigured(f"{name} {said}; say {example}.")
    try:
        _ = urlsplit(value).port
    except ValueError:
        raise ImproperlyConfigured(f"{name} has a port that is no number from 0 to 65535; say {example}.") from None
    return value


def _blobs(name: str, default: str) -> str:
    """Where raw bytes are. Of a wrong address only its scheme is said, as in ``_url``."""
    value = _url(name, default, ("file", "s3"), "file:/folder, or s3://bucket/prefix?endpoint=https://host&region=name")
    if value.startswith("file:") and not value.startswith("file:/"):
        raise ImproperlyConfigured(f"{name} names a folder from nowhere; say the whole path: file:/srv/gateway/blobs.")
    if value.startswith("s3:") and importlib.util.find_spec("boto3") is None:
        raise ImproperlyConfigured(
            f"{name} names a bucket, and boto3 is not installed: pip install -r requirements-s3.txt"
        )
    return value


def _long_enough(environment: str, secret: str) -> str:
    if len(secret) < 32 or not secret.isascii():
        raise ImproperlyConfigured(
            f"{environment} has {len(secret)} characters; at least 32 random ones of ASCII are needed. "
            "Make one with: python -c 'import secrets; print(secrets.token_urlsafe(48))'"
        )
    return secret


def _kept_secret(environment: str, file_name: str) -> str:
    """The secret from the environment, else from a file only we can read, made at the first start."""
    if value := os.environ.get(environment):
        return _long_enough(environment, value)
    path = DATA_DIR / file_name
    if not path.exists():
        # Written whole before it gets its name: another process that starts now reads all of it or makes no second one.
        fresh = DATA_DIR / f".{file_name}-{secrets.token_hex(8)}"
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48))
        with suppress(FileExistsError):
            path.hardlink_to(fresh)
        fresh.unlink()
    try:
        return _long_enough(f"{environment}, from {path},", path.read_text("ascii").strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{environment} cannot be read from {path}: {error}.") from None


#: Everything the gateway writes when it runs on one machine: database file, secrets.
DATA_DIR = Path(os.environ.get("GATEWAY_DATA_DIR", BASE_DIR / "var")).resolve()
try:
    (DATA_DIR / "static").mkdir(parents=True, exist_ok=True)  # whitenoise warns when it is absent, and finds the rest
except OSError as error:
    raise ImproperlyConfigured(f"GATEWAY_DATA_DIR {DATA_DIR} cannot be made, or written to: {error}.") from error

# -- Django
DEBUG = _flag("GATEWAY_DEBUG", False)
SECRET_KEY = _kept_secret("GATEWAY_SECRET_KEY", "django-secret-key")
#: Wraps private keys and credentials at rest (partners/keystore.py). Lose it and they are lost: back it up apart.
KEYSTORE_SECRET = _kept_secret("GATEWAY_KEYSTORE_SECRET", "keystore-secret")
#: Former ones, by commas, until ``manage.py keystore_rotate`` has re-wrapped what they opened.
KEYSTORE_OLD_SECRETS = tuple(
    _long_enough("GATEWAY_KEYSTORE_OLD_SECRETS", secret)
    for secret in os.environ.get("GATEWAY_KEYSTORE_OLD_SECRETS", "").split(",")
    if secret
)
ALLOWED_HOSTS = _hosts("GATEWAY_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = _origins("GATEWAY_TRUSTED_ORIGINS")
ROOT_URLCONF = "gateway.urls"
WSGI_APPLICATION = "gateway.wsgi.application"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_standardized_errors",
    "csp",
    "partners",
    "gateway",
]
MIDDLEWARE = [
    "gateway.endpoints.proxies.TrustedProxies",  # first: who calls, and whether by TLS, is asked by all others
    "gateway.endpoints.observed.Observed",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
WHITENOISE_USE_FINDERS = True  # no collectstatic step on one machine
WHITENOISE_AUTOREFRESH = DEBUG

# -- the browser's side: no script but ours, cookies over TLS when there is TLS
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
    }
}
BEHIND_TLS = _flag("GATEWAY_TLS", False)
#: Whose word about the real caller counts; see gateway/endpoints/proxies.py.
TRUSTED_PROXIES = _networks("GATEWAY_TRUSTED_PROXIES")
#: Where they put the TLS client certificate of the caller. Default: RFC 9440.
CLIENT_CERT_META = _header("GATEWAY_CLIENT_CERT_HEADER", "Client-Cert")
#: Who sends slower than this on average, after a grace, is let go: strangers must not hold connections for ever.
SENDER_GRACE_S = _number("GATEWAY_SENDER_GRACE_S", 5, least=0.1)
SLOWEST_SENDER_KB_S = _number("GATEWAY_SLOWEST_SENDER_KB_S", 20, least=0.001)
#: What all bodies that are coming may hold together, in the folder for temporary files.
MOST_SPOOLED_MB = _number("GATEWAY_MOST_SPOOLED_MB", 2048, least=101)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_TLS
SECURE_SSL_REDIRECT = False  # a redirected AS2 POST is a lost message; the proxy in front redirects browsers
SILENCED_SYSTEM_CHECKS = ["security.W008"]  # the same: asks for that redirect
SECURE_HSTS_SECONDS = 31_536_000 if BEHIND_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = BEHIND_TLS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS else None
SESSION_COOKIE_AGE = 12 * 3600
X_FRAME_OPTIONS = "DENY"
#: AS2 bodies are read with request.read(), within the limit of the partner; this one is for forms and JSON.
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024

# -- database
DATABASES = {
    "default": dj_database_url.parse(
        _url(
            "DATABASE_URL",
            f"sqlite:///{DATA_DIR / 'gateway.sqlite3'}",
            ("sqlite", "postgres", "postgresql"),
            "postgres://user:password@host:5432/name, or sqlite:////folder/file",
        ),
        conn_max_age=60,
    )
}
if DATABASES["default"]["NAME"] in {"", ":memory:"}:
    raise ImproperlyConfigured("DATABASE_URL names no database; say postgres://user:password@host:5432/name.")
#: Statements are kept prepared; not behind a pooler that gives a connection to others between transactions and cannot.
PREPARE = _flag("GATEWAY_PREPARE", True)
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        # DEFERRED loses 99 % of concurrent writes to "database is locked"; FULL because an MDN follows the commit.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }
    # Tests run on a file like the real one: threads of a database in memory lock each other out.
    DATABASES["default"]["TEST"] = {"NAME": DATA_DIR / f"test-{os.getpid()}.sqlite3"}
elif PREPARE:
    # The same statements again and again: parsed and planned once for a connection, they cost the database half.
    DATABASES["default"].setdefault("OPTIONS", {}).update(server_side_binding=True, prepare_threshold=1)
#: Several processes on one file of a SQLite that may lose pages when two of them check-point at once; see doctor.
SHARE_SQLITE = _flag("GATEWAY_SHARE_SQLITE", False)

# -- raw bytes: outside the database, see gateway/blob_store
BLOBS = _blobs("GATEWAY_BLOBS", f"file:{DATA_DIR / 'blobs'}")
#: What no row names stays so long: a process may be about to commit the row.
BLOB_GRACE = timedelta(hours=_number("GATEWAY_BLOB_GRACE_H", 24, least=1))

# -- Celery: the alarm clock. Losing a message costs seconds, never a document.
if os.environ.get("GATEWAY_BROKER_URL", "").startswith("filesystem:"):
    raise ImproperlyConfigured(
        "GATEWAY_BROKER_URL: kombu's filesystem broker reads half-written files and stops its worker. "
        "Leave it unset (memory), or name RabbitMQ (amqp://…) or Redis (redis://…)."
    )
CELERY_BROKER_URL = _url(
    "GATEWAY_BROKER_URL",
    "memory://localhost/",
    ("memory", "amqp", "amqps", "redis", "rediss"),
    "amqp://user:password@host:5672/name, or redis://host:6379/0, or nothing (memory)",
)
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {"polling_interval": 0.05}  # kombu's default of 1.0 gives four tasks a second
    if CELERY_BROKER_URL.startswith("memory:")
    else {"socket_timeout": 2, "socket_connect_timeout": 1, "max_retries": 1}
)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a broker may be away for weeks; the poll does the work meanwhile
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_BROKER_HEARTBEAT = 10  # RabbitMQ: a connection that went dead is noticed and made anew
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_PUBLISH_RETRY = False
#: One queue for each kind of work, ``PREFIX.kind`` (gateway/bell.py). Two gateways on one broker need two prefixes.
BROKER_PREFIX = os.environ.get("GATEWAY_BROKER_PREFIX", "gateway")
if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", BROKER_PREFIX):
    raise ImproperlyConfigured(f"GATEWAY_BROKER_PREFIX is {BROKER_PREFIX!r}; say a word of letters, digits, . _ and -.")
CELERY_TASK_DEFAULT_QUEUE = f"{BROKER_PREFIX}.translate"
CELERY_TASK_DEFAULT_EXCHANGE = ""  # a queue is reached by its name: nothing to lose when a broker is flushed
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_WORKER_POOL = "solo"  # a task only rings; the work is done by threads of our own (gateway/worker.py)
CELERY_WORKER_CONSUMER = "gateway.ear:Consumer"
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False  # whoever reaches the broker could stop every worker
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"

# -- durable work
#: How long a claimed row belongs to its worker; longer than any time-out of a transport or an ERP.
LEASE = timedelta(seconds=_number("GATEWAY_LEASE_S", 120, least=5))
if DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql" and PREPARE:
    # Who is stopped, or hangs, in the middle of a transaction keeps rows that others wait for: after this PostgreSQL ends it.
    DATABASES["default"]["OPTIONS"]["options"] = " ".join(
        [
            DATABASES["default"]["OPTIONS"].get("options", ""),
            f"-c idle_in_transaction_session_timeout={2 * int(LEASE.total_seconds())}s",
        ]
    ).strip()
#: Every worker looks for due rows this often by itself, whatever became of the broker.
POLL_S = _number("GATEWAY_POLL_S", 5, least=0.1)
#: Threads of one worker process that do the work.
HANDS = int(_number("GATEWAY_HANDS", 6, least=1))
#: Minutes between tries; ± 20 % jitter; after the last one the delivery is a dead letter.
RETRY_SCHEDULE_MIN = {
    "translate": [0.1, 0.5, 1],
    "apply": [0.1, 0.5, 1],
    "erp": [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, *[10] * 46],  # about 8 hours: planned ERP outages are that long
    "partner": [0.1, 5, 10, 20, 40, 80, 160, 300, 300, 300, 300],  # about 25 hours; a partner's link may say otherwise
    "receipt": [0.1, 5, 10, 20, 40, 80, 160, 300, 300, 300, 300],
}
#: A delivery whose worker died this often is poison: dead letter, its neighbours go on.
POISON_AFTER = int(_number("GATEWAY_POISON_AFTER", 3, least=1))
#: So many messages, and so many receipts, are on their way to one partner at the same time.
SENDS_AT_ONCE = int(_number("GATEWAY_SENDS_AT_ONCE", 2, least=1))
#: So many documents are on their way into one ERP at the same time.
ERP_CALLS_AT_ONCE = int(_number("GATEWAY_ERP_CALLS_AT_ONCE", 4, least=1))
#: Who does not answer is left alone for so long, then for twice as long each time, up to the second figure.
BREAKER_PAUSE_S = _number("GATEWAY_BREAKER_PAUSE_S", 30, least=0.1)
BREAKER_MOST_S = _number("GATEWAY_BREAKER_MOST_S", 900, least=BREAKER_PAUSE_S)
#: What failed is tried again one by one, so many a minute against one system, however much failed at once.
RETRIES_PER_MINUTE = _number("GATEWAY_RETRIES_PER_MINUTE", 60, least=1)
#: Where the signed heads of the audit trail are kept beside the database; copy it away, or cutting the trail goes unnoticed.
CHECKPOINTS_FILE = Path(os.environ.get("GATEWAY_CHECKPOINTS", DATA_DIR / "checkpoints.jsonl"))
if not CHECKPOINTS_FILE.parent.is_dir() or CHECKPOINTS_FILE.is_dir():
    raise ImproperlyConfigured(f"GATEWAY_CHECKPOINTS is {CHECKPOINTS_FILE}; say a file in a folder that is there.")
#: How long an answer that came before its order waits for it.
PARK_FOR = timedelta(hours=_number("GATEWAY_PARK_HOURS", 4, least=0))
#: Finished work leaves the tables after so many whole months, where a partner's terms do not say otherwise; 0: never.
KEEP_MONTHS = int(_number("GATEWAY_KEEP_MONTHS", 0, least=0))

# -- the ERP is polled for released orders this often
ERP_POLL_S = _number("GATEWAY_ERP_POLL_S", 5, least=0.1)

# -- REST
#: Counts calls, per process. Django's 300 entries would forget who called while others do.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 10_000}}}
REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": ["gateway.endpoints.principal.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["gateway.endpoints.principal.IsActivePartner"],
    "DEFAULT_THROTTLE_CLASSES": ["gateway.endpoints.principal.PerKey"],
    "DEFAULT_THROTTLE_RATES": {
        "api_key": f"{_number('GATEWAY_REQUESTS_PER_MINUTE', 600, least=1):.0f}/minute",  # each key, each process
        "failed_sign_in": "30/minute",  # each address without a valid key
    },
    "EXCEPTION_HANDLER": "drf_standardized_errors.handler.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "NUM_PROXIES": 0,  # REMOTE_ADDR is the real caller's already
}
DRF_STANDARDIZED_ERRORS = {"EXCEPTION_HANDLER_CLASS": "gateway.endpoints.error_handlers.ProblemHandler"}


# -- metrics: who may read them, by address or by token; everybody else finds nothing there
METRICS_FROM = _networks("GATEWAY_METRICS_FROM", "127.0.0.0/8,::1")
METRICS_TOKEN = os.environ.get("GATEWAY_METRICS_TOKEN", "")
if METRICS_TOKEN:
    _long_enough("GATEWAY_METRICS_TOKEN", METRICS_TOKEN)
#: Whether the metrics may name partners; their list may be confidential where the metrics are not.
METRICS_PARTNERS = _flag("GATEWAY_METRICS_PARTNERS", False)


# -- logs: ids, never contents
def _in_one_line(record: logging.LogRecord) -> bool:
    """Whoever calls us by a name that is none of ours costs a short line, not a stack of them, and it names our setting."""
    record.msg, record.exc_info = f"not in GATEWAY_HOSTS: {record.getMessage()[:120]}", None
    return True


def _with_its_error(record: logging.LogRecord) -> bool:
    """An answer of 500 or more that is given on purpose is told by whoever gives it, and counted: Django need not."""
    return record.exc_info is not None


LOG_LEVEL = os.environ.get("GATEWAY_LOG_LEVEL", "INFO")
if LOG_LEVEL not in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
    raise ImproperlyConfigured(f"GATEWAY_LOG_LEVEL is {LOG_LEVEL!r}; say DEBUG, INFO, WARNING, ERROR or CRITICAL.")
LOG_FORMAT = os.environ.get("GATEWAY_LOG_FORMAT") or (
    "line" if sys.stderr is not None and sys.stderr.isatty() else "json"
)
if LOG_FORMAT not in {"json", "line"}:
    raise ImproperlyConfigured(f"GATEWAY_LOG_FORMAT is {LOG_FORMAT!r}; say json or line.")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "in_one_line": {"()": "django.utils.log.CallbackFilter", "callback": _in_one_line},
        "with_its_error": {"()": "django.utils.log.CallbackFilter", "callback": _with_its_error},
    },
    "formatters": {"json": {"()": "gateway.logs.Json"}, "line": {"()": "gateway.logs.Line"}},
    "handlers": {"console": {"()": "gateway.logs.Unhurried", "formatter": LOG_FORMAT}},
    # GATEWAY_LOG_LEVEL is for what we write. What others write below WARNING (bodies, headers with credentials, statements
    # with their values, decrypted parts) no setting lets through.
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        **{name: {"level": LOG_LEVEL} for name in ("gateway", "partners", "edi_maps")},
        "pyx12": {"level": "CRITICAL"},
        "pyas2lib": {"level": "CRITICAL"},  # at ERROR it writes tracebacks
        "waitress.queue": {"level": "ERROR"},  # that requests wait for a thread for a moment is no news
        "django": {"handlers": [], "level": "WARNING"},  # its own handler would mail local variables
        "django.request": {"level": "ERROR", "filters": ["with_its_error"]},
        "django.security.DisallowedHost": {"filters": ["in_one_line"]},
    },
}
