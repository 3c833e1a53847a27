"""What is shipped for running it fits the code: settings, commands, ports, files and the page that lists them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands, load_command_class

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "gateway" / "deploy"
SETTINGS = set(
    re.findall(r"""["'](GATEWAY_[A-Z0-9_]+|DATABASE_URL)["']""", (ROOT / "gateway" / "settings.py").read_text("utf-8"))
)
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
KUBERNETES = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "gateway.yaml").read_text("utf-8")))
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def unit(path: Path) -> dict[str, dict[str, list[str]]]:
    """Section → key → values; a unit file may say a key more than once."""
    found: dict[str, dict[str, list[str]]] = {}
    section: dict[str, list[str]] = {}
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), {})
        elif "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            section.setdefault(key, []).append(value)
    return found


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for one in KUBERNETES:
        if "template" in one.get("spec", {}):
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every command line of ours in what is shipped: where, and its words after ``manage.py``."""
    for path in UNITS:
        for line in unit(path)["Service"]["ExecStart"]:
            yield path.name, line.split("manage.py ")[1].split()
    for name, service in COMPOSE["services"].items():
        if service.get("image") == "supplier-gateway":
            yield f"compose {name}", service["command"]
    for name, pod in pods():
        yield f"kubernetes {name}", [str(word) for word in pod["containers"][0]["args"]]
    page = (DEPLOY / "README.md").read_text("utf-8")
    for line in re.findall(r"^    .*manage\.py .*$", page, re.MULTILINE):
        for words in re.findall(r"manage\.py (.*?)(?: && |  |$)", line):
            yield "README.md", words.split()


COMMANDS = list(commands())


@pytest.mark.parametrize(("where", "words"), COMMANDS, ids=[f"{where}: {' '.join(words)}" for where, words in COMMANDS])
def test_every_command_exists_with_these_arguments(where: str, words: list[str]) -> None:
    app = get_commands()[words[0]]
    command = load_command_class(app, words[0]) if isinstance(app, str) else app
    command.create_parser("manage.py", words[0]).parse_args(words[1:])


def named_settings() -> Iterator[tuple[str, str]]:
    files = [path for path in DEPLOY.rglob("*") if path.is_file()]
    for path in files:
        for name in re.findall(r"\b(?:GATEWAY_[A-Z0-9_]+[A-Z0-9]|DATABASE_URL)\b", path.read_text("utf-8")):
            yield path.name, name


def test_every_setting_that_is_named_exists() -> None:
    assert {(where, name) for where, name in named_settings() if name not in SETTINGS} == set()


def test_the_settings_table_holds_every_setting_and_no_other() -> None:
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(GATEWAY_[A-Z0-9_]+|DATABASE_URL)`", row)}
    assert listed == SETTINGS


def test_the_page_lists_every_file_and_every_file_is_there() -> None:
    page = (DEPLOY / "README.md").read_text("utf-8")
    for path in DEPLOY.iterdir():
        if path.name not in {"README.md", "Dockerfile.dockerignore"}:
            assert path.name in page


def test_services_restart_and_are_confined() -> None:
    for path in UNITS:
        service = unit(path)["Service"]
        assert service["User"] == ["gateway"]
        assert (service["NoNewPrivileges"], service["ProtectSystem"]) == (["true"], ["strict"])
        if service["Type"] == ["exec"]:
            assert service["Restart"] == ["always"]
            assert unit(path)["Unit"]["StartLimitIntervalSec"] == ["0"]  # a database away for an hour must not end it
    timer = RawConfigParser()
    timer.read(DEPLOY / "systemd" / "gateway-backup.timer")
    assert (DEPLOY / "systemd" / "gateway-backup.service").exists()
    assert timer["Timer"]["Persistent"] == "true"


def test_ports_fit() -> None:
    (web,) = unit(DEPLOY / "systemd" / "gateway-web.service")["Service"]["ExecStart"]
    assert "--port 8000" in web
    assert "server 127.0.0.1:8000" in (DEPLOY / "nginx.conf").read_text("utf-8")
    assert "http://web:8000" in (DEPLOY / "compose-nginx.conf").read_text("utf-8")
    assert COMPOSE["services"]["web"]["command"][-1] == "8000"
    for _, pod in pods():
        container = pod["containers"][0]
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        for port in ports.values():
            assert str(port) in container["args"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe in container:
                assert container[probe]["httpGet"]["port"] in ports
    (service,) = [one for one in KUBERNETES if one["kind"] == "Service"]
    assert service["spec"]["ports"][0]["targetPort"] == "http"


def test_probes_ask_by_a_name_the_gateway_answers_to() -> None:
    config = next(one for one in KUBERNETES if one["kind"] == "ConfigMap")["data"]
    web = dict(pods())["gateway-web"]["containers"][0]
    paths = {probe: web[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")}
    assert paths == {"livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert web[probe]["httpGet"]["httpHeaders"] == [{"name": "Host", "value": config["GATEWAY_HOSTS"]}]


def test_web_and_workers_are_several_and_one_of_each_always_stays() -> None:
    several = {one["metadata"]["name"]: one["spec"]["replicas"] for one in KUBERNETES if one["kind"] == "Deployment"}
    kept = {one["metadata"]["name"] for one in KUBERNETES if one["kind"] == "PodDisruptionBudget"}
    assert several == {"gateway-web": 2, "gateway-worker": 2}
    assert kept == several.keys()
    assert {COMPOSE["services"][name]["deploy"]["replicas"] for name in ("web", "worker")} == {2}


def test_secrets_are_referred_to_and_never_said() -> None:
    config = next(one for one in KUBERNETES if one["kind"] == "ConfigMap")["data"]
    secret = {"DATABASE_URL", "GATEWAY_BROKER_URL", "GATEWAY_SECRET_KEY", "GATEWAY_KEYSTORE_SECRET"}
    assert not secret & config.keys()
    assert not [one for one in KUBERNETES if one["kind"] == "Secret"]
    for _, pod in pods():
        assert {"secretRef": {"name": "gateway"}} in pod["containers"][0]["envFrom"]
    environment = COMPOSE["x-gateway"]["environment"]
    assert all("${" in environment[name] for name in secret)


def test_the_image_is_installed_from_a_lock_and_holds_the_code_alone() -> None:
    recipe = (DEPLOY / "Dockerfile").read_text("utf-8")
    assert "--require-hashes -r requirements-s3.lock" in recipe
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", recipe, re.MULTILINE):
        for name in source.split():
            assert (ROOT / name).exists()
            assert f"!{name}" in (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    assert re.search(r"^USER (?!0|root)", recipe, re.MULTILINE)
