"""How many to propose: every rounding branch, and that an order always lifts above the trigger."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_tracker.resupply.replenish import (
    NOT_HELD,
    Policy,
    Position,
    in_words,
    inputs,
    quantity,
    short,
)


def position(on_hand: int, policy: Policy, on_order: int = 0) -> Position:
    return Position(1, 2, on_hand, on_order, policy)


PIECES = Policy(reorder_point=4, order_up_to=10, cap=20, pack_qty=1)


@pytest.mark.parametrize(
    ("on_hand", "on_order", "wanted"),
    [
        (0, 0, 10),
        (4, 0, 6),  # at the reorder point is not above it
        (5, 0, 0),
        (4, 1, 0),  # what is coming counts
        (0, 4, 6),
        (0, 5, 0),
        (100, 0, 0),
    ],
)
def test_it_orders_up_to_the_level_at_or_below_the_reorder_point(
    on_hand: int, on_order: int, wanted: int
) -> None:
    assert quantity(position(on_hand, PIECES, on_order)) == wanted


def test_whole_packs_are_rounded_up_where_the_cap_has_room() -> None:
    assert quantity(position(0, Policy(4, 10, 12, 6))) == 12
    assert quantity(position(0, Policy(4, 12, 12, 6))) == 12  # nothing to round


def test_whole_packs_are_rounded_down_where_up_would_pass_the_cap_and_down_clears_s() -> None:
    assert quantity(position(0, Policy(4, 10, 11, 6))) == 6
    assert quantity(position(3, Policy(4, 10, 14, 6))) == 6  # up is 12: 15 > 14; down is 9 > 4


def test_the_cap_is_passed_where_rounding_down_would_not_clear_s() -> None:
    assert quantity(position(0, Policy(6, 10, 11, 6))) == 12  # down leaves 6, the trigger itself
    assert quantity(position(1, Policy(1, 2, 3, 50))) == 50  # down is nothing


def test_the_smallest_policy_never_loops() -> None:
    for pack in range(1, 5):
        policy = Policy(reorder_point=0, order_up_to=1, cap=1, pack_qty=pack)
        ordered = quantity(position(0, policy))
        assert ordered == pack
        assert quantity(position(0, policy, on_order=ordered)) == 0


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """What the table's constraint `template_line_ordered` lets in, `S >= s + 1` among it."""
    low = draw(st.integers(0, 60))
    high = draw(st.integers(low + 1, low + 60))
    return Policy(low, high, draw(st.integers(high, high + 60)), draw(st.integers(1, 70)))


positions = st.builds(
    Position,
    st.just(1),
    st.just(2),
    st.integers(0, 150),
    st.integers(0, 150),
    policies(),
    st.integers(-50, 50),
    st.integers(0, 80),
)


@given(positions)
def test_after_ordering_the_position_is_above_the_reorder_point(it: Position) -> None:
    policy, ordered = it.policy, quantity(it)
    assert it.available + ordered > policy.reorder_point
    assert (ordered == 0) == (it.available > policy.reorder_point)
    assert quantity(replace(it, on_order=it.on_order + ordered)) == 0
    assert quantity(replace(it, on_hand=it.on_hand + ordered)) == 0


@given(positions)
def test_an_order_is_whole_packs_and_passes_the_cap_only_if_less_would_not_do(it: Position) -> None:
    policy, ordered = it.policy, quantity(it)
    available = it.available
    assert ordered >= 0
    assert ordered % policy.pack_qty == 0
    if ordered and available + ordered > policy.cap:
        assert available + ordered - policy.pack_qty <= policy.reorder_point
    if ordered:
        assert abs(available + ordered - policy.order_up_to) < policy.pack_qty


@given(positions)
def test_the_same_inputs_give_the_same_result_and_the_same_words(it: Position) -> None:
    same = replace(it)
    assert quantity(it) == quantity(same)
    assert inputs(it) == inputs(same)


def test_what_a_decision_was_made_from_is_told_in_numbers_and_words() -> None:
    told = inputs(position(1, Policy(4, 10, 20, 2), on_order=3))
    assert told.pop("why") == (
        "1 on board and 3 on order: not above the reorder point 4; filled up to 10 in packs of 2"
    )
    assert told == {
        "on_hand": 1,
        "on_order": 3,
        "on_transfer": 0,
        "needed": 0,
        "jobs": [],
        "reorder_point": 4,
        "order_up_to": 10,
        "cap": 20,
        "pack_qty": 2,
    }


def test_what_jobs_need_is_not_there_for_anything_else() -> None:
    assert quantity(replace(position(9, PIECES), needed=4)) == 0
    assert quantity(replace(position(9, PIECES), needed=5)) == 6
    assert quantity(replace(position(9, PIECES), needed=5, on_transfer=1)) == 0
    assert quantity(replace(position(9, PIECES), on_transfer=-5)) == 6


def test_what_a_van_does_not_hold_is_ordered_for_its_jobs_and_no_more() -> None:
    for on_hand, needed, wanted in ((0, 3, 3), (2, 3, 1), (3, 3, 0), (5, 3, 0), (0, 0, 0)):
        assert quantity(replace(position(on_hand, NOT_HELD), needed=needed)) == wanted


@given(positions)
def test_the_quantity_grows_by_what_jobs_need(it: Position) -> None:
    one_more = replace(it, needed=it.needed + 1)
    assert quantity(one_more) >= quantity(it) or it.policy.pack_qty > 1
    assert one_more.available == it.available - 1


def test_only_what_is_needed_before_the_next_delivery_is_short() -> None:
    it = replace(position(2, PIECES, on_order=1), needed=9, needed_soon=5)
    assert short(it) == 2
    assert short(replace(it, on_transfer=2)) == 0
    assert short(replace(it, needed_soon=0)) == 0


def test_the_reason_names_jobs_transfers_and_an_order_over_the_cap() -> None:
    it = replace(position(5, PIECES), needed=6, jobs=("W-1", "W-2", "W-3", "W-4"), on_transfer=1)
    assert in_words(it) == (
        "5 on board, 0 on order, 1 coming from another van and 6 needed by jobs (W-1, W-2, W-3, ...):"
        " not above the reorder point 4; filled up to 10 in packs of 1"
    )
    promised = replace(position(5, PIECES), on_transfer=-2)
    assert "and 2 promised to another van" in in_words(promised)
    assert in_words(position(0, Policy(0, 1, 1, 50))).endswith("which is over the cap of 1")
    assert in_words(replace(position(0, NOT_HELD), needed=2)) == (
        "0 on board, 0 on order and 2 needed by jobs: the van does not hold it, and gets what its jobs"
        " need"
    )
