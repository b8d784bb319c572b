"""Which topics a partition has, and how workers come to share them."""

import random

from hypothesis import given
from hypothesis import strategies as st

from ingest import partitions
from ingest.messages import CONTRACT, SUBSCRIPTIONS


def test_without_partitions_everything_is_as_published() -> None:
    assert partitions.every(0) == (None,)
    assert partitions.filters(None) == SUBSCRIPTIONS
    assert partitions.plain("fleet/v1/van-1/scan", None) == "fleet/v1/van-1/scan"
    assert partitions.client_id("ingest-x", None) == "ingest-x"
    assert partitions.nats_mappings(0) == ""


def test_the_prefix_of_a_partition_is_taken_away_once_and_only_its_own() -> None:
    assert partitions.plain("part/3/fleet/v1/van-1/scan", 3) == "fleet/v1/van-1/scan"
    assert partitions.plain("part/3/part/3/x", 3) == "part/3/x"
    assert partitions.plain("part/13/x", 3) == "part/13/x"


def test_each_partition_has_a_session_and_filters_of_its_own() -> None:
    every = partitions.every(12)
    assert len({partitions.client_id("i", it) for it in every}) == 12
    assert len({topic for it in every for topic in partitions.filters(it)}) == 12


def test_the_mapping_names_the_van_and_keeps_the_topic() -> None:
    text = partitions.nats_mappings(4)
    assert (
        '"owntracks.*.*": "part.{{partition(4,1)}}.owntracks.{{wildcard(1)}}.{{wildcard(2)}}"'
        in text
    )
    assert '"fleet.v1.*.scan": "part.{{partition(4,1)}}.fleet.v1.{{wildcard(1)}}.scan"' in text
    assert text.count("partition(4,1)") == len(SUBSCRIPTIONS)


def test_nothing_that_the_base_sends_is_mapped() -> None:
    sent = [topic.template for topic in CONTRACT if topic.sender == "base"]
    mapped = partitions.nats_mappings(4)
    for template in sent:
        assert template.rsplit("/", 1)[1] not in mapped.replace("fleet", "")


@given(count=st.integers(1, 40), workers=st.integers(1, 12))
def test_shares_together_are_all_partitions_and_none_is_too_large(count: int, workers: int) -> None:
    share = partitions.share(count, workers)
    assert share * workers >= count
    assert (share - 1) * workers < count


def looked(held: list[set[int]], mine: int, count: int) -> bool:
    """Let one worker look once, as `claims.py` and `sessions.py` do; return whether anything changed."""
    others = [len(its) for number, its in enumerate(held) if number != mine]
    before = set(held[mine])
    for partition in partitions.to_try(held[mine], others, count):
        if len(held[mine]) == partitions.share(count, len(held)):
            break
        if not any(partition in its for its in held):
            held[mine].add(partition)
    others = [len(its) for number, its in enumerate(held) if number != mine]
    if (going := partitions.to_let_go(held[mine], others, count)) is not None:
        held[mine].discard(going)
    return held[mine] != before


@given(
    count=st.integers(1, 24),
    joins=st.lists(st.booleans(), min_size=1, max_size=8),
    seed=st.integers(0, 10_000),
)
def test_whoever_comes_and_goes_every_partition_is_held_once_and_fairly_then_nothing_moves(
    count: int, joins: list[bool], seed: int
) -> None:
    rng = random.Random(seed)
    held: list[set[int]] = [set()]
    for is_join in joins:
        if is_join or len(held) == 1:
            held.append(set())
        else:
            held.pop(rng.randrange(len(held)))
        for _ in range(4 * count):
            order = rng.sample(range(len(held)), len(held))
            moved = [looked(held, mine, count) for mine in order]
            if not any(moved):
                break
        else:
            raise AssertionError(f"it never comes to rest: {held}")
        assert sorted(partition for its in held for partition in its) == list(range(count))
        sizes = [len(its) for its in held]
        assert max(sizes) - min(sizes) <= 1


def test_a_partition_that_lies_about_is_left_to_the_poorest() -> None:
    assert partitions.to_try({0}, [0], 4) == []
    assert partitions.to_try(set(), [1], 4) == [0, 1, 2, 3]
    assert partitions.to_try({2}, [1], 4) == [3, 0, 1]


def test_nothing_is_let_go_of_while_the_poorest_can_have_what_lies_about() -> None:
    assert partitions.to_let_go({0, 1, 2}, [0], 4) is None
    assert partitions.to_let_go({0, 1, 2, 3}, [0], 4) == 3
    assert partitions.to_let_go({0, 1}, [1], 3) is None
    assert partitions.to_let_go({0, 1, 2}, [], 4) is None
