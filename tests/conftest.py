"""For every test: the same examples in every run, and a blob store of its own for each process of the suite.

What chance finds is looked for by ``tests.fuzz``. Lines of the log are written before their test ends, so they stay in its output.
"""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from typing import Final

import hypothesis
import pytest
from django.conf import settings
from django.db import connection
from django.test import SimpleTestCase, override_settings
from pytest_django.plugin import DjangoDbBlocker

from tests import migrated

hypothesis.settings.register_profile("suite", derandomize=True, deadline=None)
hypothesis.settings.load_profile("suite")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is there before the first test stays until the last: the collector of garbage does not pass over it again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


#: Where tests wait for programs most of the time. They begin first, so that nobody is left waiting when all else is done.
_WAITING: Final = (
    "tests/acceptance/",
    "tests/gateway/test_processes.py",
    "tests/gateway/test_backup.py",
    "tests/gateway/test_secrets_stay.py",
    "tests/gateway/test_keys_at_rest.py",
    "tests/gateway/test_doctor.py",
    "tests/gateway/test_web_server.py",
    "tests/faults/",
)


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None, object, object]:
    """Mark who asks the suite's database: whoever asks for it, or has its programs ask it; others are not let near it."""
    for item in items:
        if _in_process(item) or "django_db_setup" in getattr(item, "fixturenames", ()):
            item.add_marker("database")
    done = yield  # what -m leaves out is left out, and what pytest-django wants in another order has it
    items.sort(key=lambda item: _in_process(item) or not item.nodeid.startswith(_WAITING))
    return done


def _in_process(item: pytest.Item) -> bool:
    """Whether the test itself asks the suite's database."""
    asked = {"db", "transactional_db"}.intersection(getattr(item, "fixturenames", ()))
    return bool(
        asked
        or item.get_closest_marker("django_db")
        or issubclass(getattr(item, "cls", None) or object, SimpleTestCase)
    )


@pytest.fixture(scope="session")
def database_outside() -> object:
    """Its name; no test has anything to do with it."""
    return connection.settings_dict["NAME"]


@pytest.fixture(scope="session")
def django_db_keepdb(
    django_db_keepdb: bool, django_db_modify_db_settings: None, tmp_path_factory: pytest.TempPathFactory
) -> bool:
    """Whether there is a database already: of several processes the first one makes it, the others have copies."""
    among_others = "PYTEST_XDIST_WORKER" in os.environ
    return django_db_keepdb or (among_others and migrated.begun(tmp_path_factory.getbasetemp().parent))


@pytest.fixture(scope="session")
def django_db_setup(
    database_outside: object,
    django_db_keepdb: bool,
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[None]:
    """The suite's own database, and a copy of it; neither is made where no test of this run asks the database."""
    if connection.settings_dict["NAME"] == database_outside:
        yield
        return
    with ExitStack() as until_the_end:
        until_the_end.enter_context(django_db_blocker.unblock())
        until_the_end.enter_context(migrated.kept(tmp_path_factory.mktemp("migrated")))
        until_the_end.enter_context(migrated.emptied_by_delete())
        until_the_end.enter_context(django_db_blocker.block())
        yield
    if django_db_keepdb and not request.config.getoption("reuse_db"):
        with django_db_blocker.unblock():
            connection.creation.destroy_test_db(str(database_outside), verbosity=0)


@pytest.fixture(scope="session", autouse=True)
def what_is_djangos_own_costs_little() -> Iterator[None]:
    """A good hash of a password takes a fifth of a second, and the list of all static files is made for each client of a test."""
    hashers = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    with override_settings(PASSWORD_HASHERS=hashers, WHITENOISE_AUTOREFRESH=True):
        yield


@pytest.fixture(scope="session", autouse=True)
def blobs_of_the_suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "BLOBS", f"file:{tmp_path_factory.mktemp('blobs')}")
        yield


@pytest.fixture(scope="session", autouse=True)
def checkpoints_of_the_suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "CHECKPOINTS_FILE", tmp_path_factory.mktemp("audit") / "checkpoints.jsonl")
        yield


@pytest.fixture(autouse=True)
def lines_are_written_before_the_test_ends() -> Iterator[None]:
    yield
    for handler in logging.getLogger().handlers:
        handler.flush()
