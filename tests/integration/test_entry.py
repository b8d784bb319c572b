"""What `cordee doctor` says of who can come in: vans, everybody by TLS, and somebody who can sign in."""

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import psycopg
import pytest
from click.testing import CliRunner

from ops import doctor, entry
from ops.cli import main
from ops.devices import certificates
from ops.devices.provision import Kind
from ops.services import environment
from storage.settings import Settings
from tests.integration.api_client import new_admin, new_user
from tests.integration.test_access_mqtt import deployed

KINDS = get_args(Kind)
#: Certificates tell whole seconds.
NOW = datetime.now(UTC).replace(microsecond=0)
ROOT = Path(__file__).parents[2]


def said_of(settings: Settings, *words: str) -> list[str]:
    """Return what doctor says that holds one of these words, as it prints it."""
    findings = asyncio.run(doctor.examine(settings))
    return [f"{it.mark}  {it.text}" for it in findings if any(word in it.text for word in words)]


def cordee(monkeypatch: pytest.MonkeyPatch, settings: Settings, *words: object) -> str:
    """Run `cordee ...` as an operator would, and return what it says."""
    monkeypatch.setenv("CORDEE_DATABASE_URL", settings.database_url)
    result = CliRunner().invoke(main, [*map(str, words)])
    assert result.exit_code == 0, result.output
    return result.output


# ---- vans

MISSED = (
    "BAD  no credential at the broker, so it will not let them in: {}."
    " `cordee provision van CODE` makes one"
)


def test_where_no_credential_was_ever_made_nobody_is_missed(settings: Settings) -> None:
    assert said_of(settings, "credential") == []


