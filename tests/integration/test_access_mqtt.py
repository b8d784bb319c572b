"""Who can write and read what, tried on both brokers: embedded, and as deploy/ configures them.

The table is in ops/access/mqtt.py. That the trying notices is tried as well: a right too many or too
few must show.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import pytest

from ops import embedded
from ops.access import mqtt
from ops.access.mqtt import Broker, Findings
from ops.devices import certificates, provision
from ops.devices.provision import Kind
from ops.devices.rights import Rights, Role, rights
from storage.broker import tls
from storage.settings import Settings, as_datetime, real_ms

ROOT = Path(__file__).parents[2]
KINDS = get_args(Kind)

#: At least so many tries; fewer, and somebody or some topic was left out.
TRIES_MIN = 1_100


def here(kind: Kind, replaced: dict[str, str]) -> str:
    """Return a broker's configuration from deploy/, with this machine's paths and ports."""
    config = (ROOT / f"deploy/{kind}.conf").read_text()
    for old, new in replaced.items():
        assert old in config
        config = config.replace(old, new)
    return config


#: What deploy/ shows as comments, for whoever wants devices to have certificates.
COMMENTED = {
    "nats": {"# ca_file: ": "ca_file: ", "# verify: true": "verify: true"},
    "mosquitto": {"# cafile ": "cafile ", "# require_certificate ": "require_certificate "},
}


@contextmanager
def deployed(
    kind: Kind, folder: Path, *, asks_for_certificates: bool = False
) -> Iterator[tuple[embedded.Child, int, int]]:
    """Run a broker as deploy/ configures it; yield it, the vans' port and the services'."""
    asking = COMMENTED[kind] if asks_for_certificates else {}
    if kind == "mosquitto":
        moved = {
            "listener 8883": "listener {port} 127.0.0.1",
            "listener 8884": "listener {inner_port} 127.0.0.1",
            "/mosquitto/access": f"{folder}/access",
            "/mosquitto/data": str(folder),
        }
        child, port, inner_port = embedded.start_mosquitto(folder, here(kind, moved | asking))
    else:
        port = inner_port = embedded.free_port()
        moved = {
            "0.0.0.0:8883": f"127.0.0.1:{port}",
            "0.0.0.0:8222": f"127.0.0.1:{embedded.free_port()}",
            "127.0.0.1:4222": f"127.0.0.1:{embedded.free_port()}",
            "/data/jetstream": f"{folder}/jetstream",
            "/etc/nats/access": f"{folder}/access",
        }
        (folder / "nats.conf").write_text(here(kind, moved | asking))
        command: list[str | Path] = [embedded.NATS_SERVER, "-c", folder / "nats.conf"]
        child = embedded.start("NATS Server", command, folder / "nats.log")
    try:
        embedded.wait_until(embedded.listens(port), child)
        yield child, port, inner_port
    finally:
        child.stop()


def nothing_wrong(findings: Findings) -> None:
    assert findings.wrongly_allowed == []
    assert findings.wrongly_denied == []
    assert findings.tried > TRIES_MIN


@pytest.mark.parametrize("kind", KINDS)
async def test_everybody_may_do_what_the_table_says_and_nothing_else(
    kind: Kind, database_url: str, tmp_path: Path
) -> None:
    nothing_wrong(await mqtt.examine(database_url, kind, tmp_path))


@pytest.mark.parametrize("kind", KINDS)
async def test_the_deployed_brokers_hold_the_table_too_by_tls(
    kind: Kind, database_url: str, tmp_path: Path
) -> None:
    access, now = tmp_path / "access", as_datetime(real_ms())
    people, observer = await mqtt.prepare(database_url, kind, access)
    signer = certificates.authority(tmp_path / "authority", now)
    certificates.server(signer, access, ["127.0.0.1"], now)
    context = tls(Settings(broker_ca=str(tmp_path / "authority/ca.pem")))
    with deployed(kind, tmp_path) as (_, port, inner_port):
        broker = Broker(kind, port, inner_port, observer, context)
        nothing_wrong(await mqtt.attempt(broker, people))


#: A change of somebody's rights, and what must be noticed of it.
MISTAKES: dict[str, tuple[Role, Rights, str]] = {
    "a van's scans are forgotten": (
        "van",
        Rights(("fleet/v1/{}/position", "fleet/v1/{}/status", "owntracks/{}/+"),
               ("fleet/v1/{}/receipt", "fleet/v1/{}/inbox")),
        "denied: van A publishes fleet/v1/van-001/scan",
    ),
    "a van writes every position": (
        "van",
        Rights(("fleet/v1/+/position", "fleet/v1/{}/scan", "fleet/v1/{}/status", "owntracks/{}/+"),
               ("fleet/v1/{}/receipt", "fleet/v1/{}/inbox")),
        "allowed: van A publishes fleet/v1/van-001.b/position",
    ),
    "a van reads every inbox": (
        "van",
        Rights(("fleet/v1/{}/position", "fleet/v1/{}/scan", "fleet/v1/{}/status", "owntracks/{}/+"),
               ("fleet/v1/{}/receipt", "fleet/v1/+/inbox")),
        "allowed: van B subscribes to fleet/v1/van-001/inbox at QoS 1 for fleet/v1/van-001/inbox",
    ),
    "a warehouse reports for all": (
        "warehouse",
        Rights(("warehouse/v1/reports/+",), ("warehouse/v1/orders/#",)),
        "allowed: warehouse WH-1 publishes warehouse/v1/reports/WH-2",
    ),
    "the relay may publish no alerts": (
        "relay",
        Rights(("fleet/v1/+/receipt", "fleet/v1/+/inbox", "warehouse/v1/orders/+",
                "warehouse/v1/reports/+")),
        "denied: relay publishes planner/v1/alerts/van-001",
    ),
    "a planner's program reads nothing": (
        "planner",
        Rights(),
        "denied: planner subscribes to planner/v1/alerts/# at QoS 0 for planner/v1/alerts/van-001.b",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_right_too_many_or_too_few_is_noticed(
    mistake: str,
    kind: Kind,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    role, changed, noticed = MISTAKES[mistake]

    def mistaken(of: Role, code: str = "") -> Rights:
        if of != role:
            return rights(of, code)
        return Rights(
            tuple(topic.format(code) for topic in changed.publish),
            tuple(topic.format(code) for topic in changed.subscribe),
        )

    monkeypatch.setattr(provision, "rights", mistaken)
    monkeypatch.setattr(mqtt, "WAYS", ())
    people, observer = await mqtt.prepare(database_url, kind, tmp_path)
    concerned = {who: it for who, it in people.items() if who.startswith((role, "van"))}
    if kind == "nats":
        child, port = embedded.start_nats(tmp_path, more=embedded.NATS_USERS)
        broker = Broker(kind, port, port, observer)
    else:
        child, port, inner = embedded.start_mosquitto(tmp_path, embedded.MOSQUITTO_USERS)
        broker = Broker(kind, port, inner, observer)
    try:
        found = await mqtt.attempt(broker, concerned)
    finally:
        child.stop()
    said = [f"allowed: {it}" for it in found.wrongly_allowed]
    said += [f"denied: {it}" for it in found.wrongly_denied]
    assert noticed in said
    assert all(role in it for it in said)
