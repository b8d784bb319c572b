"""How many bytes an installation is, by distribution.

Each distribution's own list of files (RECORD, with the bytecode that the installer made) is added up. What
running Cordée needs is what `requirements.lock` pins; a checkout's environment may hold the tools of
those who work on it too, and they are told apart. Cordée's own files stand in the checkout and are not
counted; neither is the interpreter. MB are of a million bytes.
"""

import re
from importlib import metadata
from pathlib import Path
from typing import Any, Final

LOCK: Final = Path(__file__).parents[1] / "requirements.lock"
LARGEST: Final = 10
#: What `python -m venv` puts in by itself.
OF_VENV: Final = frozenset({"pip", "setuptools"})


def canonical(name: str) -> str:
    """Return a distribution's name as every tool compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(lock: str) -> set[str]:
    """Return the names of the distributions that a lock pins."""
    return {
        canonical(found[1]) for found in re.finditer(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE)
    }


def sizes() -> dict[str, int]:
    """Return the bytes of every distribution that this interpreter finds, by canonical name."""
    found: dict[str, int] = {}
    for one in metadata.distributions():
        paths = [Path(str(one.locate_file(file))) for file in one.files or ()]
        size = sum(path.stat().st_size for path in paths if path.is_file())
        found.setdefault(canonical(one.name), size)  # the first on the path is the one imported
    return found


def figures(known: dict[str, int], lock: str | None) -> dict[str, Any]:
    """Return the sum and the largest of what running needs, and the sum of all else, MB.

    Without a lock beside it, as in an image, all that is there is what running needs.
    """
    needed = OF_VENV | (known.keys() if lock is None else pinned(lock))
    ours = sorted(((size, name) for name, size in known.items() if name in needed), reverse=True)
    others = sum(size for name, size in known.items() if name not in needed)
    return {
        "distributions": len(ours),
        "installed_mb": round(sum(size for size, _ in ours) / 1e6, 1),
        "largest_mb": {name: round(size / 1e6, 1) for size, name in ours[:LARGEST]},
        "tools_of_developers_mb": round(others / 1e6, 1),
    }


def run() -> dict[str, Any]:
    """Return the figures of the environment that this process runs in."""
    return figures(sizes(), LOCK.read_text() if LOCK.exists() else None)
