"""A campaign is a function of its seed, and leaves no kind of fault out."""

from collections import Counter

import pytest

from ops.faults import compare, plan
from ops.faults.acts import ACTS


def test_every_kind_can_be_brought_about() -> None:
    assert ACTS.keys() == plan.KINDS.keys()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_campaign_of_a_hundred_has_every_kind_five_times(seed: int) -> None:
    counts = Counter(fault.kind for fault in plan.schedule(seed, 100))
    assert min(counts[kind] for kind in plan.KINDS) >= 5
    assert plan.too_few(counts, 100) == []


def test_one_seed_is_one_campaign_and_two_are_two() -> None:
    assert plan.schedule(1, 40) == plan.schedule(1, 40)
    assert plan.schedule(1, 40) != plan.schedule(2, 40)


def test_a_kind_that_was_not_had_is_named() -> None:
    counts = Counter(dict.fromkeys(plan.KINDS, 5) | {"disk_full_broker": 4})
    assert plan.too_few(counts, 100) == ["disk_full_broker"]


def test_equal_bags_of_rows_do_not_differ() -> None:
    rows = Counter({"(1,a)": 2, "(2,b)": 1})
    assert compare.difference(rows, Counter(rows)) is None


def test_a_row_that_stands_twice_differs_from_one_that_stands_once() -> None:
    found = compare.difference(Counter({"(1,a)": 2}), Counter({"(1,a)": 1}))
    assert found == compare.Difference(1, 0, ("(1,a)",), ())


def test_rows_too_many_and_too_few_are_counted_and_some_are_shown() -> None:
    found = compare.difference(
        Counter({f"({n})": 1 for n in range(9)}), Counter({"(0)": 1, "(x)": 1})
    )
    assert found is not None
    assert (found.surplus, found.missing) == (8, 1)
    assert len(found.surplus_rows) == compare.ROWS_SHOWN
    assert found.missing_rows == ("(x)",)


def test_everything_that_is_not_compared_says_why() -> None:
    assert all(why for why in compare.exemptions().values())
