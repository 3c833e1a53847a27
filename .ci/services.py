"""Print ``NAME=value`` lines for the services of this machine that the suite may use; nothing when there is none.

A PostgreSQL server counts when it lets us make databases, a broker when it answers. What the environment names already wins.
"""

import os
import sys

import psycopg
from kombu import Connection
from kombu.exceptions import KombuError

DATABASES = (os.environ.get("DATABASE_URL"), "postgres://postgres@127.0.0.1:5432/postgres")
BROKERS = (os.environ.get("GATEWAY_BROKER_URL"), "amqp://guest:guest@127.0.0.1:5672//", "redis://127.0.0.1:6379/0")


def lets_us_make_databases(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=2) as connection:
            row = connection.execute(
                "select rolcreatedb or rolsuper from pg_roles where rolname = current_user"
            ).fetchone()
    except psycopg.Error:
        return False
    return bool(row and row[0])


def answers(url: str) -> bool:
    try:
        with Connection(url, connect_timeout=2, transport_options={"socket_connect_timeout": 2}) as connection:
            connection.ensure_connection(max_retries=1, timeout=4)
    except (KombuError, OSError):
        return False
    return True


database = next((url for url in DATABASES if url and lets_us_make_databases(url)), None)
if database is None:
    sys.exit()
print(f"DATABASE_URL={database}")  # noqa: T201  # the output is the point
if broker := next((url for url in BROKERS if url and answers(url)), None):
    print(f"GATEWAY_BROKER_URL={broker}")  # noqa: T201
