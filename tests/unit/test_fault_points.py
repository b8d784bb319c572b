"""A process dies where and when it is told to, and nowhere else."""

import os
import signal

import pytest

from ingest import fault_points


@pytest.fixture
def kills(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: seen.append((pid, number)))
    return seen


def test_unset_it_is_a_function_that_does_nothing() -> None:
    assert fault_points.at("commit-ack", "") is fault_points.unset


def test_another_point_than_the_one_named_does_nothing() -> None:
    assert fault_points.at("publish-mark", "commit-ack:1") is fault_points.unset


def test_it_dies_at_the_passing_that_was_named(kills: list[tuple[int, int]]) -> None:
    die = fault_points.at("commit-ack", "commit-ack:3")
    for _ in range(2):
        die()
    assert kills == []
    die()
    assert kills == [(os.getpid(), signal.SIGKILL)]


@pytest.mark.parametrize("setting", ["commit", "commit-ack", "commit-ack:0", "commit-ack:x", ":1"])
def test_a_setting_that_names_no_point_says_what_to_write(setting: str) -> None:
    with pytest.raises(ValueError, match="give commit-ack or publish-mark, a colon and a count"):
        fault_points.at("commit-ack", setting)
