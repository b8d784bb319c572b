"""The compose file and what it mounts: judged as text, since no test has a Docker engine."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from ruamel.yaml import YAML

from ingest.messages import SUBSCRIPTIONS
from ops.cli import main
from ops.embedded import MAX_FILE_STORE, NATS_CONFIG
from storage.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
TEXT = COMPOSE.read_text()
SERVICES: dict[str, dict[str, Any]] = YAML(typ="safe").load(TEXT)["services"]
OURS = {name: it for name, it in SERVICES.items() if it["image"].startswith("cordee")}
ENDING = sorted({"migrate", "demo-seed", "certificates", "users"})
#: What the broker needs before it starts.
BEFORE_BROKER = {"certificates", "users"}
LASTING = {name: it for name, it in SERVICES.items() if name not in ENDING}
#: What .env holds that no process of ours reads under this name.
PASSWORDS = {"CORDEE_DATABASE_PASSWORD"}
#: What embedded servers need not have: certificates, and users that change while they run.
PROVISION = "provision"
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
    command = main.get_command(click.Context(main), subcommand)
    assert command is not None
    if isinstance(command, click.Group):
        command = command.commands[rest.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in rest if word.startswith("-")} <= options


def test_the_services_are_those_of_the_embedded_stack() -> None:
    demo = (ROOT / "ops/demo.py").read_text()
    started = set(re.findall(r'services\.start\(\s*"(\w+)"', demo)) - {"simulate"}
    started |= set(re.findall(r'"(\w+)"', re.search(r"for name in \((.*?)\)", demo)[1]))  # type: ignore[index]
    assert started == {"ingest", "relay", "api"}
    plain = {it["command"][1] for it in OURS.values() if "profiles" not in it}
    assert plain == started | {"migrate", PROVISION}


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
    assert published == {"broker": ["8883:8883"], "api": ["127.0.0.1:8000:8000"]}


def test_no_service_uses_the_hosts_network() -> None:
    assert [name for name, it in SERVICES.items() if "network_mode" in it] == []


def test_images_are_pinned_to_a_version() -> None:
    for name, service in SERVICES.items():
        if name not in OURS:
            assert re.search(r":\d+\.\d+\.\d+", service["image"]), name


@pytest.mark.parametrize("name", sorted(set(OURS) - BEFORE_BROKER - {"migrate", "gatekeeper"}))
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
    names = (
        "max_payload", "max_pending", "write_deadline", "sync_interval", "ack_wait",
        "max_ack_pending", "max_file_store",
    )  # fmt: skip
    return {name: re.search(rf'{name}: "?(\w+)', config)[1] for name in names}  # type: ignore[index]


def test_the_broker_has_the_embedded_brokers_options() -> None:
    config = (ROOT / "deploy/nats.conf").read_text()
    assert broker_options(config) == broker_options(EMBEDDED_BROKER)


def test_all_of_ingests_subscriptions_fit_into_one_session() -> None:
    """NATS refuses a subscription beyond it, and its topics would never come."""
    each = int(broker_options(EMBEDDED_BROKER)["max_ack_pending"])
    assert each * len(SUBSCRIPTIONS) <= 65_535


def test_no_two_services_share_a_user_at_the_broker() -> None:
    users = {name: it["environment"].get("CORDEE_BROKER_USER") for name, it in OURS.items()}
    assert {name: user for name, user in users.items() if user} == {
        "migrate": "ingest",  # it opens ingest's session
        "ingest": "ingest",
        "relay": "relay",
    }


def test_only_what_needs_a_password_is_given_it() -> None:
    given = {
        name: {key for key in it["environment"] if key.endswith("_PASSWORD")}
        for name, it in OURS.items()
    }
    writers = {"CORDEE_INGEST_PASSWORD", "CORDEE_RELAY_PASSWORD"}
    assert {name: keys for name, keys in given.items() if keys} == {
        **dict.fromkeys(("users", "gatekeeper"), writers),
        **{name: {"CORDEE_BROKER_PASSWORD"} for name in ("migrate", "ingest", "relay")},
    }


def test_the_authoritys_key_is_shown_to_one_service_and_the_brokers_files_to_those_who_write_them() -> (
    None
):
    who = {
        volume: {
            n
            for n, it in SERVICES.items()
            if any(volume in v.split(":")[0] for v in it.get("volumes", ()))
        }
        for volume in ("authority", "access")
    }
    assert who == {
        "authority": {"certificates"},
        "access": {"certificates", "users", "gatekeeper", "broker"},
    }
    assert "access:/etc/nats/access:ro" in SERVICES["broker"]["volumes"]


def test_every_service_that_connects_to_the_broker_can_check_its_certificate() -> None:
    for name in {*OURS} - BEFORE_BROKER - {"gatekeeper", "demo-seed"}:
        assert "trust:/trust:ro" in OURS[name]["volumes"], name
        assert OURS[name]["environment"]["CORDEE_BROKER_CA"] == "/trust/ca.pem"


def test_the_broker_waits_for_its_users_and_its_certificate() -> None:
    waits = {other: it["condition"] for other, it in SERVICES["broker"]["depends_on"].items()}
    assert waits == dict.fromkeys(BEFORE_BROKER, "service_completed_successfully")


def test_the_gatekeeper_sees_the_brokers_process_and_may_signal_it() -> None:
    gatekeeper = SERVICES["gatekeeper"]
    assert gatekeeper["pid"] == "service:broker"
    assert gatekeeper["command"][-2:] == ["--pid", "1"]
    assert gatekeeper["user"] == "0:0"  # as the broker's image; without a capability to be more
    assert "user" not in SERVICES["broker"]


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
