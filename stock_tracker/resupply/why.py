"""Why something is ordered or handed over, in phrases that every language has. Pure.

What a decision was made from is frozen with it, with one English sentence for programs
(`replenish.inputs`). Here the same numbers become phrases: each an English text that is an id of the
catalogue (`storage/words.py`), and what goes into its {braces}. Pages and papers say them in
their reader's language. Inputs that lack a number, as older versions and other systems may have left
them, make no phrases: then the English sentence is all there is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from stock_tracker.papers.values import number
from stock_tracker.resupply.replenish import Policy, Position, is_over_cap, quantity
from storage.words import Words, sentence

JOBS_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class Phrase:
    """A part of a reason: an English text, and what goes into its {braces}.

    Its translations are those of the pages, found by the text as it stands here.
    """

    text: str
    values: dict[str, int | float | str] = field(default_factory=dict)


class _Lacking(msgspec.Struct, frozen=True):
    """What was lacking: of which item, or for which job, and how many base units."""

    units: int
    item: str = ""
    job: str | None = None


class _Inputs(msgspec.Struct, frozen=True):
    on_hand: int
    on_order: int
    on_transfer: int
    needed: int
    reorder_point: int
    order_up_to: int
    cap: int
    pack_qty: int
    jobs: tuple[str, ...] = ()
    instead_of: _Lacking | None = None
    urgent: _Lacking | None = None

    def position(self) -> Position:
        policy = Policy(self.reorder_point, self.order_up_to, self.cap, self.pack_qty)
        return Position(
            0, 0, self.on_hand, self.on_order, policy, self.on_transfer, self.needed, 0, self.jobs
        )


class _Spare(msgspec.Struct, frozen=True):
    spare: int
    apart_m: float


def of_order(inputs: Mapping[str, object]) -> list[Phrase]:
    """Return why a line is ordered; none where the inputs do not say."""
    try:
        said = msgspec.convert(inputs, _Inputs)
    except msgspec.ValidationError:
        return []
    phrases = []
    if (urgent := said.urgent) is not None:
        phrases.append(
            Phrase(
                sentence("job {job} lacks {n} before the next delivery"),
                {"job": urgent.job, "n": urgent.units},
            )
            if urgent.job
            else Phrase(sentence("a job lacks {n} before the next delivery"), {"n": urgent.units})
        )
    if (lacking := said.instead_of) is not None:
        text = sentence("instead of {n} {item} that the warehouse lacks")
        phrases.append(Phrase(text, {"n": lacking.units, "item": lacking.item}))
    return phrases + _has(said.position()) + _rule(said.position())


def of_transfer(inputs: Mapping[str, object], from_van: str) -> list[Phrase]:
    """Return why a van could hand parts to another; none where the inputs do not say."""
    try:
        said = msgspec.convert(inputs, _Spare)
    except msgspec.ValidationError:
        return []
    return [
        Phrase(sentence("{van} has {n} to spare"), {"van": from_van, "n": said.spare}),
        Phrase(sentence("its way comes within {km} km"), {"km": round(said.apart_m / 1_000, 1)}),
    ]


def in_words(phrases: Iterable[Phrase], words: Words) -> str:
    """Return phrases as one text."""
    return "; ".join(
        words.t(
            phrase.text,
            **{
                name: value if isinstance(value, str) else number(words, value)
                for name, value in phrase.values.items()
            },
        )
        for phrase in phrases
    )


def _has(position: Position) -> list[Phrase]:
    """Return what the van has and will get, and what of it is needed."""
    phrases = [
        Phrase(sentence("{n} on board"), {"n": position.on_hand}),
        Phrase(sentence("{n} on order"), {"n": position.on_order}),
    ]
    if position.on_transfer > 0:
        text = sentence("{n} coming from another van")
        phrases.append(Phrase(text, {"n": position.on_transfer}))
    if position.on_transfer < 0:
        text = sentence("{n} promised to another van")
        phrases.append(Phrase(text, {"n": -position.on_transfer}))
    if position.needed and position.jobs:
        more = ", …" if position.jobs[JOBS_MAX:] else ""
        jobs = ", ".join(position.jobs[:JOBS_MAX]) + more
        text = sentence("{n} needed by jobs ({jobs})")
        phrases.append(Phrase(text, {"n": position.needed, "jobs": jobs}))
    elif position.needed:
        phrases.append(Phrase(sentence("{n} needed by jobs"), {"n": position.needed}))
    return phrases


def _rule(position: Position) -> list[Phrase]:
    """Return what follows by the policy."""
    policy = position.policy
    if policy.reorder_point < 0:
        return [Phrase(sentence("the van does not hold it, and gets what its jobs need"))]
    phrases = [
        Phrase(sentence("not above the reorder point {n}"), {"n": policy.reorder_point}),
        Phrase(
            sentence("filled up to {n} in packs of {pack}"),
            {"n": policy.order_up_to, "pack": policy.pack_qty},
        ),
    ]
    if is_over_cap(position, quantity(position)):
        phrases.append(Phrase(sentence("that is over the cap of {n}"), {"n": policy.cap}))
    return phrases
