"""Words in the reader's language, for what the server writes itself: papers, problems, mails.

Message ids are English sentences, as gettext has them; `storage/locales/*.po` is their only source, for
the pages too (`tools/words.py` makes JSON of it). A sentence without a translation stays English. Values
go into {braces}, so that a language may order them as it likes.
"""

import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from babel import Locale, UnknownLocaleError, negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

LOCALES: Final = Path(__file__).with_name("locales")
ENGLISH: Final = "en"


@cache
def languages() -> tuple[str, ...]:
    """Return the codes of all languages there are words in, English first."""
    return (ENGLISH, *sorted(path.stem for path in LOCALES.glob("*.po")))


@dataclass(frozen=True, slots=True)
class Words:
    """One language's words. `locale` is what dates and numbers are formatted with."""

    language: str
    locale: Locale
    catalogue: NullTranslations

    def t(self, text: str, **values: object) -> str:
        """Return a sentence, with values for its braces."""
        return str(self.catalogue.gettext(text)).format_map(values)

    def tn(self, one: str, many: str, n: int, **values: object) -> str:
        """Return a sentence about `n` of something."""
        return str(self.catalogue.ngettext(one, many, n)).format_map({"n": n, **values})


@cache
def words(language: str) -> Words:
    """Return the words of a language; English for one that there are none in."""
    if language not in languages() or language == ENGLISH:
        return Words(ENGLISH, Locale("en", "GB"), NullTranslations())
    compiled = io.BytesIO()
    with (LOCALES / f"{language}.po").open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return Words(language, Locale.parse(language), Translations(fp=compiled))


def asked_for(accept_language: str | None) -> Words:
    """Return the words that fit best what `Accept-Language` asks for; English if none do."""
    weighed = [part.partition(";q=") for part in (accept_language or "").split(",")]
    ranked = sorted(weighed, key=lambda part: -_weight(part[2]))
    names = [name.strip() for name, _, _ in ranked]
    try:
        found = negotiate_locale([name.split("-")[0] for name in names], languages(), sep="-")
    except (ValueError, UnknownLocaleError):
        found = None
    return words(found or ENGLISH)


def _weight(q: str) -> float:
    try:
        return float(q) if q else 1.0
    except ValueError:
        return 0.0
