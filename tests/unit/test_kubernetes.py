"""The manifests: judged by Kubernetes' own schemas, and by what they must say of each other."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from ingest import partitions
from ops import cluster, embedded
from ops.cli import main
from storage.settings import Settings

FOLDER = Path(__file__).parents[2] / "deploy/kubernetes"
VERSION = "1.33"
SETTINGS = {f"CORDEE_{name.upper()}" for name in Settings.model_fields}
#: What `cordee-secrets` holds, as docs/SCALING.md says.
SECRETS = {
    "CORDEE_DATABASE_URL",
    "CORDEE_INGEST_CLIENT_ID",
    "CORDEE_INGEST_PASSWORD",
    "CORDEE_RELAY_PASSWORD",
}


def objects() -> Iterator[dict[str, Any]]:
    for file in sorted(FOLDER.glob("*.yaml")):
        for document in YAML(typ="safe").load_all(file.read_text()):
            yield from document["items"] if document["kind"] == "List" else [document]


OBJECTS = list(objects())
IDS = [f"{it['kind']} {it['metadata']['name']}" for it in OBJECTS]
WORKLOADS = [it for it in OBJECTS if it["kind"] in {"StatefulSet", "Deployment", "Job"}]
LASTING = [it for it in WORKLOADS if it["kind"] != "Job"]
NAMES = [it["metadata"]["name"] for it in WORKLOADS]
TOLD = next(
    it for it in OBJECTS if it["kind"] == "ConfigMap" and it["metadata"]["name"] == "cordee"
)
NATS_CONF = next(
    it for it in OBJECTS if it["kind"] == "ConfigMap" and it["metadata"]["name"] == "nats"
)


def pod(workload: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = workload["spec"]["template"]["spec"]
    return spec


def labels(workload: dict[str, Any]) -> dict[str, str]:
    its: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return its


def containers(workload: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod(workload).get("initContainers", ()), *pod(workload)["containers"]]


def selects(selector: dict[str, str], workload: dict[str, Any]) -> bool:
    return selector.items() <= labels(workload).items()


@pytest.mark.parametrize("it", OBJECTS, ids=IDS)
def test_every_object_is_one_by_the_schemas_of_kubernetes(it: dict[str, Any]) -> None:
    kubernetes_validate.validate(it, VERSION, strict=True)
    assert it["kind"] == "Namespace" or it["metadata"]["namespace"] == "cordee"


def test_no_two_objects_of_a_kind_have_one_name() -> None:
    assert len(set(IDS)) == len(IDS)


@pytest.mark.parametrize("it", LASTING, ids=lambda it: it["metadata"]["name"])
def test_what_lasts_selects_its_own_pods_and_is_disturbed_one_at_a_time(it: dict[str, Any]) -> None:
    assert selects(it["spec"]["selector"]["matchLabels"], it)
    (budget,) = [
        other
        for other in OBJECTS
        if other["kind"] == "PodDisruptionBudget"
        and selects(other["spec"]["selector"]["matchLabels"], it)
    ]
    assert budget["spec"]["maxUnavailable"] == 1
    assert it["spec"]["replicas"] >= 2


def test_services_and_policies_lead_to_ports_that_pods_name() -> None:
    for it in OBJECTS:
        if it["kind"] == "Service":
            (target,) = [w for w in WORKLOADS if selects(it["spec"]["selector"], w)]
            wanted = {port["targetPort"] for port in it["spec"]["ports"]}
        elif it["kind"] == "NetworkPolicy" and (chosen := it["spec"]["podSelector"]):
            (target,) = [w for w in WORKLOADS if selects(chosen["matchLabels"], w)]
            wanted = {port["port"] for rule in it["spec"]["ingress"] for port in rule["ports"]}
        else:
            continue
        named = {port["name"] for c in containers(target) for port in c.get("ports", ())}
        assert wanted <= named, it["metadata"]["name"]


@pytest.mark.parametrize("it", WORKLOADS, ids=NAMES)
def test_every_container_is_closed_and_what_it_mounts_is_there(it: dict[str, Any]) -> None:
    assert pod(it)["securityContext"]["runAsNonRoot"] is True
    assert pod(it)["automountServiceAccountToken"] is False
    volumes = {volume["name"] for volume in pod(it).get("volumes", ())}
    volumes |= {claim["metadata"]["name"] for claim in it["spec"].get("volumeClaimTemplates", ())}
    for container in containers(it):
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert {mount["name"] for mount in container.get("volumeMounts", ())} <= volumes


@pytest.mark.parametrize("it", LASTING, ids=lambda it: it["metadata"]["name"])
def test_what_serves_is_asked_whether_it_works_and_told_how_much_memory_it_has(
    it: dict[str, Any],
) -> None:
    served, *others = pod(it)["containers"]
    assert {"readinessProbe", "livenessProbe"} <= served.keys()
    for container in (served, *others):
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("it", WORKLOADS, ids=NAMES)
def test_our_containers_run_a_subcommand_with_settings_that_exist(it: dict[str, Any]) -> None:
    for container in containers(it):
        if container["image"].startswith("nats:"):
            continue
        program, subcommand, *rest = container["command"]
        assert program == "cordee"
        command = main.get_command(click.Context(main), subcommand)
        assert command is not None
        if isinstance(command, click.Group):
            command = command.commands[rest.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word.split("=")[0] for word in rest if word.startswith("-")} <= options
        assert {variable["name"] for variable in container.get("env", ())} <= SETTINGS
        sources = list(container["envFrom"])
        assert sources == [
            {"configMapRef": {"name": "cordee"}},
            {"secretRef": {"name": "cordee-secrets"}},
        ]


def test_what_is_told_are_settings_that_can_be_read_and_secrets_are_not_among_them() -> None:
    assert TOLD["data"].keys() | SECRETS <= SETTINGS
    assert not TOLD["data"].keys() & SECRETS
    Settings(
        **{name.removeprefix("CORDEE_").lower(): value for name, value in TOLD["data"].items()}
    )
    said = (FOLDER.parents[1] / "docs/SCALING.md").read_text()
    assert all(name in said for name in SECRETS)


def test_ingest_knows_every_server_of_the_cluster_and_the_certificate_names_them() -> None:
    (nats,) = [it for it in LASTING if it["kind"] == "StatefulSet"]
    servers = [f"nats-{number}.nats" for number in range(nats["spec"]["replicas"])]
    told = TOLD["data"]
    named = [
        told["CORDEE_BROKER_HOST"],
        *re.findall(r"([\w.-]+):8883", told["CORDEE_BROKER_OTHERS"]),
    ]
    assert named == servers
    assert re.findall(r"nats://([\w.-]+):6222", NATS_CONF["data"]["nats.conf"]) == servers
    assert nats["spec"]["serviceName"] == "nats"


def test_the_servers_map_as_many_partitions_as_ingest_reads() -> None:
    count = int(TOLD["data"]["CORDEE_PARTITIONS"])
    assert partitions.nats_mappings(count) in NATS_CONF["data"]["nats.conf"]
    (ingest,) = [it for it in LASTING if it["metadata"]["name"] == "ingest"]
    assert count > ingest["spec"]["replicas"]


def test_the_options_of_the_servers_are_those_that_tests_kill() -> None:
    text = NATS_CONF["data"]["nats.conf"]
    tested = cluster.CONFIG.format(
        number=0, client_port=0, monitor_port=0, route_port=0, mqtt_port=0, folder="", routes="",
        max_file_store="", ack_wait_s=cluster.ACK_WAIT_S, store_within_s=cluster.STORE_WITHIN_S,
    )  # fmt: skip
    for option in (
        "ack_wait", "max_ack_pending", "stream_replicas", "js_api_timeout", "max_payload", "sync_interval",
        "max_pending", "write_deadline",
    ):  # fmt: skip
        pattern = rf"\b{option}: ([^\s,]+)"
        assert re.findall(pattern, text) == re.findall(pattern, tested) != [], option


def test_a_server_takes_the_configuration(tmp_path: Path) -> None:
    text = NATS_CONF["data"]["nats.conf"]
    without_tls = re.sub(r"tls \{[^}]*\}", "", text)
    (tmp_path / "access").mkdir()
    (tmp_path / "access/users.conf").write_text("users: [ { user: a, password: b } ]\n")
    (tmp_path / "nats.conf").write_text(without_tls)
    checked = subprocess.run(
        [embedded.NATS_SERVER, "-t", "-c", tmp_path / "nats.conf"],
        env={**os.environ, "POD_NAME": "nats-0"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
