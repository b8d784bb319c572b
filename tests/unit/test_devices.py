"""Names, passwords, rights and what brokers are told of them: without a broker."""

import base64
import io
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from api.devices import mosquitto_hash
from api.passwords import ALPHABET
from ops.devices import mosquitto, nats, passwords, tablet
from ops.devices.provision import Made, UnusableError
from ops.devices.rights import ROLES, Rights, refusal, rights
from ops.devices.tablet import Address

MADE = Made(
    "van", "van-001", "phone", "van-001-abcdefghijkm", "aaaa-bbbb-cccc-dddd-eeee-ffff",
    "tttt-uuuu-vvvv-wwww-xxxx-yyyy",
)  # fmt: skip
ADDRESS = Address("broker.example", 8883, tls=True)


@pytest.mark.parametrize(
    "code",
    ["", "a/b", "a+", "#", "*", "a>", "van *", "van 1", "van\t1", "a\nb", "$SYS", "a:b", "%u", 'a"b',
     "a\\b", "a\x00", "a\x7f", "x" * 65],
)  # fmt: skip
def test_a_code_that_a_broker_reads_as_more_than_a_name_is_refused(code: str) -> None:
    assert refusal(code)
    with pytest.raises(ValueError, match=r"code|in it"):
        rights("van", code)


@pytest.mark.parametrize("code", ["van-001", "van.001", "..", "VAN_1", "Gruyère", "1", "a,b=c"])
def test_a_usual_code_is_not_refused(code: str) -> None:
    assert refusal(code) is None


@given(st.text(min_size=1, max_size=64))
def test_whatever_is_not_refused_is_one_level_without_a_wildcard_at_both_brokers(code: str) -> None:
    if refusal(code):
        return
    for topic in rights("van", code).publish[:3]:
        assert topic.split("/")[2] == code
        (subject,) = nats.subjects(topic)
        assert len(subject.split(".")) == 4
        assert not set(subject) & set("*>")


def test_a_dot_in_a_code_is_written_as_nats_writes_it() -> None:
    assert list(nats.subjects("fleet/v1/a.b/position")) == ["fleet.v1.a//b.position"]


def test_a_filter_of_many_levels_covers_the_level_above_it() -> None:
    assert list(nats.subjects("a/+/#")) == ["a.*.>", "a.*"]


def test_a_mapped_subject_is_allowed_beside_its_own() -> None:
    assert list(nats.subjects("a/+", "part.*.{subject}")) == ["a.*", "part.*.a.*"]


def test_who_may_publish_nothing_is_denied_everything() -> None:
    text = nats.users_text([("x", "h", rights("planner"))])
    line = next(line for line in text.splitlines() if '"x"' in line)
    assert 'publish: {"deny": [">"]}' in line
    assert "planner.v1.alerts.>" in line


def test_without_users_nats_is_told_of_one_whom_nobody_can_be() -> None:
    assert '{"deny": [">"]}, subscribe: {"deny": [">"]}' in nats.users_text([])


def test_every_role_may_do_something() -> None:
    for role in ROLES:
        assert rights(role, "x") != Rights()


def test_a_password_has_at_least_24_random_characters_and_is_never_the_same() -> None:
    made = {passwords.new_password() for _ in range(200)}
    assert len(made) == 200
    assert all(len(it.replace("-", "")) == 24 for it in made)
    assert all(passwords.unusable(it) is None for it in made)


@pytest.mark.parametrize("stem", ["van-001", "van.001", "Gruyère", "..", "x" * 64])
def test_a_user_name_is_plain_whatever_the_code(stem: str) -> None:
    made = passwords.new_user_name(stem)
    assert set(made) <= set(ALPHABET + "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789lo_-")
    assert len(made) <= 64
    assert made != passwords.new_user_name(stem)


def test_a_password_matches_its_own_hashes_only() -> None:
    known = passwords.hashes("a" * 24)
    assert passwords.matches("a" * 24, known)
    assert not passwords.matches("b" * 24, known)
    assert known != passwords.hashes("a" * 24)


@pytest.mark.parametrize("password", ["short", "x" * 23, "x" * 73])
def test_a_password_of_somebody_elses_must_be_long_but_not_cut_off(password: str) -> None:
    assert passwords.unusable(password)


