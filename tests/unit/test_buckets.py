"""How often somebody may ask: a burst, then a steady rate, each by himself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.buckets import SWEEP_FROM, Limit, Recent


def test_a_burst_is_let_through_and_then_a_steady_rate() -> None:
    limit = Limit(rate_per_s=2.0, burst=3.0)
    assert [limit.take("a", 10.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert limit.take("a", 10.4) == pytest.approx(0.1)
    assert limit.take("a", 10.5) == 0.0
    assert limit.take("b", 10.5) == 0.0
    assert [limit.take("a", 1_000.0) for _ in range(4)][:3] == [0.0] * 3


def test_asking_how_long_takes_nothing() -> None:
    limit = Limit(rate_per_s=1.0, burst=1.0)
    assert [limit.wait_s("a", 0.0) for _ in range(9)] == [0.0] * 9
    assert limit.take("a", 0.0) == 0.0
    assert limit.wait_s("a", 0.0) == 1.0


@given(st.lists(st.floats(0, 3), max_size=60))
def test_never_more_than_burst_and_rate_allow(pauses: list[float]) -> None:
    limit, now, taken = Limit(rate_per_s=2.0, burst=5.0), 0.0, 0
    for pause in pauses:
        now += pause
        taken += limit.take("a", now) == 0.0
    assert taken <= 5 + 2 * now + 1e-6


def test_who_has_not_asked_for_long_is_forgotten() -> None:
    limit = Limit(rate_per_s=1.0, burst=1.0)
    for n in range(SWEEP_FROM):
        limit.take(f"old {n}", 0.0)
    limit.take("new", 100.0)
    assert len(limit._buckets) == 1


def test_a_key_is_remembered_for_a_while_from_when_it_was_added() -> None:
    recent = Recent(keep_s=60.0)
    assert not recent.has("a", 0.0)
    recent.add("a", 0.0)
    assert recent.has("a", 59.9)
    assert not recent.has("a", 60.0)
    assert not recent.has("b", 1.0)
    recent.add("a", 70.0)
    assert recent.has("a", 129.0)


def test_no_more_keys_are_remembered_than_there_may_be_and_those_seen_last() -> None:
    recent = Recent(keep_s=60.0, most=3)
    for n in range(1_000):
        recent.add(n, n / 100)
    assert [n for n in range(1_000) if recent.has(n, 10.0)] == [997, 998, 999]
    recent.add(997, 10.0)
    recent.add("new", 10.0)
    assert [key for key in (997, 998, 999, "new") if recent.has(key, 10.0)] == [997, 999, "new"]
    assert len(recent._seen) == 3
    recent.add("later", 100.0)
    assert len(recent._seen) == 1
