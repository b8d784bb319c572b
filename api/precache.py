"""What a tablet keeps of the page's files, so that it opens without a network.

The list is made from the files as they lie there: path and hash of each. The tablet's service worker
imports it as a script; browsers compare the scripts of a worker byte by byte, so a file that changed is
a new worker, and nobody has to think of a version. The hash is in the form of Subresource Integrity:
the browser itself refuses a file that is not the one listed, as while servers are being upgraded.
"""

import base64
import functools
import hashlib
import json
from pathlib import Path
from typing import Final

#: The files of all pages, as they are served.
WEB: Final = Path(__file__).with_name("web")
#: Those of them that the tablet's page is made of.
KEPT: Final = (
    "base", "locales", "van", "icon.svg",
    "vendor/idb.js", "vendor/lit.js", "vendor/zxing.js", "vendor/zxing_reader.wasm",
)  # fmt: skip
#: The worker itself is kept by the browser.
WORKER: Final = "van/sw.js"
INDEX: Final = "index.html"


def script() -> str:
    """Return the script that tells the worker what to keep."""
    return f"self.PRECACHE = {json.dumps(files(WEB), indent=1)};\n"


def files(web: Path) -> dict[str, str]:
    """Return the hash of every file that a tablet keeps, by the path under which it is served."""
    found = sorted(path for kept in KEPT for path in _under(web / kept))
    return {
        _served(path.relative_to(web)): _integrity(path, path.stat().st_mtime_ns)
        for path in found
        if path != web / WORKER
    }


def _under(path: Path) -> list[Path]:
    return [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]


def _served(path: Path) -> str:
    served = f"/{path.as_posix()}"
    return served.removesuffix(INDEX) if path.name == INDEX else served


@functools.lru_cache(maxsize=1_000)
def _integrity(path: Path, changed_ns: int) -> str:  # noqa: ARG001 - what makes it another file
    digest = hashlib.sha256(path.read_bytes()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
