"""``python -m tests.supply.lint``: what must not stand in the product's code, and what ruff has no rule for.

What a person has looked at is let through where a comment beside it, or on the line before its statement, says why it is safe:
``# reviewed SQL: a constant``, ``# reviewed exec: …``, ``# reviewed sleep: …``. A module whose SQL is constants alone may say
so once, on a line of its own: ``# reviewed SQL of this module: …``; a text that is put together needs a mark of its own even then.

Source: security's S83, and the rule that a delay is a row.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("gateway", "partners", "edi_maps")
_MODULE_REVIEWED: Final = re.compile(r"^# reviewed SQL of this module: \S", re.MULTILINE)

_FORBIDDEN_MODULES: Final = {
    name: "runs whatever its input says" for name in ("pickle", "cPickle", "dill", "shelve", "marshal", "jsonpickle")
}
#: Dotted calls that are never right here, by the end of their name.
_FORBIDDEN_CALLS: Final = {
    "eval": "runs text",
    "exec": "runs text",
    "os.system": "runs a shell",
    "os.popen": "runs a shell",
    "subprocess.getoutput": "runs a shell",
    "subprocess.getstatusoutput": "runs a shell",
    "yaml.load": "makes any object: yaml.safe_load",
    "yaml.unsafe_load": "makes any object: yaml.safe_load",
    "yaml.full_load": "makes any object: yaml.safe_load",
    "time.sleep": "holds its thread: wait on an event with a time-out, or make it a delivery that is due later",
}
#: Of these, what a person may have found right, and the word of the mark that says so.
_MARKS: Final = {"exec": "exec", "time.sleep": "sleep"}
_CELERY_RETRIES: Final = frozenset({"self.retry", "task.retry", "celery.current_task.retry"})
#: Names of methods, on whatever object.
_FORBIDDEN_METHODS: Final = {
    "delay_on_commit": "is lost between commit and publish: enqueue a delivery",
    "apply_async_on_commit": "is lost between commit and publish: enqueue a delivery",
}
#: Arguments of any call.
_FORBIDDEN_ARGUMENTS: Final = {
    "eta": "lies in a worker's memory: due_at in the row",
    "countdown": "lies in a worker's memory: due_at in the row",
}
_SQL_METHODS: Final = frozenset({"execute", "executemany", "executescript", "raw", "extra", "mogrify"})
_SQL_CLASSES: Final = frozenset({"RawSQL", "RunSQL"})


@dataclass(frozen=True, slots=True)
class Violation:
    path: str
    line: int
    rule: str
    why: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule} {self.why}"


def check(source: str, path: str = "<text>") -> list[Violation]:
    """Every violation in one module, in the order of its lines."""
    tree, lines = ast.parse(source, path), source.splitlines()
    starts = {node.lineno for node in ast.walk(tree) if isinstance(node, ast.stmt)}

    def is_reviewed(node: ast.Call, what: str) -> bool:
        first = max((start for start in starts if start <= node.lineno), default=node.lineno)
        return any(re.search(rf"# reviewed {what}: \S", line) for line in lines[max(first - 2, 0) : node.end_lineno])

    constants_reviewed = _MODULE_REVIEWED.search(source) is not None
    found = [
        Violation(path, node.lineno, rule, why)
        for node, mark, rule, why in _look(tree)
        if not (mark and isinstance(node, ast.Call) and is_reviewed(node, mark))
        and not (mark == "SQL" and constants_reviewed and isinstance(node, ast.Call) and _is_constant(node))
    ]
    return sorted(found, key=lambda one: one.line)


#: What breaks a rule, the word of the mark that lets it through (none: nothing does), the rule, and why it is one.
_Seen = tuple[ast.Call | ast.Import | ast.ImportFrom | ast.Constant, str, str, str]


def _look(tree: ast.Module) -> Iterator[_Seen]:
    full = _imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for name in names:
                if (top := name.partition(".")[0]) in _FORBIDDEN_MODULES:
                    yield node, "", top, _FORBIDDEN_MODULES[top]
        elif isinstance(node, ast.Call):
            yield from _call(node, full)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "mmap_size" in node.value:
            yield node, "", "mmap_size", "is blamed for damaged SQLite files"


def _call(node: ast.Call, full: dict[str, str]) -> Iterator[_Seen]:
    head, dot, rest = _dotted(node.func).partition(".")
    name = full.get(head, head) + dot + rest
    method = name.rpartition(".")[2]
    if name in _FORBIDDEN_CALLS:
        yield node, _MARKS.get(name, ""), name, _FORBIDDEN_CALLS[name]
    if method in _FORBIDDEN_METHODS:
        yield node, "", method, _FORBIDDEN_METHODS[method]
    if name in _CELERY_RETRIES:
        yield node, "", name, "lies in a worker's memory: outbox.retry"
    for keyword in node.keywords:
        if keyword.arg in _FORBIDDEN_ARGUMENTS:
            yield node, "", f"{keyword.arg}=", _FORBIDDEN_ARGUMENTS[keyword.arg]
        if keyword.arg == "shell" and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False):
            yield node, "", "shell=", "runs a shell"
        if keyword.arg in {"max_retries", "autoretry_for", "retry_backoff"} and method in {"task", "shared_task"}:
            yield node, "", f"{keyword.arg}=", "is Celery's retry: the outbox has the schedule"
    if (method in _SQL_METHODS and _speaks_sql(node, method)) or method in _SQL_CLASSES:
        yield node, "SQL", "raw SQL", "without a mark: say in a comment # reviewed SQL: why it is safe"


def _is_constant(node: ast.Call) -> bool:
    """Whether the text of the statement stands in the code as it is, with nothing put into it."""
    text = node.args[0] if node.args else None
    return isinstance(text, ast.Constant) or (isinstance(text, ast.Name) and text.id.isupper())


def _speaks_sql(node: ast.Call, method: str) -> bool:
    """Whether a call of this name can be to a database: command lines and other things are executed too."""
    if method == "extra":
        return bool({"where", "select", "tables", "order_by"} & {keyword.arg for keyword in node.keywords})
    return bool(node.args)


def _imported(tree: ast.Module) -> dict[str, str]:
    """Local name → what it stands for, so that an alias hides nothing."""
    full: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            full |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            full |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return full


def _dotted(node: ast.expr) -> str:
    """``a.b.c`` as it is written; what is called on a call or an item keeps its last names."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return ""


def main() -> int:
    files = [ROOT / "manage.py", *(file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py")))]
    found = [one for file in files for one in check(file.read_text("utf-8"), str(file.relative_to(ROOT)))]
    for one in found:
        print(one)  # noqa: T201  # the output is the point
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
