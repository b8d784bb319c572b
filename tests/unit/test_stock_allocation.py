"""Who gets what a warehouse has: jobs first, then who cannot work, then who would be fuller."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_tracker.resupply.allocation import Want, allocate

NOON = datetime(2026, 9, 21, 10, tzinfo=UTC)


def want(van: str, requested: int, **more: object) -> Want:
    usual: dict[str, object] = {
        "needed": 0, "due_at": None, "to_reorder_point": 0, "on_hand": 1, "order_up_to": 10,
        "pack_qty": 1, "cutoff_at": NOON,
    }  # fmt: skip
    return Want(van=van, requested=requested, **(usual | more))  # type: ignore[arg-type]


def test_enough_for_all_is_given_to_all() -> None:
    assert allocate([want("a", 3), want("b", 4)], 7) == [3, 4]


def test_jobs_come_first_the_earliest_before_the_others() -> None:
    wants = [
        want("a", 10, to_reorder_point=10, on_hand=0),
        want("b", 3, needed=3, due_at=NOON + timedelta(hours=5)),
        want("c", 3, needed=3, due_at=NOON + timedelta(hours=1)),
    ]
    assert allocate(wants, 4) == [0, 1, 3]
    assert allocate(wants, 8) == [2, 3, 3]


def test_nobody_is_filled_up_while_another_is_at_its_reorder_point() -> None:
    wants = [
        want("a", 9, to_reorder_point=1, on_hand=4),
        want("b", 9, to_reorder_point=5, on_hand=0),
    ]
    assert allocate(wants, 5) == [0, 5]
    assert allocate(wants, 6) == [1, 5]
    assert allocate(wants, 8) == [1, 7]


def test_the_rest_goes_in_whole_packs() -> None:
    wants = [want("a", 12, pack_qty=6, on_hand=0), want("b", 6, pack_qty=6, on_hand=5)]
    assert allocate(wants, 11) == [6, 0]
    assert allocate(wants, 17) == [12, 0]
    assert allocate(wants, 18) == [12, 6]


@pytest.mark.parametrize("stock", [0, -3])
def test_of_nothing_nobody_gets_anything(stock: int) -> None:
    assert allocate([want("a", 3, needed=3)], stock) == [0]


wants_of = st.lists(
    st.builds(
        want,
        st.sampled_from("abcdefgh"),
        st.integers(1, 30),
        needed=st.integers(0, 10),
        due_at=st.none() | st.datetimes().map(lambda t: t.replace(tzinfo=UTC)),
        to_reorder_point=st.integers(0, 10),
        on_hand=st.integers(0, 20),
        pack_qty=st.integers(1, 7),
    ),
    max_size=8,
    unique_by=lambda it: it.van,
)


@given(wants_of, st.integers(0, 150))
def test_no_more_is_given_than_there_is_or_than_anybody_asks(wants: list[Want], stock: int) -> None:
    given_to = allocate(wants, stock)
    assert sum(given_to) <= stock
    assert all(0 <= units <= it.requested for units, it in zip(given_to, wants, strict=True))


@given(wants_of, st.integers(0, 150), st.randoms())
def test_it_does_not_depend_on_the_order_of_the_wants(
    wants: list[Want], stock: int, rng: random.Random
) -> None:
    once = dict(zip([it.van for it in wants], allocate(wants, stock), strict=True))
    rng.shuffle(wants)
    assert dict(zip([it.van for it in wants], allocate(wants, stock), strict=True)) == once


@given(wants_of, st.integers(0, 150))
def test_a_van_lacks_for_its_jobs_only_if_no_other_is_above_its_own(
    wants: list[Want], stock: int
) -> None:
    given_to = allocate(wants, stock)
    lacking = any(
        units < min(it.needed, it.requested) for units, it in zip(given_to, wants, strict=True)
    )
    if lacking:
        assert all(units <= it.needed for units, it in zip(given_to, wants, strict=True))
