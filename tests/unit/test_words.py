"""Words in the reader's language: which language, which form, and what is filled in."""

import importlib.util
import json
from pathlib import Path
from time import process_time
from types import ModuleType

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from api import problems
from storage import words

ROOT = Path(__file__).parents[2]
LANGUAGES = ("en", "ca", "de", "es", "fr", "it", "nl", "pl", "pt")


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("words_tool", ROOT / "tools/words.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def catalogue_of(sentence: str | tuple[str, str], text: str | tuple[str, ...]) -> Catalog:
    catalogue = Catalog(locale="pl" if isinstance(text, tuple) and len(text) == 3 else "fr")
    catalogue.add(sentence, text)
    return catalogue


def test_there_are_words_in_nine_languages() -> None:
    assert words.languages() == LANGUAGES


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("fr-CA,fr;q=0.8,en;q=0.5", "fr"),
        ("en;q=0.2, pl;q=0.9", "pl"),
        ("xx, de;q=0.1", "de"),
        ("*", "en"),
        ("fr;q=nonsense, it;q=0.3", "it"),
        ("\u0000;;;,,,=", "en"),
        ("pl; q=0.9 , de ;q=0.4", "pl"),
        ("fr;q=0, it;q=0.1", "it"),
        ("fr;q=0", "en"),
        ("de-Latn-CH-1996", "de"),
        ("PT-br", "pt"),
        ("en-XA", "en-XA"),
        ("en-xa;q=0.1, en;q=0.9", "en"),
        ("en-XB, xa", "en"),
        ("french, fr_CA, ca;q=2", "en"),
    ],
)
def test_the_language_is_the_best_that_the_browser_asks_for(
    header: str | None, language: str
) -> None:
    assert words.asked_for(header).language == language


@pytest.mark.parametrize("part", [" ", "-a", "a,", ";q=0.1", "fr;q=0,"])
def test_a_header_as_long_as_a_server_takes_costs_next_to_nothing(part: str) -> None:
    began = process_time()
    assert words.asked_for("a" + part * (64_000 // len(part)) + "\t!").language == "en"
    assert process_time() - began < 0.5


def test_a_sentence_without_a_translation_stays_english_with_its_values() -> None:
    assert words.words("de").t("Nobody says {this}.", this="that") == "Nobody says that."
    assert words.words("fr").tn("{n} yak", "{n} yaks", 2) == "2 yaks"


def test_the_invented_language_keeps_values_and_stretches_the_rest() -> None:
    invented = words.words(words.PSEUDO)
    assert invented.t("Count {n} in {bin}", n=3, bin="Bin") == "[Cóúñt 3 íñ Bin········]"
    assert invented.tn("{n} van", "{n} vans", 2) == "[2 váñs····]"


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_every_title_of_a_problem_is_translated(language: str) -> None:
    told = {code: words.words(language).t(title) for code, title in problems.TITLES.items()}
    assert [code for code, title in told.items() if title == problems.TITLES[code]] == []


def test_every_sentence_of_a_page_is_found_wherever_it_stands(tool: ModuleType) -> None:
    page = """
      // t("Not this one")
      html`<p>It's ${ms ? t("As of {time}, \\"so far\\"", { time: time(ms) }) : t("Unknown")}</p>
        ${tn("{n} van", "{n} vans", n, { n })} ${list.map(({ n }) => html`<i>${t("None")}</i>`)}`;
      return html`${t(
        "Broken over lines")} ${start("No sentence")} ${it.t("Nor this")} ${t(variable)}`;
    """
    assert list(tool.said_by_page(page)) == [
        'As of {time}, "so far"', "Unknown", ("{n} van", "{n} vans"), "None", "Broken over lines",
    ]  # fmt: skip


def test_every_sentence_of_a_module_is_found(tool: ModuleType) -> None:
    module = (
        b"""A = sentence("Marked"); it.t("Told {n}", n=1); w.tn("one", "many", 2); other("No")"""
    )
    assert list(tool.said_by_module(module)) == ["Marked", "Told {n}", ("one", "many")]


def test_what_a_translator_left_undone_is_said(tool: ModuleType) -> None:
    assert list(tool.complaints(catalogue_of("Cancel", ""))) == ["not translated: Cancel"]
    assert list(tool.complaints(catalogue_of("Cancel", "Annuler"))) == []


@pytest.mark.parametrize("text", ["Bonjour", "Bonjour {nom}", "Bonjour {name} {name2}"])
def test_a_translation_holds_the_braces_of_its_sentence(tool: ModuleType, text: str) -> None:
    (said,) = tool.complaints(catalogue_of("Hello {name}", text))
    assert said.startswith("Hello {name}: has")


def test_a_form_about_one_need_not_say_its_number(tool: ModuleType) -> None:
    vans = ("{n} van", "{n} vans")
    assert list(tool.complaints(catalogue_of(vans, ("un fourgon", "{n} fourgons")))) == []


def test_the_pages_take_the_form_of_a_plural_that_gettext_takes(tool: ModuleType) -> None:
    made = json.loads(
        tool.compiled(catalogue_of(("{n} van", "{n} vans"), ("{n} a", "{n} b", "{n} c")), "pl")
    )
    assert made["plural"] == {"one": 0, "few": 1, "many": 2}
    assert made["messages"] == {"{n} van": ["{n} a", "{n} b", "{n} c"]}


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_a_catalogue_is_kept_as_it_is_by_writing_it_again(tool: ModuleType, language: str) -> None:
    path = words.LOCALES / f"{language}.po"
    with path.open("rb") as file:
        template = read_po(file, locale=language)
    _, content = tool.brought_up_to_date(path, template)
    assert content == path.read_bytes()
