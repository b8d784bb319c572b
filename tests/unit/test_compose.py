"""The compose file and what it mounts: judged as text, since no test has a Docker engine."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ingest.messages import SUBSCRIPTIONS
from ops.cli import main
from ops.embedded import MAX_FILE_STORE, NATS_CONFIG, NATS_SERVER
from storage.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
TEXT = COMPOSE.read_text()
SERVICES: dict[str, dict[str, Any]] = YAML(typ="safe").load(TEXT)["services"]
OURS = {name: it for name, it in SERVICES.items() if it["image"].startswith("cordee")}
ENDING = sorted({"migrate", "demo-seed"})
LASTING = {name: it for name, it in SERVICES.items() if name not in ENDING}
#: What .env holds that no process of ours reads under this name.
PASSWORDS = {"CORDEE_DATABASE_PASSWORD"}
SETTINGS = {f"CORDEE_{name.upper()}" for name in Settings.model_fields}
SECRET = re.compile("password|secret|token", re.IGNORECASE)


def variables() -> Iterator[tuple[str, str, Any]]:
    """Yield service, variable and value of everything in an environment."""
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            yield name, variable, value


@pytest.mark.parametrize("name", OURS)
def test_our_services_run_a_subcommand_with_options_it_has(name: str) -> None:
    program, subcommand, *rest = OURS[name]["command"]
    assert program == "cordee"
    assert subcommand in main.commands
    options = {
        option for parameter in main.commands[subcommand].params for option in parameter.opts
    }
    assert {word for word in rest if word.startswith("-")} <= options


def test_the_services_are_those_of_the_embedded_stack() -> None:
    demo = (ROOT / "ops/demo.py").read_text()
    started = set(re.findall(r'"(\w+)"', re.search(r"for name in \((.*?)\)", demo)[1]))  # type: ignore[index]
    assert started == {"ingest", "relay", "api"}
    plain = {it["command"][1] for it in OURS.values() if "profiles" not in it}
    assert plain == started | {"migrate"}


def test_every_variable_is_a_setting_or_a_listed_password() -> None:
    used = set(re.findall(r"\$\{(CORDEE_\w+)", TEXT))
    used |= {variable for _, variable, _ in variables() if variable.startswith("CORDEE_")}
    assert used <= SETTINGS | PASSWORDS


def test_no_password_is_written_down_or_has_a_default() -> None:
    for name, variable, value in variables():
        if SECRET.search(variable):
            assert re.fullmatch(r"'?\$\{CORDEE_\w+_PASSWORD:\?[^}]+\}'?", value), (name, variable)
        if "://" in value and not re.fullmatch(r"http://broker:\d+", value):
            assert re.search(r"://\w+:\$\{CORDEE_\w+_PASSWORD:\?[^}]+\}@", value), (name, variable)
    assert set(re.findall(r"\$\{(\w*PASSWORD\w*)(?!:\?|\w)", TEXT)) == set()


def test_no_value_of_ours_is_a_number_or_boolean_that_yaml_would_rewrite() -> None:
    assert [entry for entry in variables() if not isinstance(entry[2], str)] == []


@pytest.mark.parametrize("name", LASTING)
def test_what_lasts_is_checked_restarted_and_given_time_to_stop(name: str) -> None:
    service = LASTING[name]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["restart"] == "unless-stopped"
    assert re.fullmatch(r"\d+[sm]", service["stop_grace_period"])


@pytest.mark.parametrize("name", ENDING)
def test_what_ends_is_not_restarted(name: str) -> None:
    assert SERVICES[name]["restart"] == "no"


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_confined_and_its_log_limited(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    assert "privileged" not in service
    assert not any("docker.sock" in volume for volume in service.get("volumes", ()))


def test_only_the_broker_is_published_beyond_this_machine() -> None:
    published = {name: it["ports"] for name, it in SERVICES.items() if "ports" in it}
    assert published == {"broker": ["1883:1883"], "api": ["127.0.0.1:8000:8000"]}


def test_no_service_uses_the_hosts_network() -> None:
    assert [name for name, it in SERVICES.items() if "network_mode" in it] == []


def test_images_are_pinned_to_a_version() -> None:
    for name, service in SERVICES.items():
        if name not in OURS:
            assert re.search(r":\d+\.\d+\.\d+", service["image"]), name


@pytest.mark.parametrize("name", [name for name in OURS if name != "migrate"])
def test_our_services_wait_for_healthy_servers_and_the_migrations(name: str) -> None:
    waits = {other: it["condition"] for other, it in OURS[name]["depends_on"].items()}
    assert waits["database"] == waits["broker"] == "service_healthy"
    assert waits["migrate"] == "service_completed_successfully"


def test_dependencies_are_services_and_named_volumes_are_declared() -> None:
    declared = set(YAML(typ="safe").load(TEXT)["volumes"])
    for service in SERVICES.values():
        assert set(service.get("depends_on", ())) <= set(SERVICES)
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert (ROOT / source).is_file() if source.startswith("./") else source in declared


EMBEDDED_BROKER = NATS_CONFIG.replace("{max_file_store}", MAX_FILE_STORE)


def broker_options(config: str) -> dict[str, str]:
    """Return the options that say what the broker promises, not where it is."""
    names = ("max_payload", "sync_interval", "ack_wait", "max_ack_pending", "max_file_store")
    return {name: re.search(rf'{name}: "?(\w+)', config)[1] for name in names}  # type: ignore[index]


def test_the_broker_has_the_embedded_brokers_options() -> None:
    config = (ROOT / "deploy/nats.conf").read_text()
    assert broker_options(config) == broker_options(EMBEDDED_BROKER)


def test_all_of_ingests_subscriptions_fit_into_one_session() -> None:
    """NATS refuses a subscription beyond it, and its topics would never come."""
    each = int(broker_options(EMBEDDED_BROKER)["max_ack_pending"])
    assert each * len(SUBSCRIPTIONS) <= 65_535


@pytest.mark.parametrize("password", ["12345", "1k", "9e12", "0x1f", "4bad", "true", "d0e1f2"])
def test_nats_takes_the_password_as_compose_gives_it(password: str) -> None:
    given = SERVICES["broker"]["environment"]
    value = re.sub(r"\$\{[^}]+\}", password, given["CORDEE_BROKER_PASSWORD"])
    assert value == f"'{password}'"  # else NATS would read some as numbers, and others with a quote
    checked = subprocess.run(
        [NATS_SERVER, "-t", "-c", ROOT / "deploy/nats.conf"],
        env={"CORDEE_BROKER_USER": given["CORDEE_BROKER_USER"], "CORDEE_BROKER_PASSWORD": value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def test_nats_without_a_password_does_not_start() -> None:
    checked = subprocess.run(
        [NATS_SERVER, "-t", "-c", ROOT / "deploy/nats.conf"],
        env={},
        capture_output=True,
        check=False,
    )
    assert checked.returncode != 0


def test_the_build_sees_every_package_and_nothing_it_does_not_need() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    shown = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    assert shown == packages | {
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "requirements.lock",
    }
    assert all((ROOT / name).exists() for name in shown)


def test_the_image_installs_what_running_needs_and_no_tools() -> None:
    pinned = set(re.findall(r"^(\S+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {re.split(r"[>\[]", line)[0] for line in project["project"]["dependencies"]}
    assert wanted <= pinned
    assert "psycopg-binary" in pinned  # an extra's
    assert "starlette" in pinned  # a dependency's dependency
    assert not {"pytest", "mypy", "ruff", "playwright", "hypothesis", "uv"} & pinned


def test_the_image_runs_as_nobody_in_particular() -> None:
    last_stage = (ROOT / "deploy/Dockerfile").read_text().split("\nFROM ")[-1]
    assert re.search(r"^USER cordee$", last_stage, re.MULTILINE)
    assert "pip" not in last_stage
