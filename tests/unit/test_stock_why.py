"""Why something is ordered, in phrases: the same as the English sentence says, in every language."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stock_tracker.resupply import why
from stock_tracker.resupply.replenish import NOT_HELD, Policy, Position, inputs
from storage.words import languages, words
from tests.unit.test_stock_replenish import positions

ENGLISH = words("en")
DECIDED = inputs(Position(1, 2, 1, 3, Policy(4, 10, 20, 2), jobs=("W-1",), needed=2))


def told(of: Mapping[str, object], language: str = "en") -> str:
    return why.in_words(why.of_order(of), words(language))


@given(positions, st.lists(st.sampled_from(["W-1", "W-2"]), max_size=5))
@example(Position(1, 2, 0, 0, NOT_HELD, -3, 2), ["W-1"])
@example(Position(1, 2, 0, 0, Policy(0, 1, 1, 1_000)), [])
def test_phrases_tell_the_numbers_of_the_sentence_in_its_order(
    it: Position, jobs: list[str]
) -> None:
    position = Position(
        1, 2, it.on_hand, it.on_order, it.policy, it.on_transfer, it.needed, 0, tuple(jobs)
    )
    made = inputs(position)
    numbers = re.compile(r"[0-9]+")
    phrases = told(made).replace(",", "")
    assert numbers.findall(phrases) == numbers.findall(str(made["why"]))


def test_a_reason_is_told_in_the_readers_language() -> None:
    assert told(DECIDED) == (
        "1 on board; 3 on order; 2 needed by jobs (W-1); not above the reorder point 4;"
        " filled up to 10 in packs of 2"
    )
    assert told(DECIDED, "nl") == (
        "1 aan boord; 3 in bestelling; 2 nodig voor klussen (W-1); niet boven het bestelpunt 4;"
        " aangevuld tot 10 in verpakkingen van 2"
    )


def test_what_is_lacking_is_told_first() -> None:
    instead = {**DECIDED, "instead_of": {"item": "PUMP", "units": 3}}
    assert told(instead).startswith("instead of 3 PUMP that the warehouse lacks; 1 on board")
    for job, said in ({"job": "W-1"}, "job W-1"), ({"job": None}, "a job"), ({}, "a job"):
        urgent = {**DECIDED, "urgent": {**job, "units": 3}}
        assert told(urgent).startswith(f"{said} lacks 3 before the next delivery; 1 on board")


def test_a_van_that_does_not_hold_an_item_gets_what_jobs_need() -> None:
    assert told(inputs(Position(1, 2, 0, 0, NOT_HELD, needed=2))) == (
        "0 on board; 0 on order; 2 needed by jobs;"
        " the van does not hold it, and gets what its jobs need"
    )


def test_a_transfer_says_who_has_it_to_spare_and_how_near_it_comes() -> None:
    made = why.of_transfer({"spare": 4, "apart_m": 1_251, "why": "…"}, "V2")
    assert why.in_words(made, ENGLISH) == "V2 has 4 to spare; its way comes within 1.3 km"
    assert why.in_words(made, words("de")) == (
        "V2 hat 4 übrig; sein Weg kommt bis auf 1,3 km heran"
    )


@pytest.mark.parametrize("said", [{}, {"why": "r"}, {**DECIDED, "on_hand": "many"}])
def test_inputs_that_lack_a_number_make_no_phrases(said: dict[str, object]) -> None:
    assert why.of_order(said) == []
    assert why.of_transfer(said, "V2") == []


@pytest.mark.parametrize("language", languages()[1:])
def test_every_phrase_is_translated(language: str) -> None:
    many = Position(1, 2, 0, 0, Policy(3, 4, 5, 50), 1, 2, 0, ("W-1",))
    reasons = [
        inputs(many),
        inputs(Position(1, 2, 0, 0, NOT_HELD, -1, 2)),
        {**DECIDED, "urgent": {"job": "W-1", "units": 1}, "instead_of": {"item": "A", "units": 1}},
        {**DECIDED, "urgent": {"units": 1}},
    ]
    phrases = [phrase for said in reasons for phrase in why.of_order(said)]
    phrases += why.of_transfer({"spare": 1, "apart_m": 0}, "V2")
    texts = {phrase.text for phrase in phrases}
    assert texts == set(re.findall(r'sentence\("(.+?)"\)', Path(why.__file__).read_text()))
    for phrase in phrases:
        assert words(language).t(phrase.text, **phrase.values) != ENGLISH.t(
            phrase.text, **phrase.values
        )
