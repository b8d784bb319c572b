"""Credentials as operators handle them, on running brokers: made, replaced, revoked, renewed."""

import asyncio
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import get_args

import aiomqtt
import msgspec
import psycopg
import pytest
from click.testing import CliRunner, Result
from cryptography import x509

from ingest import relay, service
from ingest.subscriber import open_session
from ops import embedded
from ops.access import raw_mqtt
from ops.cli import main
from ops.devices import certificates
from ops.devices.certificates import Authority
from ops.devices.provision import Kind, UnusableError
from storage.broker import UnusableFileError, tls
from storage.settings import Settings, as_datetime, real_ms
from tests.integration.test_access_mqtt import deployed
from tests.integration.test_ingest import scan
from tests.integration.test_stock_ledger import rows

KINDS = get_args(Kind)
WITHIN_S = 20
#: What a broker logs when it has read its files again; Mosquitto says it first, and does nothing else until then.
RELOADED = {"nats": "Reloaded server configuration", "mosquitto": "Reloading config"}
SHOWN = re.compile(r"^user +(\S+)\npassword +(\S+)$", re.MULTILINE)
GIVEN = {"CORDEE_INGEST_PASSWORD": "i" * 24, "CORDEE_RELAY_PASSWORD": "r" * 24}
POSITION = "fleet/v1/van-001/position"

Run = Callable[..., Result]


