"""Who reads the vans of a replay: this process, processes of this machine, or a Dask cluster.

A task is one van. Its days follow each other, since a van that stands inside a fence at midnight is
still there in the morning; vans know nothing of each other. So many tasks are given out as there are
processes to take them, and the next when one has ended: what is in hand is bounded, and what was in
hand is known when a process dies.

Nothing here knows what a task does. Processes are spawned, never forked: they inherit no connection,
no thread and no lock, only the name of a function and its arguments. They end with whoever asked, also
when he is killed, and at Ctrl-C or at the first error at once: they hold nothing but a reading
connection.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from multiprocessing.connection import wait as wait_for
from typing import Any, Final, NamedTuple, TypeVar

ANSWERS_WITHIN_S: Final = 10
HOW_TO_INSTALL: Final = (
    "Dask is not installed here: pip install 'cordee[dask]', on this machine and on every worker."
)

Result = TypeVar("Result")


class ReplayError(RuntimeError):
    """A replay cannot be done; the message says of which van and day, and why."""


class Van(NamedTuple):
    """A van to be read."""

    van_id: int
    organisation_id: int
    code: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where tasks run, and how many at once; without an executor in this process, in turn."""

    executor: Executor | None = None
    size: int = 1


HERE: Final = Place()


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def processes(number: int) -> Iterator[Place]:
    """Have so many processes of this machine; they are gone after the block."""
    others = set(multiprocessing.active_children())
    spawn = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(number, mp_context=spawn, initializer=_begin)
    try:
        yield Place(executor, number)
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise
    finally:
        executor.shutdown()


def _begin() -> None:
    """Leave Ctrl-C, which the terminal sends to all, to the parent; end when the parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        wait_for([parent.sentinel])
        os._exit(1)


@contextmanager
def dask(address: str) -> Iterator[Place]:
    """Have the workers of a Dask cluster. Tasks of a worker that dies are given to another.

    Raises:
        ReplayError: Dask is not installed, nobody answers, or the workers cannot do it.
    """
    try:
        from distributed import Client  # noqa: PLC0415  an optional extra, and slow to import
    except ImportError as error:
        raise ReplayError(HOW_TO_INSTALL) from error
    try:
        client = Client(address, timeout=ANSWERS_WITHIN_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ReplayError(f"No Dask scheduler answers at {address}: {error}") from error
    with client:
        threads = sum(client.nthreads().values())
        if not threads:
            raise ReplayError(f"The Dask cluster at {address} has no workers.")
        _check_versions(client)
        executor = client.get_executor(pure=False)
        try:
            yield Place(executor, threads)
        except BaseException:
            executor.shutdown(wait=False)
            raise


def installed() -> str:
    """Return Cordée's version."""
    return metadata.version("cordee")


def _check_versions(client: Any) -> None:
    """Refuse workers that would read days by another engine, or by none."""
    ours = installed()
    for worker, version in client.run(installed, on_error="return").items():
        if version != ours:
            raise ReplayError(
                f"The Dask worker {worker} has not Cordée {ours} but: {version}."
                " Install the same version on every worker."
            )


def spread(
    place: Place, work: Callable[[Van], Result], vans: Sequence[Van]
) -> Iterator[tuple[Van, Result]]:
    """Yield what comes of each van, in the order in which they are done.

    Raises:
        ReplayError: One could not be read, or who read it died.
    """
    if place.executor is None:
        for van in vans:
            yield van, work(van)
        return
    rest = iter(vans)
    in_hand: dict[Future[Result], Van] = {}
    while True:
        for van in rest:
            in_hand[place.executor.submit(work, van)] = van
            if len(in_hand) >= place.size:
                break
        if not in_hand:
            return
        done, _ = wait(in_hand, return_when=FIRST_COMPLETED)
        for future in done:
            yield in_hand[future], _result(future, in_hand)
            del in_hand[future]


def _result(future: Future[Result], in_hand: dict[Future[Result], Van]) -> Result:
    try:
        return future.result()
    except ReplayError:
        raise
    except BrokenProcessPool as error:
        codes = ", ".join(sorted(van.code for van in in_hand.values()))
        raise ReplayError(
            f"A process of the replay was killed; in hand were {codes}."
            " If memory ran out, try fewer by --processes."
        ) from error
    except Exception as error:
        raise ReplayError(f"{in_hand[future].code}: {type(error).__name__}: {error}") from error
