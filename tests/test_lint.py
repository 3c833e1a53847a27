"""S83: what must not stand in the code is found wherever it is planted, and what is right is let be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.supply import lint

PLANTED = [
    ("import pickle", "pickle"),
    ("from pickle import loads", "pickle"),
    ("import marshal as m", "marshal"),
    ("import shelve", "shelve"),
    ("import yaml\nyaml.load(text)", "yaml.load"),
    ("from yaml import load\nload(text, Loader=Loader)", "yaml.load"),
    ("import yaml as y\ny.unsafe_load(text)", "yaml.unsafe_load"),
    ("eval(text)", "eval"),
    ("exec(text)", "exec"),
    ("import os\nos.system('ls')", "os.system"),
    ("from os import popen as run\nrun('ls')", "os.popen"),
    ("import subprocess\nsubprocess.run('ls', shell=True)", "shell="),
    ("import subprocess\nsubprocess.Popen(words, shell=flag)", "shell="),
    ("import subprocess\nsubprocess.getoutput('ls')", "subprocess.getoutput"),
    ("cursor.execute('SELECT 1')", "raw SQL"),
    ("cursor.execute(f'SELECT {name}')", "raw SQL"),
    ("Order.objects.raw('SELECT 1')", "raw SQL"),
    ("Order.objects.extra(where=['1 = 1'])", "raw SQL"),
    ("from django.db.models.expressions import RawSQL\nRawSQL('1', [])", "raw SQL"),
    ("connection.cursor().executemany(statement, rows)", "raw SQL"),
    ("cursor.execute('SELECT 1')  # reviewed SQL:", "raw SQL"),  # a mark without a reason
    ("# reviewed SQL of this module: constants\ncursor.execute(f'SELECT {name}')", "raw SQL"),
    ("look.apply_async(args=[1], eta=when)", "eta="),
    ("look.apply_async(countdown=5)", "countdown="),
    ("signature(countdown=5)", "countdown="),
    ("self.retry(exc=error)", "self.retry"),
    ("from celery import current_task\ncurrent_task.retry()", "celery.current_task.retry"),
    ("@app.task(max_retries=3)\ndef look(): ...", "max_retries="),
    ("from celery import shared_task\n@shared_task(autoretry_for=(OSError,))\ndef look(): ...", "autoretry_for="),
    ("look.delay_on_commit(1)", "delay_on_commit"),
    ("look.apply_async_on_commit()", "apply_async_on_commit"),
    ("OPTIONS = {'init_command': 'PRAGMA mmap_size=268435456'}", "mmap_size"),
    ("import time\ntime.sleep(1)", "time.sleep"),
    ("from time import sleep\nsleep(1)", "time.sleep"),
]


@pytest.mark.parametrize(("source", "rule"), PLANTED)
def test_what_must_not_stand_in_the_code_is_found(source: str, rule: str) -> None:
    indented = "def deep():\n    if True:\n" + "".join(f"        {line}\n" for line in source.splitlines())
    top = [one.rule for one in lint.check(source)]
    assert top == [rule]
    if "of this module" not in source:
        assert [one.rule for one in lint.check(indented)] == [rule]


@pytest.mark.parametrize(
    "source",
    [
        "import yaml\nyaml.safe_load(text)",
        "import ast\nast.literal_eval(text)",
        "import subprocess\nsubprocess.run(['ls'], shell=False)",
        "cursor.execute('SELECT 1')  # reviewed SQL: a constant",
        "# reviewed SQL: a constant\ncursor.execute(\n    'SELECT 1',\n    [1],\n)",
        "cursor.execute(\n    'SELECT 1',  # reviewed SQL: a constant\n)",
        "# reviewed SQL of this module: constants\ncursor.execute('SELECT 1')\ncursor.executescript(_SCHEMA)",
        "outbox.retry(claim, error)",
        "pool.execute()",
        "time.sleep(1)  # reviewed sleep: a command's own thread",
        "event.wait(1)",
        "eta = 1",
    ],
)
def test_what_is_right_is_let_be(source: str) -> None:
    assert lint.check("import time\n" + source) == []


def test_the_mark_of_one_statement_says_nothing_of_the_next() -> None:
    source = "# reviewed SQL: a constant\ncursor.execute('SELECT 1')\n\ncursor.execute('SELECT 2')\n"
    assert [(one.line, one.rule) for one in lint.check(source)] == [(4, "raw SQL")]


def test_the_code_as_it_stands_is_clean() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.supply.lint"], cwd=lint.ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_a_violation_is_an_exit_code_with_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys) -> None:
    (tmp_path / "manage.py").write_text("import os\n")
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "shell.py").write_text("import os\n\nos.system('ls')\n")
    monkeypatch.setattr(lint, "ROOT", tmp_path)
    assert lint.main() == 1
    assert capsys.readouterr().out == "gateway/shell.py:3: os.system runs a shell\n"
