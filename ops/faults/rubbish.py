"""Messages that nobody should have to read, and some good ones among them: a function of the seed.

Every topic that ingest hears, every way to spoil a payload that has cost somebody a night: cut off, huge,
deep, of wrong types, no numbers, no UTF-8, NUL, beyond 64 bits, keys twice, codes that are none. Half of
all comes from one van that has gone mad. Each message differs from all others, so that each can be
counted.

This module must not know what becomes of a message.
"""

import json
import random
from collections.abc import Callable, Iterator
from typing import Final

from simulators.faults import Outgoing

MAD_SHARE: Final = 0.5
GOOD_SHARE: Final = 0.1
#: A megabyte each: a few are enough.
HUGE_SHARE: Final = 0.00005
HUGE_BYTES: Final = 1 << 20
DEEP: Final = 20_000
DEEP_SHARE: Final = 0.0005
UNKNOWN_SHARE: Final = 0.05

KINDS: Final = (
    "position", "position", "scan", "scan", "status", "owntracks", "report", "message", "orders",
)  # fmt: skip

Spoil = Callable[[random.Random, bytes, int], bytes]


def _cut(rng: random.Random, payload: bytes, number: int) -> bytes:
    return b'{"n":%d,' % number + payload[1 : rng.randrange(2, len(payload))]


def _wrong_type(rng: random.Random, payload: bytes, number: int) -> bytes:
    said = json.loads(payload)
    field = rng.choice(list(said))
    said[field] = rng.choice([[], {}, "12", True, [[said[field]]], {"a": said[field]}, ""])
    return json.dumps({"n": number, **said}).encode()


def _no_number(rng: random.Random, _payload: bytes, number: int) -> bytes:
    word = rng.choice([b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-0.0e", b"0x10", b"1_000"])
    return b'{"n":%d,"t":%s,"lat":%s,"lon":1,"epoch":"e","seq":1}' % (number, word, word)


def _no_utf8(rng: random.Random, payload: bytes, number: int) -> bytes:
    middle = rng.randrange(1, len(payload))
    bad = rng.choice([b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\x80"])
    return b'{"n":%d,' % number + payload[1:middle] + bad + payload[middle:]


def _nul(_rng: random.Random, payload: bytes, number: int) -> bytes:
    return payload[:-1] + b',"lot":"a\\u0000%d","note":"\x00"}' % number


def _nul_in_text(_rng: random.Random, _payload: bytes, number: int) -> bytes:
    return (
        b'{"epoch":"e\\u0000%d","seq":1,"t":1780000000000,"intent":"issue","code":"a\\u0000"}'
        % number
    )


def _beyond_64_bits(rng: random.Random, payload: bytes, number: int) -> bytes:
    big = rng.choice([2**63, 2**64, -(2**63) - 1, 10**40, 10**400])
    return b'{"n":%d,"t":%d,"seq":%d,"qty":%d,' % (number, big, big, big) + payload[1:]


def _key_twice(_rng: random.Random, payload: bytes, number: int) -> bytes:
    return b'{"n":%d,"t":"no","lat":null,"seq":0,' % number + payload[1:-1] + b',"t":[]}'


def _no_json(rng: random.Random, _payload: bytes, number: int) -> bytes:
    return b"%d " % number + rng.randbytes(rng.randrange(0, 60))


def _beyond_range(rng: random.Random, _payload: bytes, number: int) -> bytes:
    lat = rng.choice([91, -91, 1e308, 1000])
    return b'{"n":%d,"t":%d,"lat":%s,"lon":999}' % (
        number,
        rng.choice([0, -1, 10**18]),
        b"%g" % lat,
    )


def _array(rng: random.Random, _payload: bytes, number: int) -> bytes:
    bad = rng.choice([b"null", b"1", b"[]", b"{}", b'"x"', b'{"t":1}'])
    return b"[" + b",".join([bad] * rng.randrange(1, 4)) + b',{"n":%d}]' % number


SPOILS: Final[tuple[Spoil, ...]] = (
    _cut, _wrong_type, _no_number, _no_utf8, _nul, _nul_in_text, _beyond_64_bits, _key_twice, _no_json,
    _beyond_range, _array,
)  # fmt: skip


def _huge(number: int) -> bytes:
    return b'{"n":%d,"x":"' % number + b"x" * HUGE_BYTES


def _deep(number: int) -> bytes:
    return b'{"n":%d,"t":' % number + b"[" * DEEP


def rubbish(seed: int, count: int, vans: list[str], mad: str, now_ms: int) -> Iterator[Outgoing]:
    """Yield messages.

    Args:
        seed: Of everything.
        count: How many.
        vans: That are known.
        mad: The one among them that sends half of all.
        now_ms: The present; good messages are of the hour before.
    """
    rng = random.Random(f"rubbish {seed}")  # noqa: S311 - repeatable, not secret
    for number in range(count):
        van = mad if rng.random() < MAD_SHARE else rng.choice(vans)
        if rng.random() < UNKNOWN_SHARE:
            van = rng.choice([f"nobody-{number}", "van-ü", "VAN-001", "x" * 200, "null"])
        topic, good = _good(rng, van, number, now_ms)
        draw = rng.random()
        if draw < HUGE_SHARE:
            payload = _huge(number)
        elif draw < HUGE_SHARE + DEEP_SHARE:
            payload = _deep(number)
        elif draw < GOOD_SHARE and van != mad:
            payload = good
        else:
            payload = rng.choice(SPOILS)(rng, good, number)
        yield Outgoing(0, topic, payload)


def _good(rng: random.Random, van: str, number: int, now_ms: int) -> tuple[str, bytes]:
    """Return a good message on one of the topics, and the topic."""
    t = now_ms - 3_600_000 + number % 3_500_000
    kind = rng.choice(KINDS)
    if kind == "position":
        said: dict[str, object] = {"t": t, "lat": 48.1, "lon": 11.5, "acc_m": 5.0}
    elif kind == "scan":
        said = {
            "epoch": "poison", "seq": number + 1, "t": t, "intent": "issue", "code": f"C{number}",
        }  # fmt: skip
    elif kind == "report":
        said = {
            "epoch": "poison-r", "seq": number + 1, "t": t, "site": f"S{number}", "work": "w",
            "signer": "s", "signature_svg": "M0 0L9 9",
        }  # fmt: skip
    elif kind == "message":
        said = {"epoch": "poison-m", "seq": number + 1, "t": t, "text": f"words {number}"}
    elif kind == "status":
        said = {"state": "online", "t": t, "duty": "on"}
    elif kind == "owntracks":
        said = {"_type": "location", "lat": 48.1, "lon": 11.5, "tst": t / 1_000, "acc": 4}
        return f"owntracks/{van}/phone", json.dumps(said).encode()
    else:
        said = {"id": f"r-{number}", "t": t, "order": f"no-order-{number}", "kind": "accepted"}
        return "warehouse/v1/reports/WH", json.dumps(said).encode()
    return f"fleet/v1/{van}/{kind}", json.dumps(said).encode()
