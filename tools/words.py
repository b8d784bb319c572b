"""Collects the sentences of pages and papers into storage/locales/*.po, and makes the pages' JSON of them.

    tools/words.py           after sentences were added or translated
    tools/words.py --check   part of `make check`: nothing is missing, and what is generated is current

A new language is a new, empty file there. Translators edit the .po alone: any gettext editor will do.
"""

import argparse
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from babel import Locale
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po

ROOT: Final = Path(__file__).parents[1]
LOCALES: Final = ROOT / "storage/locales"
COMPILED: Final = ROOT / "api/web/locales"
PAGES: Final = ROOT / "api/web"
KEYWORDS: Final[Any] = {"t": None, "sentence": None, "tn": (1, 2)}
#: A call of a page with its first two arguments, as far as they are literals.
CALL: Final = re.compile(r'(?<![\w.])(t|tn)\(\s*("(?:[^"\\]|\\.)*")(?:\s*,\s*("(?:[^"\\]|\\.)*"))?')
COMMENT: Final = re.compile(r"^\s*(//|\*|/\*).*$", re.MULTILINE)
BRACES: Final = re.compile(r"\{\w+\}")
#: Plurals are chosen by these examples: every category of CLDR that a whole number can have.
NUMBERS: Final = (*range(201), 1_000, 1_000_000, 2_000_000)


Said = str | tuple[str, str]
"""A sentence, or its two forms."""


def collected() -> Catalog:
    """Return all sentences with the files that say them."""
    catalogue = Catalog(project="Cordée", charset="utf-8")
    for path, sentences in sources():
        where = [(path.relative_to(ROOT).as_posix(), 0)]
        for said in sentences:
            catalogue.add(said, locations=where)
    return catalogue


def sources() -> Iterator[tuple[Path, Iterator[Said]]]:
    """Yield the files that may hold sentences, and what they say."""
    for path in sorted(PAGES.rglob("*.js")):
        if "vendor" not in path.parts:
            yield path, said_by_page(path.read_text())
    for package in ("api", "stock_tracker", "geofence", "ingest", "ops"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if "storage.words" in path.read_text():
                yield path, said_by_module(path.read_bytes())


def said_by_module(source: bytes) -> Iterator[Said]:
    """Yield what a Python module says."""
    for _, said, _, _ in extract("python", io.BytesIO(source), KEYWORDS):
        yield said


def said_by_page(source: str) -> Iterator[Said]:
    """Yield what a JavaScript module says: its calls with literals, wherever they stand.

    Not Babel's extractor: of a template's expression it reads no further than the first brace of an
    object in it, and says nothing of what it has not read.
    """
    for name, *literals in CALL.findall(COMMENT.sub("", source)):
        first, second = (json.loads(literal) if literal else "" for literal in literals)
        if name == "t":
            yield first
        elif second:
            yield first, second


def brought_up_to_date(path: Path, template: Catalog) -> tuple[Catalog, bytes]:
    """Return a language's catalogue with exactly the template's sentences, and its file's bytes."""
    with path.open("rb") as file:
        catalogue = read_po(file, locale=path.stem)
    catalogue.update(template, no_fuzzy_matching=True, update_header_comment=False)
    catalogue.obsolete.clear()
    catalogue.header_comment = f"# Cordée's words in {Locale.parse(path.stem).english_name}."
    written = io.BytesIO()
    write_po(
        written, catalogue, width=110, sort_output=True, omit_header=False, include_lineno=False
    )
    # When it was made and by what is no part of it: the same sentences are the same bytes.
    kept = (
        line
        for line in written.getvalue().splitlines(keepends=True)
        if not re.match(
            rb'"(POT?-\w+-Date|Last-Translator|Language-Team|Generated-By|'
            rb"Project-Id-Version|Report-Msgid-Bugs-To|PO-Revision-Date)",
            line,
        )
    )
    return catalogue, b"".join(kept)  # fmt: skip


def compiled(catalogue: Catalog, language: str) -> str:
    """Return a catalogue as the pages read it: which form each of CLDR's categories takes, and texts."""
    category = Locale.parse(language).plural_form
    plural = {category(n): _form(catalogue, n) for n in NUMBERS}
    messages = {
        _id(message): (
            list(message.string) if isinstance(message.string, tuple) else message.string
        )
        for message in catalogue
        if message.id and _is_complete(message)
    }
    whole = {"plural": plural, "messages": dict(sorted(messages.items()))}
    return json.dumps(whole, ensure_ascii=False, indent=0, sort_keys=True) + "\n"


def _form(catalogue: Catalog, n: int) -> int:
    """Return which of its forms gettext's rule takes for `n`."""
    from gettext import c2py  # noqa: PLC0415  # its only parser of such rules

    return int(c2py(catalogue.plural_expr)(n))


def complaints(catalogue: Catalog) -> Iterator[str]:
    """Yield what a translator has left undone, or done so that it cannot be used."""
    for message in catalogue:
        if not message.id:
            continue
        texts = message.string if isinstance(message.string, tuple) else (message.string,)
        if not _is_complete(message):
            yield f"not translated: {_id(message)}"
            continue
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        wanted = set(BRACES.findall(ids[-1]))
        for text in texts:
            said = set(BRACES.findall(text))
            # A form that is only about one need not say its number.
            if said - wanted or wanted - said - {"{n}"}:
                yield f"{_id(message)}: has {sorted(said)}, not {sorted(wanted)}"


def _is_complete(message: Message) -> bool:
    texts = message.string if isinstance(message.string, tuple) else (message.string,)
    return all(texts) and not message.fuzzy


def _id(message: Message) -> str:
    return message.id[0] if isinstance(message.id, tuple) else str(message.id)


def main() -> int:
    """Write, or check; say what is to be done."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--check", action="store_true")
    check = arguments.parse_args().check
    template, wrong = collected(), []
    for path in sorted(LOCALES.glob("*.po")):
        catalogue, content = brought_up_to_date(path, template)
        wrong += [f"{path.stem}: {said}" for said in complaints(catalogue)]
        made = {
            path: content,
            COMPILED / f"{path.stem}.json": compiled(catalogue, path.stem).encode(),
        }
        for file, wanted in made.items():
            if not file.exists() or file.read_bytes() != wanted:
                if check:
                    wrong.append(f"{file.relative_to(ROOT)} is stale: run tools/words.py")
                else:
                    file.write_bytes(wanted)
    sys.stdout.writelines(f"{line}\n" for line in wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
