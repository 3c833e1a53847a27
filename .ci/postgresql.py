"""Print the URL of a PostgreSQL server this machine lets us make test databases on; exit 1 when there is none."""

import os
import sys

import psycopg

for url in filter(None, [os.environ.get("DATABASE_URL"), "postgres://postgres@127.0.0.1:5432/postgres"]):
    try:
        with psycopg.connect(url, connect_timeout=2) as connection:
            allowed = connection.execute(
                "select rolcreatedb or rolsuper from pg_roles where rolname = current_user"
            ).fetchone()
    except psycopg.Error:
        continue
    if allowed and allowed[0]:
        sys.stdout.write(url)
        sys.exit(0)
sys.exit(1)
