"""What a replan makes of tours: who keeps which place, and what counts as edited since."""

from dataclasses import replace
from datetime import date

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from api.replans import (
    Day,
    Plan,
    PlannedStop,
    Wanted,
    days_of,
    edited,
    is_complete,
    is_reached,
    replanned,
    tag,
)

FRIDAY = date(2026, 11, 20)


def day(van: str, *positions: int, first_id: int = 1, reached: int = 0) -> Day:
    """Return a day with stops at these positions, ids from `first_id` on; so many were reached."""
    stops = tuple(
        PlannedStop(at, f"{van}-{at}", 0, 1, 60, None, None, None, {}) for at in positions
    )
    ids = tuple(range(first_id, first_id + len(positions)))
    return Day(Plan(van, FRIDAY, f"T-{van}", stops), ids, frozenset(ids[:reached]))


def wanted(giver: Day, taker: Day, stop_id: int, *order: int) -> Wanted:
    return Wanted(FRIDAY, giver.plan.van, taker.plan.van, stop_id, order, "")


def places(plan: Plan) -> list[tuple[int, str]]:
    return [(stop.position, stop.site) for stop in plan.stops]


def test_the_givers_other_stops_keep_their_places() -> None:
    giver, taker = day("A", 1, 2, 3), day("B", 1, first_id=11)
    (left, _), position = replanned(wanted(giver, taker, 2, 11, 2), giver, taker, "new")
    assert places(left) == [(1, "A-1"), (3, "A-3")]
    assert position == 2


def test_the_taker_comes_by_in_the_order_of_the_proposal() -> None:
    giver, taker = day("A", 1), day("B", 1, 2, 4, first_id=11)
    (_, plan), position = replanned(wanted(giver, taker, 1, 11, 1, 13, 12), giver, taker, "new")
    assert places(plan) == [(1, "B-1"), (2, "A-1"), (4, "B-4"), (5, "B-2")]
    assert position == 2


def test_what_was_reached_stays_before_what_is_ahead() -> None:
    """The van has passed over its second stop."""
    taker = day("B", 1, 2, 3, 4, first_id=11)
    taker = replace(taker, reached=frozenset({11, 13}))
    giver = day("A", 1)
    (_, plan), _ = replanned(wanted(giver, taker, 1, 14, 1, 12), giver, taker, "new")
    assert places(plan) == [(1, "B-1"), (3, "B-3"), (4, "B-4"), (5, "A-1"), (6, "B-2")]


def test_another_order_of_the_same_van_is_one_plan() -> None:
    own = day("A", 1, 2, 3, reached=1)
    (plan,), position = replanned(wanted(own, own, 3, 3, 2), own, own, "new")
    assert places(plan) == [(1, "A-1"), (2, "A-3"), (3, "A-2")]
    assert (position, days_of(own, own)) == (2, [own])


def test_a_taker_without_a_tour_gets_one() -> None:
    giver, taker = day("A", 1), Day(Plan("B", FRIDAY, None, ()))
    (left, plan), _ = replanned(wanted(giver, taker, 1, 1), giver, taker, "new")
    assert (left.stops, plan.tour, places(plan)) == ((), "new", [(1, "A-1")])


def test_an_order_names_each_stop_ahead_once_and_the_stop() -> None:
    giver, taker = day("A", 1, 2), day("B", 1, 2, first_id=11, reached=1)
    for order, complete in (
        ((12, 2), True),
        ((2, 12), True),
        ((2,), False),
        ((12,), False),
        ((12, 2, 2), False),
        ((11, 12, 2), False),
        ((12, 2, 1), False),
    ):
        assert is_complete(wanted(giver, taker, 2, *order), taker) is complete, order


def test_a_tag_changes_with_every_plan_and_with_progress() -> None:
    giver, taker = day("A", 1, 2), day("B", 1, first_id=11)
    known = {tag([giver, taker]), tag([taker, giver]), tag([giver])}
    stop = taker.plan.stops[0]
    for other in (
        replace(stop, site="X"), replace(stop, window_start_ms=5), replace(stop, window_end_ms=5),
        replace(stop, planned_duration_s=5), replace(stop, planned_arrival_ms=5),
        replace(stop, work_order="W"), replace(stop, skill="lift"), replace(stop, parts={"P": 1}),
        replace(stop, position=2),
    ):  # fmt: skip
        known.add(tag([giver, replace(taker, plan=replace(taker.plan, stops=(other,)))]))
    known.add(tag([giver, replace(taker, reached=frozenset({11}))]))
    known.add(tag([giver, replace(taker, plan=replace(taker.plan, tour="other"))]))
    assert len(known) == 14
    assert tag([giver, taker]) == tag([day("A", 1, 2), day("B", 1, first_id=11)])


def test_what_is_as_the_replan_left_it_was_not_edited() -> None:
    giver, taker = day("A", 1, 2), day("B", 1, first_id=11)
    after, _ = replanned(wanted(giver, taker, 2, 11, 2), giver, taker, "new")
    assert edited(after, after) == []
    moved_on = [replace(after[0], stops=()), after[1]]
    assert edited(after, moved_on) == ["T-A"]
    assert edited(after, [replace(after[0], tour="other"), after[1]]) == ["T-A"]


def test_a_tour_that_went_with_its_last_stop_was_not_edited() -> None:
    giver, taker = day("A", 1), day("B", 1, first_id=11)
    after, _ = replanned(wanted(giver, taker, 1, 11, 1), giver, taker, "new")
    gone = Plan("A", FRIDAY, None, ())
    assert edited(after, [gone, after[1]]) == []
    assert edited(after, [replace(day("A", 1).plan, tour="another"), after[1]]) == ["T-A"]


def test_a_stop_is_reached_where_the_replan_has_put_it() -> None:
    taker = day("B", 1, 4, reached=1)
    assert is_reached(taker, 1)
    assert not is_reached(taker, 4)


def test_plans_come_back_from_json_as_they_were() -> None:
    plans = [replace(day("A", 1).plan, tour=None), day("B", 1, 3).plan]
    assert msgspec.json.decode(msgspec.json.encode(plans), type=list[Plan]) == plans


@given(st.data())
def test_no_stop_is_lost_doubled_or_put_where_another_is(data: st.DataObject) -> None:
    positions = st.lists(st.integers(1, 30), min_size=1, max_size=8, unique=True).map(sorted)
    giver = day("A", *data.draw(positions))
    many = data.draw(positions)
    taker = day("B", *many, first_id=101, reached=data.draw(st.integers(0, len(many))))
    stop_id = data.draw(st.sampled_from(giver.ids))
    order = data.draw(st.permutations(sorted(taker.ahead | {stop_id})))
    (left, plan), position = replanned(wanted(giver, taker, stop_id, *order), giver, taker, "new")
    before = sorted(stop.site for one in (giver, taker) for stop in one.plan.stops)
    assert sorted(stop.site for one in (left, plan) for stop in one.stops) == before
    at = [stop.position for stop in plan.stops]
    assert at == sorted(set(at))
    assert {s.position: s.site for s in plan.stops}[position] == giver.by_id[stop_id].site
    assert at[-1] <= max([stop.position for stop in taker.plan.stops], default=0) + len(order)
