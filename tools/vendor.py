"""Put other people's modules where the console and its tests find them, or check those that are there.

    python tools/vendor.py            npm ci, bundle, copy, write VENDOR.json   (node and network)
    python tools/vendor.py --check    compare the files with VENDOR.json        (neither)

The versions stand in `tools/web/package.json` and its lock. A file is either as its authors published
it, or bundled by esbuild from an entry in `tools/web/`. `VENDOR.json` says for each package what it
is made of, under which licences, and the SHA-256 of every file; the licences' texts lie in
`licences/`, taken from the packages, and for those that ship none from `tools/web/licences/`. The same
lock gives the same bytes. Nothing here is edited by hand.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
NPM: Final = ROOT / "tools" / "web"
PACKAGES: Final = NPM / "node_modules"
PAGES: Final = ROOT / "api" / "web" / "vendor"
TESTS: Final = ROOT / "tests" / "browser" / "vendor"
LIST: Final = "VENDOR.json"
BUNDLER: Final = (
    *("--bundle", "--format=esm", "--target=es2022", "--minify", "--charset=utf8"),
    *("--legal-comments=none", "--log-level=warning"),
)


@dataclass(frozen=True, slots=True)
class Module:
    """A package's part in a folder: an entry that is bundled, files that are copied as they are."""

    package: str
    folder: Path
    entry: str = ""
    copied: tuple[str, ...] = ()
    #: What was compiled into a copied file, with its licence: no account of it is shipped.
    compiled: tuple[tuple[str, str], ...] = ()


MODULES: Final = (
    Module("lit", PAGES, "lit.js"),
    Module("idb", PAGES, "idb.js"),
    Module(
        "maplibre-gl",
        PAGES,
        copied=("dist/maplibre-gl.mjs", "dist/maplibre-gl-worker.mjs", "dist/maplibre-gl.css"),
    ),
    Module("pmtiles", PAGES, "pmtiles.js"),
    Module("@protomaps/basemaps", PAGES, "protomaps.js"),
    Module(
        "zxing-wasm",
        PAGES,
        "zxing.js",
        copied=("dist/reader/zxing_reader.wasm",),
        compiled=(("zxing-cpp", "Apache-2.0"),),
    ),
    Module("axe-core", TESTS, copied=("axe.min.js",)),
)


def put(module: Module) -> dict[str, Any]:
    """Write a package's files and the licences of what is in them; return its part of the list."""
    contains = {module.package: named(module.package), **dict(module.compiled)}
    files = [licences_of(module.package)]
    if module.entry:
        contains |= {name: named(name) for name in bundle(module)}
        files.append(module.entry)
    for source in module.copied:
        path = PACKAGES / module.package / source
        shutil.copyfile(path, module.folder / path.name)
        # Which versions its authors bundled they do not say.
        contains |= {name: manifest(name)["license"] for name in copied_in(path) - contains.keys()}
        files.append(path.name)
    contains = dict(sorted(contains.items()))
    texts = [f"{name}\n{'=' * len(name)}\n\n{licence_text(name)}\n" for name in contains]
    (module.folder / files[0]).write_text("\n\n".join(texts), encoding="utf-8")
    return {
        "name": module.package,
        "version": manifest(module.package)["version"],
        "licence": manifest(module.package)["license"],
        "contains": contains,
        "files": {name: sha256(module.folder / name) for name in sorted(files)},
    }


def bundle(module: Module) -> set[str]:
    """Bundle a module's entry; return the packages that esbuild says it is made of."""
    account = PACKAGES / ".account.json"
    banner = f"// {module.package} {named(module.package)}: {licences_of(module.package)}"
    subprocess.run(  # noqa: S603 - every argument is ours
        [
            *(PACKAGES / ".bin" / "esbuild", module.entry, *BUNDLER, f"--banner:js={banner}"),
            *(f"--metafile={account}", f"--outfile={module.folder / module.entry}"),
        ],
        cwd=NPM,
        check=True,
    )
    return packages_of(json.loads(account.read_bytes())["inputs"])


def copied_in(path: Path) -> set[str]:
    """Return the packages that a published file is made of, as its source map says."""
    account = path.with_name(f"{path.name}.map")
    return packages_of(json.loads(account.read_bytes())["sources"]) if account.exists() else set()


def packages_of(paths: Iterable[str]) -> set[str]:
    """Return the names of the packages that files come from."""
    inner = [path.rpartition("node_modules/")[2] for path in paths if "node_modules/" in path]
    return {"/".join(name.split("/")[: 1 + name.startswith("@")]) for name in inner}


def manifest(package: str) -> dict[str, Any]:
    """Return a package's own description."""
    described: dict[str, Any] = json.loads((PACKAGES / package / "package.json").read_bytes())
    return described


def named(package: str) -> str:
    """Return a package's version and licence in one word each."""
    return f"{manifest(package)['version']} {manifest(package)['license']}"


def licences_of(package: str) -> str:
    """Return the name of the file with the licences of a package and of what is in it."""
    return f"licences/{package.lstrip('@').replace('/', '-')}.txt"


def licence_text(package: str) -> str:
    """Return the text of a package's licence.

    Raises:
        SystemExit: There is none, so the package cannot be passed on.
    """
    shipped = sorted((PACKAGES / package).glob("[Ll][Ii][Cc][Ee][Nn][CcSs][Ee]*"))
    ours = NPM / licences_of(package)
    if not shipped and not ours.exists():
        raise SystemExit(f"{package} ships no licence text: put it into {ours}")
    texts = [path.read_text(encoding="utf-8").strip() for path in shipped or [ours]]
    return "\n\n".join(texts)


def sha256(path: Path) -> str:
    """Return the hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def folders() -> list[Path]:
    """Return the folders that hold modules, each with its list."""
    return sorted({module.folder for module in MODULES})


def vendor() -> None:
    """Write every folder anew."""
    subprocess.run(["npm", "ci", "--ignore-scripts"], cwd=NPM, check=True)  # noqa: S607
    for folder in folders():
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "licences").mkdir(parents=True)
        listed = [put(module) for module in MODULES if module.folder == folder]
        text = json.dumps(listed, indent=1, ensure_ascii=False)
        (folder / LIST).write_text(text + "\n", encoding="utf-8")


def complaints(folder: Path) -> Iterator[str]:
    """Yield what is wrong with a folder's files, a sentence each."""
    listed: dict[str, str] = {}
    for module in json.loads((folder / LIST).read_bytes()):
        listed |= module["files"]
    there = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != LIST
    }
    for name in sorted(there | listed.keys()):
        if name not in listed:
            yield f"{folder / name} is not in {LIST}"
        elif name not in there:
            yield f"{folder / name} is missing"
        elif sha256(folder / name) != listed[name]:
            yield f"{folder / name} is not the file that {LIST} names"


def main() -> int:
    """Return 0 when the modules are written, or are those of the list."""
    if "--check" not in sys.argv:
        vendor()
        return 0
    wrong = [sentence for folder in folders() for sentence in complaints(folder)]
    for sentence in wrong:
        print(f"{sentence}: run `make vendor`")  # noqa: T201
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main())