def test_mosquittos_own_tool_writes_the_same_hash_for_the_same_salt(tmp_path: Path) -> None:
    program = shutil.which("mosquitto_passwd")
    assert program is not None, "install Mosquitto: apt-get install mosquitto"
    file = tmp_path / "passwords"
    command = [program, "-b", "-c", file, "u", "a password of ours"]
    subprocess.run(command, check=True, capture_output=True)
    theirs = file.read_text().strip().removeprefix("u:")
    _, kind, rounds, salt, _ = theirs.split("$")
    assert kind == "7"
    assert mosquitto_hash("a password of ours", base64.b64decode(salt), int(rounds)) == theirs


def test_mosquitto_is_told_users_and_topics_line_by_line() -> None:
    assert mosquitto.passwords_text([("u", "$7$h")]).endswith("\nu:$7$h\n")
    text = mosquitto.access_text([("u", rights("warehouse", "WH"))])
    assert text.endswith(
        "\nuser u\ntopic write warehouse/v1/reports/WH\ntopic read warehouse/v1/orders/#\n"
    )


def test_owntracks_reads_its_configuration_from_the_link() -> None:
    link = urlsplit(tablet.owntracks(MADE, ADDRESS))
    assert (link.scheme, link.path) == ("owntracks", "/config")
    (inline,) = parse_qs(link.query)["inline"]
    read = msgspec.json.decode(base64.b64decode(inline))
    assert read["_type"] == "configuration"
    assert (read["host"], read["port"], read["tls"]) == ("broker.example", 8883, True)
    assert (read["username"], read["password"]) == (MADE.user_name, MADE.password)
    assert read["clientId"] == MADE.user_name
    assert read["pubTopicBase"] == "owntracks/van-001/phone"
    assert read["pubQos"] == 1


def test_owntracks_may_be_told_to_speak_http() -> None:
    link = urlsplit(tablet.owntracks(MADE, replace(ADDRESS, api="https://api.example")))
    read = msgspec.json.decode(base64.b64decode(parse_qs(link.query)["inline"][0]))
    assert (read["mode"], read["url"]) == (3, "https://api.example/v1/ingress/owntracks")
    assert (read["username"], read["password"], read["auth"]) == (
        MADE.user_name, MADE.password, True,
    )  # fmt: skip
    assert "host" not in read


def test_traccar_client_is_told_where_to_send_and_its_token_and_no_password() -> None:
    """The app takes what stands before the question mark as its server, and `id` as identifier."""
    link = urlsplit(tablet.traccar(MADE, replace(ADDRESS, api="https://api.example")))
    assert f"{link.scheme}://{link.netloc}{link.path}" == "https://api.example/v1/ingress/osmand"
    assert parse_qs(link.query)["id"] == [MADE.token]
    assert MADE.password not in link.geturl()
    with pytest.raises(UnusableError, match="--api"):
        tablet.traccar(MADE, ADDRESS)


@pytest.mark.parametrize("app", ["owntracks", "cordee", "traccar"])
def test_the_picture_of_a_code_is_read_back_as_what_it_says(
    app: tablet.App, tmp_path: Path
) -> None:
    file = tmp_path / "code.png"
    text = tablet.content(MADE, replace(ADDRESS, api="https://api.example"), app)
    tablet.save(text, file)
    (read,) = zxingcpp.read_barcodes(Image.open(file))
    assert read.text == text
    assert file.stat().st_mode & 0o777 == 0o600


def test_our_own_code_holds_all_that_a_device_needs() -> None:
    read = msgspec.json.decode(tablet.setup(MADE, ADDRESS), type=tablet.Setup)
    assert (read.user, read.client_id, read.password) == (
        MADE.user_name,
        MADE.user_name,
        MADE.password,
    )
    assert (read.van, read.device, read.tls) == ("van-001", "phone", True)


def test_a_code_is_drawn_on_a_terminal() -> None:
    out = io.StringIO()
    tablet.draw("x", out)
    assert out.getvalue().count("\n") > 10


def test_a_picture_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableError, match=r"must end in \.png or \.svg"):
        tablet.save("x", tmp_path / "code.gif")
