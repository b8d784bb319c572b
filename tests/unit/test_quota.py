"""A van that sends rubbish without end fills its own quota, and nobody else's."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.batch import Reason, Rejection
from ingest.quota import UNKNOWN, UNKNOWN_VANS, WAREHOUSES, Quota, Used, admit, sender_of

QUOTA = Quota(messages=3, size=1_000)


def bad(
    van: str | None = "van-001", payload: bytes = b"{", reason: Reason = "bad_payload"
) -> Rejection:
    return Rejection(f"fleet/v1/{van}/position", payload, reason, "why", van)


def test_up_to_the_quota_everything_is_kept_as_it_came() -> None:
    rejections = [bad(payload=bytes([n])) for n in range(3)]
    made = admit(rejections, {}, QUOTA)
    assert made.kept == rejections
    assert made.used == {"van-001": Used(3, 3)}


def test_the_first_one_beyond_is_kept_with_its_own_reason_and_the_rest_is_counted() -> None:
    rejections = [bad(payload=bytes([n])) for n in range(10)]
    made = admit(rejections, {}, QUOTA)
    assert made.kept[:3] == rejections[:3]
    (last,) = made.kept[3:]
    assert (last.reason, last.payload) == ("over_quota", rejections[3].payload)
    assert "more than 3 unusable messages today" in last.detail
    assert made.used["van-001"] == Used(3, 3, 7, 7)


def test_what_was_used_before_counts() -> None:
    made = admit([bad(), bad(payload=b"[")], {"van-001": Used(3, 900, 5, 10)}, QUOTA)
    assert made.kept == []
    assert made.used["van-001"] == Used(3, 900, 7, 12)


def test_a_message_that_does_not_fit_in_bytes_is_counted_and_a_smaller_one_kept() -> None:
    made = admit([bad(payload=b"x" * 2_000), bad()], {}, QUOTA)
    assert [r.reason for r in made.kept] == ["over_quota", "bad_payload"]
    assert made.used["van-001"] == Used(1, 1, 1, 2_000)


def test_another_van_is_unharmed() -> None:
    made = admit([bad() for _ in range(50)] + [bad("van-002")], {}, QUOTA)
    assert made.kept[-1].van_code == "van-002"
    assert made.used["van-002"].not_kept == 0


@pytest.mark.parametrize(
    ("rejection", "sender"),
    [
        (bad("van-001"), "van-001"),
        (bad("drawn-at-random", reason="unknown_van"), UNKNOWN),
        (bad(None, reason="unknown_topic"), UNKNOWN),
        (bad(None, reason="unknown_order"), WAREHOUSES),
    ],
)
def test_whose_quota_it_is(rejection: Rejection, sender: str) -> None:
    assert sender_of(rejection) == sender


def test_vans_that_are_none_share_the_room_of_a_hundred() -> None:
    drawn = [bad(f"x-{n}", reason="unknown_van") for n in range(3 * UNKNOWN_VANS + 5)]
    made = admit(drawn, {}, QUOTA)
    assert len(made.kept) == 3 * UNKNOWN_VANS + 1
    assert made.used[UNKNOWN].not_kept == 5


@given(st.lists(st.tuples(st.sampled_from("abc"), st.binary(max_size=600)), max_size=40), st.data())
def test_batches_of_any_size_keep_and_count_the_same(
    sent: list[tuple[str, bytes]], data: st.DataObject
) -> None:
    rejections = [bad(van, payload) for van, payload in sent]
    whole = admit(rejections, {}, QUOTA)
    cut = data.draw(st.integers(0, len(rejections)))
    first = admit(rejections[:cut], {}, QUOTA)
    second = admit(rejections[cut:], first.used, QUOTA)
    assert first.kept + second.kept == whole.kept
    assert second.used == whole.used
    for its in whole.used.values():
        assert its.kept <= QUOTA.messages
        assert its.kept_bytes <= QUOTA.size
    assert sum(its.kept + its.not_kept for its in whole.used.values()) == len(rejections)


def test_counts_given_are_not_changed() -> None:
    used = {"van-001": Used(1, 1)}
    before = replace(used["van-001"])
    admit([bad()], used, QUOTA)
    assert used["van-001"] == before