def test_the_vans_without_a_credential_are_named_with_the_command(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    cordee(monkeypatch, settings, "provision", "van", "van-001")
    assert said_of(settings, "credential") == [MISSED.format("van-002")]
    cordee(monkeypatch, settings, "provision", "van", "van-002")
    assert said_of(settings, "credential") == ["ok   every van has a credential at the broker"]


@pytest.mark.parametrize("given", [{"broker_user": "relay"}, {"ingest_password": "i" * 24}])
def test_a_broker_that_asks_our_services_is_to_let_in_vans_too(
    settings: Settings, given: dict[str, str]
) -> None:
    asking = settings.model_copy(update=given)
    assert said_of(asking, "credential") == [MISSED.format("van-001, van-002")]


def test_of_many_vans_only_the_first_are_named(settings: Settings) -> None:
    with psycopg.connect(settings.database_url) as conn:
        conn.execute(
            "INSERT INTO van (organisation_id, code, name)"
            " SELECT 1, format('w-%s', n), 'more' FROM generate_series(10, 20) AS n"
        )
    (line,) = said_of(settings.model_copy(update={"broker_user": "ingest"}), "credential")
    assert "van-001, van-002, w-10, w-11, w-12 and 8 more" in line


def test_a_van_whose_credential_was_ended_is_missed_once_a_tour_sends_it_out(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for van in ("van-001", "van-002"):
        cordee(monkeypatch, settings, "provision", "van", van)
    cordee(monkeypatch, settings, "provision", "van", "van-002", "--revoke")
    assert said_of(settings, "credential") == [
        "ok   vans whose credentials were ended, without a tour ahead: 1"
    ]
    with psycopg.connect(settings.database_url) as conn:  # the clock of these tests shows that day
        conn.execute("INSERT INTO tour (code, van_id, service_date) VALUES ('T', 2, '2026-09-21')")
    assert said_of(settings, "credential") == [MISSED.format("van-002")]


def test_an_old_credential_counts_until_its_time_is_over(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for van in ("van-001", "van-002"):
        cordee(monkeypatch, settings, "provision", "van", van)
    ends = "UPDATE broker_credential SET revoked_time = now() + %s WHERE van_id = 2"
    with psycopg.connect(settings.database_url, autocommit=True) as conn:
        conn.execute(ends, (timedelta(hours=1),))
        assert said_of(settings, "credential") == ["ok   every van has a credential at the broker"]
        conn.execute("UPDATE broker_credential SET created_time = now() - interval '2 h'")
        conn.execute(ends, (timedelta(hours=-1),))
        assert said_of(settings, "credential") == [
            "ok   vans whose credentials were ended, without a tour ahead: 1"
        ]


# ---- certificates


def made_since(folder: Path, since: datetime) -> Settings:
    """Make an authority, the broker's certificate and a client's; return what the client knows."""
    signer = certificates.authority(folder / "authority", since)
    certificates.server(signer, folder / "access", ["127.0.0.1"], since)
    own = certificates.client(signer, folder / "authority", "cordee", since)
    return Settings(
        broker_ca=str(folder / "authority/ca.pem"),
        broker_certificate=str(own),
        broker_key=str(own.with_suffix(".key")),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_certificate_that_the_broker_shows_is_told_in_its_last_30_days_and_after(
    kind: Kind, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    since = NOW - timedelta(hours=12)  # so that no day turns meanwhile
    files = made_since(tmp_path, since)
    cordee(
        monkeypatch,
        settings,
        "provision",
        "broker",
        "--folder",
        tmp_path / "access",
        "--kind",
        kind,
    )
    with deployed(kind, tmp_path) as (_, _, port):
        at = files.model_copy(update={"broker_port": port, "broker_certificate": ""})

        def told(days: int) -> list[tuple[bool, str]]:
            found = entry.certificates(at, since + timedelta(days=days))
            return [(it.is_bad, it.text) for it in found if "the broker's" in it.text]

        ends = since + timedelta(days=certificates.SERVER_DAYS)
        day = f"{ends:%Y-%m-%d}"
        assert told(certificates.SERVER_DAYS - 30) == [
            (False, f"the broker's certificate is good until {day}")
        ]
        renew = "renew it, or nobody will connect (docs/DEPLOY.md, Certificates)"
        assert told(certificates.SERVER_DAYS - 29) == [
            (True, f"the broker's certificate ends on {day}, in 29 days: {renew}")
        ]
        assert told(certificates.SERVER_DAYS + 1) == [
            (True, f"the broker's certificate has ended on {day}: {renew}")
        ]


def test_a_certificate_that_has_ended_is_named_beside_the_connection_that_it_costs(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = made_since(tmp_path, NOW - timedelta(days=certificates.SERVER_DAYS + 1))
    cordee(
        monkeypatch,
        settings,
        "provision",
        "broker",
        "--folder",
        tmp_path / "access",
        "--kind",
        "nats",
    )
    with deployed("nats", tmp_path) as (_, _, port):
        at = settings.model_copy(update={"broker_port": port, "broker_ca": files.broker_ca})
        # As a process of its own: paho leaves it to the collector to close what was not believed.
        result = subprocess.run(
            [sys.executable, "-m", "ops.cli", "doctor"],
            cwd=ROOT,
            env={**os.environ, **environment(at)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert result.returncode == 1, result.stderr
    refused, ended, authority = (
        line for line in result.stdout.splitlines() if "certificate" in line or "authority" in line
    )
    assert refused.startswith(f"BAD  no broker at 127.0.0.1:{port}: ")
    assert "certificate has expired" in refused
    assert ended.startswith("BAD  the broker's certificate has ended on ")
    assert authority.startswith(f"ok   the authority in CORDEE_BROKER_CA={files.broker_ca} is good")


def test_the_files_that_settings_name_are_told_in_their_last_30_days(tmp_path: Path) -> None:
    files = made_since(tmp_path, NOW)
    with Path(files.broker_certificate).open("ab") as with_chain:
        with_chain.write(Path(files.broker_ca).read_bytes())

    def told(days: int) -> list[str]:
        found = entry.certificates(files, NOW + timedelta(days=days, minutes=1))
        return [f"{it.mark}  {it.text.partition(':')[0]}" for it in found]

    own, authority = (
        f"CORDEE_BROKER_CERTIFICATE={files.broker_certificate}",
        f"CORDEE_BROKER_CA={files.broker_ca}",
    )
    own_ends = f"{NOW + timedelta(days=certificates.CLIENT_DAYS):%Y-%m-%d}"
    authority_ends = f"{NOW + timedelta(days=certificates.CA_DAYS):%Y-%m-%d}"
    assert told(0) == [
        f"ok   the authority in {authority} is good until {authority_ends}",
        f"ok   our own {own} is good until {own_ends}",
    ]
    assert told(certificates.CLIENT_DAYS - 30)[1] == (
        f"BAD  our own {own} ends on {own_ends}, in 29 days"
    )
    assert told(certificates.CA_DAYS - 1) == [
        f"BAD  the authority in {authority} ends on {authority_ends}, in 0 days",
        f"BAD  our own {own} has ended on {own_ends}",
    ]


def test_while_one_authority_follows_another_the_later_end_counts(tmp_path: Path) -> None:
    old = made_since(tmp_path / "old", NOW - timedelta(days=certificates.CA_DAYS - 10))
    new = made_since(tmp_path / "new", NOW)
    both = tmp_path / "both.pem"
    both.write_bytes(Path(old.broker_ca).read_bytes() + Path(new.broker_ca).read_bytes())
    marks = [
        [it.mark for it in entry.certificates(Settings(broker_ca=str(file)), NOW)]
        for file in (old.broker_ca, both)
    ]
    assert marks == [["BAD"], ["ok "]]


def test_an_authority_that_only_openssl_reads_is_said_to_be_unread(tmp_path: Path) -> None:
    trusted = tmp_path / "trusted.pem"
    command = ["openssl", "x509", "-trustout", "-in", made_since(tmp_path, NOW).broker_ca]
    trusted.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    (only,) = entry.certificates(Settings(broker_ca=str(trusted)), NOW)
    assert (only.mark, only.text) == (
        "ok ", f"the authority in CORDEE_BROKER_CA={trusted}: when it ends cannot be read",
    )  # fmt: skip


def test_without_tls_and_without_a_broker_nothing_is_said_of_certificates(tmp_path: Path) -> None:
    assert list(entry.certificates(Settings(), NOW)) == []
    gone = Settings(broker_ca=str(tmp_path / "none.pem"))
    assert list(entry.certificates(gone, NOW)) == []
    (only,) = entry.certificates(Settings(broker_ca=made_since(tmp_path, NOW).broker_ca), NOW)
    assert only.text.startswith("the authority in")


# ---- people


def admins(settings: Settings, **given: str) -> str:
    (line,) = said_of(settings.model_copy(update=given), "admin")
    return line


def test_a_company_in_which_nobody_is_admin_is_told_how_to_make_one(settings: Settings) -> None:
    new_user(settings.database_url, "ana", "planner")
    assert admins(settings) == (
        "BAD  nobody who may sign in is admin: `cordee user add LOGIN --role admin`"
    )
    new_admin(settings.database_url)
    assert admins(settings) == "ok   admins who can sign in: 1"
    with psycopg.connect(settings.database_url) as conn:
        conn.execute("UPDATE app_user SET state = 'disabled' WHERE login = 'boss'")
    assert admins(settings).startswith("BAD  nobody who may sign in is admin")


def test_an_admin_without_a_password_counts_if_the_identity_provider_can_name_him(
    settings: Settings,
) -> None:
    new_user(settings.database_url, "boss", "admin")
    provider = {"oidc_issuer": "https://id.example"}
    assert admins(settings) == (
        "BAD  no admin can sign in: 1 without a password, and no identity provider is set."
        " `cordee user list` names them, `cordee user password LOGIN` gives one"
    )
    assert "1 without a password, and no e-mail to be found by" in admins(settings, **provider)
    by_login = {**provider, "oidc_claim": "preferred_username"}
    assert admins(settings, **by_login) == "ok   admins who can sign in: 1"
    with psycopg.connect(settings.database_url) as conn:
        conn.execute("UPDATE app_user SET email = 'boss@example.com'")
    assert admins(settings, **provider) == "ok   admins who can sign in: 1"
