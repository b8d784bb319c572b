"""Time goes on as it should, whatever somebody does to the machine's clock."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.settings import Settings, clock, real_ms
from storage.steady import FOLLOWED_MS, SteadyClock

HOUR = 3_600_000


@dataclass
class Machine:
    """A machine whose clock can be set, and whose counter cannot."""

    wall_ms: int = 1_790_000_000_000
    elapsed_ms: int = 5_000

    def clock(self) -> SteadyClock:
        return SteadyClock(lambda: self.wall_ms, lambda: self.elapsed_ms)

    def run(self, ms: int) -> None:
        self.wall_ms += ms
        self.elapsed_ms += ms


def test_it_runs_with_the_machine() -> None:
    machine = Machine()
    now = machine.clock()
    machine.run(HOUR)
    assert now() == machine.wall_ms
    assert now.set_back_ms == 0


def test_a_clock_that_is_set_back_is_not_followed() -> None:
    machine = Machine()
    now = machine.clock()
    machine.wall_ms -= HOUR
    machine.run(1_000)
    assert now() == machine.wall_ms + HOUR
    assert now.set_back_ms == HOUR


def test_a_clock_that_is_set_right_again_is_followed() -> None:
    machine = Machine()
    now = machine.clock()
    machine.wall_ms -= HOUR
    now()
    machine.wall_ms += HOUR - 300
    assert now() == machine.wall_ms


def test_a_step_forwards_is_followed_and_so_is_its_correction() -> None:
    machine = Machine()
    now = machine.clock()
    machine.wall_ms += 3 * HOUR
    assert now() == machine.wall_ms
    machine.wall_ms -= 3 * HOUR
    assert now() == machine.wall_ms


def test_after_two_steps_forwards_either_can_be_taken_back() -> None:
    machine = Machine()
    now = machine.clock()
    for _ in range(2):
        machine.wall_ms += HOUR
        assert now() == machine.wall_ms
    machine.wall_ms -= 2 * HOUR
    assert now() == machine.wall_ms
    machine.wall_ms -= HOUR
    assert now() == machine.wall_ms + HOUR


@pytest.mark.parametrize("off", [-FOLLOWED_MS, -1, 1, FOLLOWED_MS])
def test_what_a_time_server_corrects_is_followed(off: int) -> None:
    machine = Machine()
    now = machine.clock()
    machine.wall_ms += off
    assert now() == machine.wall_ms


@given(st.lists(st.integers(-5 * HOUR, 5 * HOUR), max_size=20))
def test_it_never_goes_back_but_by_a_minute_or_to_where_it_was(steps: list[int]) -> None:
    machine = Machine()
    now = machine.clock()
    offsets = [machine.wall_ms - machine.elapsed_ms]
    for step in steps:
        machine.wall_ms += step
        machine.run(10)
        offset = now() - machine.elapsed_ms
        assert offset >= min(offsets) - FOLLOWED_MS * (len(offsets) + 1)
        assert any(offset >= other - FOLLOWED_MS for other in offsets)
        offsets.append(offset)


def test_settings_without_a_simulated_clock_tell_the_machines_time() -> None:
    assert abs(clock(Settings())() - real_ms()) < 1_000
