"""Words in the reader's language, for what the server writes itself: papers and problems.

Message ids are English sentences, as gettext has them; `storage/locales/*.po` is their only source, for
the pages too (`tools/words.py` makes JSON of it). A sentence without a translation stays English. Values
go into {braces}, so that a language may order them as it likes.

`en-XA` is invented: English made longer and accented, as `api/web/base/i18n.js` makes it too, to find
what is not translated and what does not fit. Only who asks for it by name gets it.
"""

import io
import re
from dataclasses import dataclass
from functools import cache
from math import ceil
from pathlib import Path
from typing import Final

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

LOCALES: Final = Path(__file__).with_name("locales")
ENGLISH: Final = "en"
PSEUDO: Final = "en-XA"
#: What dates and numbers are formatted by, where a language alone means another continent's.
REGIONS: Final = {"en": "en_GB", "pt": "pt_PT"}

#: A range of languages and how much it is wanted (RFC 9110, 12.5.4); what is none is passed over.
WANTED: Final = re.compile(
    r"([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8}){0,7})"
    r"(?:\s*;\s*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)
ACCENTS: Final = str.maketrans("aeiouAEIOUcn", "áéíóúÁÉÍÓÚçñ")
BRACES: Final = re.compile(r"(\{\w+\})")


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

    def t(self, text: str, /, **values: object) -> str:
        """Return a sentence, with values for its braces."""
        return str(self.catalogue.gettext(text)).format_map(values)

    def tn(self, one: str, many: str, count: int, /, **values: object) -> str:
        """Return a sentence about so many of something; `values` may say how {n} is written."""
        return str(self.catalogue.ngettext(one, many, count)).format_map({"n": count, **values})


class Stretched(NullTranslations):
    """The catalogue of the invented language."""

    def gettext(self, message: str) -> str:
        """Return English in brackets, accented, and two fifths longer."""
        parts = BRACES.split(message)
        accented = "".join(
            part if at % 2 else part.translate(ACCENTS) for at, part in enumerate(parts)
        )
        return f"[{accented}{'·' * ceil(len(message) * 0.4)}]"

    def ngettext(self, singular: str, plural: str, num: int) -> str:
        """Return the form for `num`, as above."""
        return self.gettext(singular if num == 1 else plural)


def sentence(text: str) -> str:
    """Return `text` as it is; `tools/words.py` sees that it is one to translate."""
    return text


@cache
def words(language: str) -> Words:
    """Return the words of a language; English for one that there are none in."""
    if language == PSEUDO:
        return Words(PSEUDO, Locale.parse(REGIONS[ENGLISH]), Stretched())
    if language not in languages() or language == ENGLISH:
        return Words(ENGLISH, Locale.parse(REGIONS[ENGLISH]), NullTranslations())
    compiled = io.BytesIO()
    with (LOCALES / f"{language}.po").open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return Words(language, Locale.parse(REGIONS.get(language, language)), Translations(fp=compiled))


def asked_for(accept_language: str | None) -> Words:
    """Return the words that fit best what `Accept-Language` asks for; English if none do.

    A range is looked up as RFC 4647, 3.4 says: without its last parts, until there is such a
    language. It is as fast for the longest header: anybody may send one. What has a weight of 0 is not wanted, and `*` is as good as English.
    """
    found = (WANTED.fullmatch(part.strip()) for part in (accept_language or "").split(","))
    wanted = [(float(it[2] or 1), it[1].lower()) for it in found if it]
    known = {language.lower(): language for language in (*languages(), PSEUDO)}
    for weight, tag in sorted(wanted, key=lambda it: -it[0]):
        if weight:
            parts = tag.split("-")
            for length in range(len(parts), 0, -1):
                if language := known.get("-".join(parts[:length])):
                    return words(language)
    return words(ENGLISH)