@pytest.fixture
def run(company_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `cordee provision ...` as an operator would."""
    monkeypatch.setenv("CORDEE_DATABASE_URL", company_url)
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)

    def provision(*words: object) -> Result:
        with ThreadPoolExecutor(1) as aside:  # where no event loop runs
            arguments = ["provision", *map(str, words)]
            result = aside.submit(CliRunner().invoke, main, arguments).result()
        if isinstance(result.exception, Exception):
            raise result.exception
        return result

    return provision


@dataclass
class Door:
    """A running broker that knows only whom `cordee provision` has let in."""

    kind: Kind
    child: embedded.Child
    folder: Path
    port: int
    inner_port: int
    run: Run

    def tell(self) -> None:
        """Write its files anew, make it read them, and wait until it has."""
        pid, before = self.child.process.pid, self.reloads()
        said = self.run("broker", "--folder", self.folder, "--kind", self.kind, "--pid", pid)
        assert said.exit_code == 0, said.output
        assert f"process {pid} told" in said.output
        embedded.wait_until(lambda: self.reloads() > before, self.child)

    def reloads(self) -> int:
        return self.child.log.read_text().count(RELOADED[self.kind])

    def client(self, user: str, password: str, **more: object) -> aiomqtt.Client:
        return aiomqtt.Client(
            "127.0.0.1",
            self.inner_port if user in {"ingest", "relay"} else self.port,
            username=user,
            password=password,
            identifier=str(more.pop("identifier", user)),
            timeout=WITHIN_S,
            **more,  # type: ignore[arg-type]
        )

    async def lets_in(self, user: str | None, password: str | None) -> bool:
        client = aiomqtt.Client("127.0.0.1", self.port, username=user, password=password)
        try:
            async with client:
                return True
        except aiomqtt.MqttError:
            return False


@pytest.fixture(params=KINDS)
def door(request: pytest.FixtureRequest, run: Run, tmp_path: Path) -> Iterator[Door]:
    kind: Kind = request.param
    written = run("broker", "--folder", tmp_path, "--kind", kind)
    assert written.exit_code == 0, written.output
    if kind == "nats":
        child, port = embedded.start_nats(tmp_path, more=embedded.NATS_USERS)
        inner = port
    else:
        child, port, inner = embedded.start_mosquitto(tmp_path, embedded.MOSQUITTO_USERS)
    yield Door(kind, child, tmp_path, port, inner, run)
    child.stop()


def shown(result: Result) -> tuple[str, str]:
    """Return the user and password that a command has shown."""
    assert result.exit_code == 0, result.output
    found = SHOWN.search(result.output)
    assert found, result.output
    return found[1], found[2]


async def until_closed(client: aiomqtt.Client) -> None:
    async with asyncio.timeout(WITHIN_S):
        with suppress(aiomqtt.MqttError):
            async for _ in client.messages:
                pass


async def arrives(sender: aiomqtt.Client, reader: aiomqtt.Client, payload: bytes) -> None:
    await sender.publish(POSITION.replace("001", "002"), payload, qos=1)
    async with asyncio.timeout(WITHIN_S):
        async for message in reader.messages:
            if message.payload == payload:
                return


async def test_a_revoked_van_is_out_at_once_and_nobody_else_notices(door: Door, run: Run) -> None:
    one, two = shown(run("van", "van-001")), shown(run("van", "van-002"))
    door.tell()
    async with door.client("ingest", "i" * 24) as reader, door.client(*two) as other:
        await reader.subscribe("fleet/v1/+/position", 1)
        async with door.client(*one) as van:
            await arrives(other, reader, b"before")
            assert "1 credentials of van van-001 ended" in run("van", "van-001", "--revoke").output
            door.tell()
            await until_closed(van)
        assert not await door.lets_in(*one)
        await arrives(other, reader, b"after")  # on the connections that were open before


async def test_during_a_rotation_both_are_let_in_and_then_only_the_new_one(
    door: Door, run: Run, company_url: str
) -> None:
    old = shown(run("van", "van-001"))
    new = shown(run("van", "van-001", "--rotate", "--hours", "2"))
    assert "good until" in run("list").output
    door.tell()
    async with door.client(*old) as before, door.client(*new) as after:
        await before.publish(POSITION, b"1", qos=1)
        await after.publish(POSITION, b"2", qos=1)
        with psycopg.connect(company_url) as conn:  # two hours later
            conn.execute(
                "UPDATE broker_credential SET created_time = created_time - interval '2 hours',"
                " revoked_time = revoked_time - interval '2 hours'"
            )
        door.tell()
        await until_closed(before)
        await after.publish(POSITION, b"3", qos=1)
        await after.unsubscribe("nothing")  # answered: still open
    assert not await door.lets_in(*old)
    assert await door.lets_in(*new)


async def test_a_rotation_of_no_hours_ends_the_old_one_at_once(door: Door, run: Run) -> None:
    old = shown(run("van", "van-001"))
    door.tell()
    async with door.client(*old) as lost:
        new = shown(run("van", "van-001", "--rotate", "--hours", "0"))
        door.tell()
        await until_closed(lost)
    assert await door.lets_in(*new)
    assert not await door.lets_in(*old)


async def test_nobody_gets_in_without_a_credential_even_if_there_is_none_at_all(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in GIVEN:
        monkeypatch.delenv(name)
    for kind in KINDS:
        folder = tmp_path / kind
        assert "0 users" in run("broker", "--folder", folder, "--kind", kind).output
        if kind == "nats":
            child, port = embedded.start_nats(folder, more=embedded.NATS_USERS)
        else:
            child, port, _ = embedded.start_mosquitto(folder, embedded.MOSQUITTO_USERS)
        try:
            door = Door(kind, child, folder, port, port, run)
            assert not await door.lets_in(None, None)
            assert not await door.lets_in("nobody", "")
            assert not await door.lets_in("van-001", "van-001")
        finally:
            child.stop()


async def test_a_services_new_password_from_settings_takes_the_place_of_the_old(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with door.client("ingest", "i" * 24) as before:
        door.tell()  # the same password: the connection stays
        await before.unsubscribe("nothing")
        monkeypatch.setenv("CORDEE_INGEST_PASSWORD", "j" * 24)
        door.tell()
        await until_closed(before)
    async with door.client("ingest", "j" * 24):
        pass


@pytest.mark.parametrize("door", ["mosquitto"], indirect=True)
async def test_a_van_cannot_take_over_the_session_of_ingest_by_its_client_id(
    door: Door, run: Run
) -> None:
    thief = shown(run("van", "van-001"))
    door.tell()
    name = "cordee-ingest"
    async with door.client("ingest", "i" * 24, identifier=name, clean_session=False) as reader:
        await reader.subscribe("fleet/v1/+/position", 1)
        async with door.client(*thief, identifier=name, clean_session=True) as van:
            await van.publish(POSITION, b"mine", qos=1)
            async with asyncio.timeout(WITHIN_S):
                assert (await anext(aiter(reader.messages))).payload == b"mine"


@pytest.mark.parametrize("door", ["nats"], indirect=True)
async def test_a_session_of_nats_that_a_van_takes_over_shows_it_nothing_it_may_not_read(
    door: Door, run: Run
) -> None:
    """NATS binds no client id to a user, so they cannot be guessed; and should one be known, then..."""
    victim, thief = shown(run("van", "van-001")), shown(run("van", "van-002"))
    door.tell()
    async with door.client("relay", "r" * 24) as base:
        async with door.client(*victim, clean_session=False) as van:
            await van.subscribe("fleet/v1/van-001/inbox", 1)
        await base.publish("fleet/v1/van-001/inbox", b"before", qos=1)
        client = door.client(*thief, identifier=victim[0], clean_session=False)
        async with client:
            await client.subscribe("fleet/v1/van-002/inbox", 1)
            await base.publish("fleet/v1/van-001/inbox", b"meanwhile", qos=1)
            await base.publish("fleet/v1/van-002/inbox", b"its own", qos=1)
            async with asyncio.timeout(WITHIN_S):
                assert (await anext(aiter(client.messages))).payload == b"its own"


async def test_without_a_pid_it_writes_and_with_one_that_is_gone_it_says_so(
    run: Run, tmp_path: Path
) -> None:
    assert run("broker", "--folder", tmp_path, "--kind", "nats").exit_code == 0
    pid_file = tmp_path / "nats.pid"
    said = run("broker", "--folder", tmp_path, "--kind", "nats", "--pid-file", pid_file)
    assert said.exit_code == 1
    assert "names no process: does the broker run?" in said.output


async def test_watching_lets_in_and_throws_out_by_itself(
    door: Door, run: Run, company_url: str
) -> None:
    pid = str(door.child.process.pid)
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "ops.cli",
        "provision",
        "broker",
        "--folder",
        door.folder,
    ]
    command += ["--kind", door.kind, "--pid", pid, "--watch", "0.2"]
    watching = embedded.start("the gatekeeper", command, door.folder / "watch.log")
    try:
        login = shown(run("van", "van-001"))
        async with asyncio.timeout(WITHIN_S * 2):
            while not await door.lets_in(*login):  # noqa: ASYNC110 - nothing here can wake us
                await asyncio.sleep(0.1)
        async with door.client(*login) as van:
            run("van", "van-001", "--revoke")
            await until_closed(van)
        watching.check()
    finally:
        watching.stop()


@pytest.fixture
def signer(tmp_path: Path) -> Authority:
    return certificates.authority(tmp_path / "authority", as_datetime(real_ms()))


@pytest.fixture
def trusting(tmp_path: Path, signer: Authority) -> Settings:
    return Settings(broker_ca=str(tmp_path / "authority/ca.pem"))


def serial_at(port: int, settings: Settings) -> int:
    """Return the serial number of the certificate that a server shows."""
    context = tls(settings)
    assert context is not None
    with (
        socket.create_connection(("127.0.0.1", port), WITHIN_S) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        shown_to_us = secured.getpeercert(binary_form=True)
    assert shown_to_us
    return x509.load_der_x509_certificate(shown_to_us).serial_number


@pytest.mark.parametrize("kind", KINDS)
async def test_a_renewed_certificate_is_shown_without_a_restart_and_nobody_is_dropped(
    kind: Kind, run: Run, tmp_path: Path, signer: Authority, trusting: Settings
) -> None:
    access, words = tmp_path / "access", ("--folder", tmp_path / "authority", "--name", "127.0.0.1")
    run("broker", "--folder", access, "--kind", kind)
    assert "written" in run("ca", *words, "--server", access).output
    assert "good as it is" in run("ca", *words, "--server", access).output
    with deployed(kind, tmp_path) as (child, _, port):
        before = serial_at(port, trusting)
        client = aiomqtt.Client(
            "127.0.0.1", port, username="ingest", password="i" * 24, tls_context=tls(trusting)
        )
        async with client:
            assert "written" in run("ca", *words, "--server", access, "--renew").output
            child.process.send_signal(signal.SIGHUP)
            async with asyncio.timeout(WITHIN_S):
                serial = before
                while serial == before:
                    serial = await asyncio.to_thread(serial_at, port, trusting)
            await client.unsubscribe("nothing")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_broker_that_asks_for_certificates_lets_in_nobody_without_one(
    kind: Kind, run: Run, tmp_path: Path, signer: Authority, trusting: Settings
) -> None:
    access = tmp_path / "access"
    words = ("ca", "--folder", tmp_path / "authority", "--name", "127.0.0.1")
    run("broker", "--folder", access, "--kind", kind)
    said = run(*words, "--server", access, "--public", access, "--client", "van-001")
    assert said.exit_code == 0, said.output
    own = trusting.model_copy(
        update={
            "broker_certificate": str(tmp_path / "authority/van-001.pem"),
            "broker_key": str(tmp_path / "authority/van-001.key"),
        }
    )
    with deployed(kind, tmp_path, asks_for_certificates=True) as (_, _, port):
        client = aiomqtt.Client(
            "127.0.0.1", port, username="ingest", password="i" * 24, tls_context=tls(own)
        )
        async with client:
            await client.unsubscribe("nothing")
        with pytest.raises(ssl.SSLError, match="certificate required"):
            async with asyncio.timeout(WITHIN_S):
                await raw_mqtt.answer(port, tls(trusting))


async def test_a_broker_of_another_authority_or_name_is_not_believed(
    run: Run, tmp_path: Path, trusting: Settings
) -> None:
    access = tmp_path / "access"
    run("broker", "--folder", access, "--kind", "nats")
    other, mine = tmp_path / "other", tmp_path / "authority"
    for folder, name in ((other, "127.0.0.1"), (mine, "broker.example")):
        said = run("ca", "--folder", folder, "--server", access, "--name", name)
        assert "written" in said.output
        with (
            deployed("nats", tmp_path) as (_, _, port),
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            await asyncio.to_thread(serial_at, port, trusting)


def test_openssl_believes_the_certificates(run: Run, tmp_path: Path) -> None:
    run("ca", "--folder", tmp_path, "--name", "broker.example", "--client", "van-001")
    for file, purpose in (("server.pem", "sslserver"), ("van-001.pem", "sslclient")):
        command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile"]
        subprocess.run(
            [*command, tmp_path / "ca.pem", tmp_path / file], check=True, capture_output=True
        )
    assert (tmp_path / "ca.key").stat().st_mode & 0o077 == 0
    assert (tmp_path / "van-001.key").stat().st_mode & 0o077 == 0
    assert (tmp_path / "server.key").stat().st_mode & 0o007 == 0


def test_a_certificate_is_renewed_in_its_last_month_or_for_another_name(tmp_path: Path) -> None:
    now = as_datetime(real_ms())
    signer = certificates.authority(tmp_path, now)
    made = [
        certificates.server(signer, tmp_path, names, now + timedelta(days=days))
        for days, names in (
            (0, ["a.example", "10.0.0.1"]),
            (366, ["10.0.0.1", "a.example"]),
            (368, ["a.example", "10.0.0.1"]),
            (368, ["a.example"]),
        )
    ]
    assert made == [True, False, True, True]
    another = certificates.authority(tmp_path / "another", now)
    assert certificates.server(another, tmp_path, ["a.example"], now + timedelta(days=368))


def test_half_an_authority_or_one_at_its_end_is_refused(tmp_path: Path) -> None:
    now = as_datetime(real_ms())
    certificates.authority(tmp_path, now)
    with pytest.raises(UnusableError, match="make one in another folder"):
        certificates.authority(tmp_path, now + timedelta(days=3_300))
    (tmp_path / "ca.key").unlink()
    with pytest.raises(UnusableError, match=r"only one of ca\.pem and ca\.key"):
        certificates.authority(tmp_path, now)


def test_a_setting_that_names_no_certificate_says_which(tmp_path: Path) -> None:
    with pytest.raises(UnusableFileError, match="CORDEE_BROKER_CA="):
        tls(Settings(broker_ca=str(tmp_path / "none.pem")))
    with pytest.raises(UnusableFileError, match="CORDEE_BROKER_CERTIFICATE="):
        tls(Settings(broker_tls=True, broker_certificate=str(tmp_path / "none.pem")))
    assert tls(Settings()) is None


@pytest.mark.parametrize("kind", KINDS)
async def test_a_scan_comes_in_and_its_receipt_goes_out_by_tls_each_by_its_own_user(
    kind: Kind, run: Run, company_url: str, tmp_path: Path, trusting: Settings
) -> None:
    access = tmp_path / "access"
    user, password = shown(run("van", "van-001"))
    run("broker", "--folder", access, "--kind", kind)
    run("ca", "--folder", tmp_path / "authority", "--server", access, "--name", "127.0.0.1")
    with deployed(kind, tmp_path) as (_, port, inner_port):
        base = trusting.model_copy(
            update={"database_url": company_url, "broker_port": inner_port, "tick_s": 0.05}
        )
        of = {
            name: base.model_copy(update={"broker_user": name, "broker_password": name[0] * 24})
            for name in ("ingest", "relay")
        }
        await open_session(of["ingest"])
        stop = asyncio.Event()
        van = aiomqtt.Client(
            "127.0.0.1", port, username=user, password=password, identifier=user,
            tls_context=tls(trusting),
        )  # fmt: skip
        async with asyncio.TaskGroup() as tasks, van:
            tasks.create_task(service.run(of["ingest"], stop))
            tasks.create_task(relay.run(of["relay"], stop))
            try:
                await van.subscribe("fleet/v1/van-001/receipt", 1)
                await van.publish("fleet/v1/van-001/scan", scan(1, "load", "FUSE", 2), qos=1)
                async with asyncio.timeout(WITHIN_S * 2):
                    message = await anext(aiter(van.messages))
                assert msgspec.json.decode(message.payload)["through"] == 1
            finally:
                stop.set()


#: As docs/DEPLOY.md has it.
MAPPINGS = """
mappings { "fleet.v1.*.position": "part.{{partition(4,1)}}.fleet.v1.{{wildcard(1)}}.position" }
"""


@pytest.mark.parametrize("is_told", [True, False])
async def test_a_mapped_topic_is_the_vans_own_too_if_the_setting_names_the_mapping(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_told: bool
) -> None:
    if is_told:
        monkeypatch.setenv("CORDEE_BROKER_MAPPED", "part.*.{subject}")
    login = shown(run("van", "van-001"))
    run("broker", "--folder", tmp_path, "--kind", "nats")
    users = (tmp_path / "users.conf").read_text()
    reader = '{ user: "reader", password: "plain", permissions: { subscribe: ["part", "part.>"] } }'
    (tmp_path / "users.conf").write_text(users.replace("users: [", f"users: [ {reader}"))
    child, port = embedded.start_nats(tmp_path, more=embedded.NATS_USERS + MAPPINGS)
    door = Door("nats", child, tmp_path, port, port, run)
    try:
        async with door.client("reader", "plain") as reading, door.client(*login) as van:
            await reading.subscribe("part/#", 1)
            await van.publish("fleet/v1/van-002/position", b"another's", qos=1)
            await van.publish("part/0/fleet/v1/van-002/position", b"another's, by the back", qos=1)
            await van.publish("fleet/v1/van-001/position", b"mine", qos=1)
            await reading.publish("part/barrier", b"barrier", qos=1)
            seen = []
            async with asyncio.timeout(WITHIN_S):
                async for message in reading.messages:
                    if message.payload == b"barrier":
                        break
                    seen.append((str(message.topic)[6:], message.payload))
            mine = [("/fleet/v1/van-001/position", b"mine")]
            assert seen == (mine if is_told else [])
    finally:
        child.stop()


def test_a_password_is_shown_once_and_stored_nowhere(
    run: Run, company_url: str, tmp_path: Path
) -> None:
    user, password = shown(run("van", "van-001", "--host", "broker.example", "--port", "8883"))
    (row,) = rows(company_url, "SELECT broker_credential::text FROM broker_credential")
    assert user in row[0]
    assert password not in row[0]
    listed = run("list").output
    assert user in listed
    assert password not in listed
    again = run("van", "van-001")
    assert again.exit_code == 1
    assert "--rotate replaces it, --revoke ends it" in again.output


def test_a_code_goes_to_a_file_or_to_the_terminal(run: Run, tmp_path: Path) -> None:
    said = run("van", "van-001", "--qr", tmp_path / "code.svg").output
    assert (tmp_path / "code.svg").read_text().startswith("<?xml")
    assert "▄" not in said
    drawn = run("van", "van-001", "--device", "phone").output
    assert "▄" in drawn
    assert run("van", "van-002", "--qr", tmp_path / "code.gif").exit_code == 2
    assert "van-002" not in run("list").output


def test_each_device_of_a_van_has_its_own_and_all_can_be_ended_together(run: Run) -> None:
    one, two = shown(run("van", "van-001")), shown(run("van", "van-001", "--device", "phone"))
    assert one != two
    assert run("van", "van-001", "--revoke", "--device", "phone").output.startswith("1 ")
    assert run("van", "van-001", "--revoke").output.startswith("1 ")
    assert "has no credential that is good" in run("van", "van-001", "--revoke").output
    shown(run("van", "van-001"))  # and a new one can be made


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("van", "van-999"), "there is no van 'van-999': import it first"),
        (("van", "a>b"), "brokers read as more than a name"),
        (("van", "van-001", "--rotate"), "make one without --rotate"),
        (("van", "van-001", "--rotate", "--revoke"), "either --rotate or --revoke"),
        (("van", "van-001", "--device", "My Phone"), "use 1 to 32 of"),
        (("service", "warehouse"), "name a warehouse by --warehouse"),
        (("service", "relay", "--warehouse", "WH"), "name a warehouse by --warehouse"),
        (("service", "warehouse", "--warehouse", "NONE"), "there is no warehouse 'NONE'"),
        (("ca", "--folder", "x"), "name the broker by --name"),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_to_do(
    words: tuple[str, ...], why: str, run: Run, company_url: str
) -> None:
    with psycopg.connect(company_url) as conn:
        conn.execute("INSERT INTO van (organisation_id, code, name) VALUES (1, 'a>b', 'Odd')")
    said = run(*words)
    assert said.exit_code in {1, 2}
    assert why in said.output
    assert rows(company_url, "SELECT count(*) FROM broker_credential") == [(0,)]


def test_a_warehouse_that_two_organisations_have_gets_no_topic(run: Run, company_url: str) -> None:
    with psycopg.connect(company_url) as conn:
        conn.execute(
            "INSERT INTO organisation (name) VALUES ('other');"
            "INSERT INTO warehouse (organisation_id, code, name, latitude_deg, longitude_deg)"
            " VALUES (2, 'WH', 'Theirs', 48, 2)"
        )
    assert "two organisations have" in run("service", "warehouse", "--warehouse", "WH").output


def test_a_short_password_in_settings_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORDEE_RELAY_PASSWORD", "short")
    said = run("broker", "--folder", tmp_path, "--kind", "nats")
    assert said.exit_code == 1
    assert "CORDEE_RELAY_PASSWORD cannot be used: it has not 24 to 72 bytes" in said.output
    assert not (tmp_path / "users.conf").exists()


def test_only_the_owner_and_the_group_can_read_what_is_written(run: Run, tmp_path: Path) -> None:
    for kind in KINDS:
        run("broker", "--folder", tmp_path, "--kind", kind)
    modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    assert modes == {"users.conf": 0o640, "passwords": 0o640, "access": 0o640}
