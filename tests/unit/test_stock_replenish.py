"""How many to propose: every rounding branch, and that an order always lifts above the trigger."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_tracker.resupply.replenish import Policy, Position, inputs, quantity


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
)


@given(positions)
def test_after_ordering_the_position_is_above_the_reorder_point(it: Position) -> None:
    policy, ordered = it.policy, quantity(it)
    after = it.on_hand + it.on_order + ordered
    assert after > policy.reorder_point
    assert (ordered == 0) == (it.on_hand + it.on_order > policy.reorder_point)
    assert quantity(Position(1, 2, it.on_hand, it.on_order + ordered, policy)) == 0
    assert quantity(Position(1, 2, it.on_hand + ordered, it.on_order, policy)) == 0


@given(positions)
def test_an_order_is_whole_packs_and_passes_the_cap_only_if_less_would_not_do(it: Position) -> None:
    policy, ordered = it.policy, quantity(it)
    available = it.on_hand + it.on_order
    assert ordered >= 0
    assert ordered % policy.pack_qty == 0
    if ordered and available + ordered > policy.cap:
        assert available + ordered - policy.pack_qty <= policy.reorder_point
    if ordered:
        assert abs(available + ordered - policy.order_up_to) < policy.pack_qty


@given(positions)
def test_the_same_inputs_give_the_same_result_and_the_same_words(it: Position) -> None:
    same = Position(it.location_id, it.item_id, it.on_hand, it.on_order, it.policy)
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
        "reorder_point": 4,
        "order_up_to": 10,
        "cap": 20,
        "pack_qty": 2,
    }
