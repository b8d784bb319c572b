"""Put other people's modules where the console and its tests find them, or check those that are there.

    python tools/vendor.py            npm ci, bundle, copy, write VENDOR.json   (node and network)
    python tools/vendor.py --check    compare the files with VENDOR.json        (neither)

The versions stand in `tools/web/package.json` and its lock. Each module is one file, either as its
authors published it or bundled by esbuild from an entry in `tools/web/`. `VENDOR.json` says for each
what it is made of, under which licences, and the SHA-256 of every file; the licences' texts lie in
`licences/`. The same lock gives the same bytes. Nothing here is edited by hand.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
NPM: Final = ROOT / "tools" / "web"
PACKAGES: Final = NPM / "node_modules"
SERVED: Final = ROOT / "api" / "web" / "vendor"
LIST: Final = "VENDOR.json"
BUNDLER: Final = (
    *("--bundle", "--format=esm", "--target=es2022", "--minify", "--charset=utf8"),
    *("--legal-comments=none", "--log-level=warning"),
)


@dataclass(frozen=True, slots=True)
class Module:
    """One package's part in a folder: entries that are bundled, files that are copied as they are."""

    package: str
    folder: Path
    bundled: tuple[str, ...] = ()
    copied: tuple[tuple[str, str], ...] = ()


MODULES: Final = (Module("lit", SERVED, bundled=("lit.js",)),)


def packages_in(metafile: Path) -> list[str]:
    """Return the names of the packages that a bundle was made of, from esbuild's own account."""
    inputs = json.loads(metafile.read_bytes())["inputs"]
    parts = [Path(path).parts for path in inputs if path.startswith("node_modules/")]
    return sorted({"/".join(p[1:3]) if p[1].startswith("@") else p[1] for p in parts})


def dependencies_of(package: str) -> list[str]:
    """Return the package and all that it needs: what its authors' own bundle may be made of."""
    found, left = set[str](), [package]
    while left:
        name = left.pop()
        if name not in found and not name.startswith("@types/"):
            found.add(name)
            left += manifest(name).get("dependencies", {})
    return sorted(found)


def manifest(package: str) -> dict[str, Any]:
    """Return a package's own description."""
    described: dict[str, Any] = json.loads((PACKAGES / package / "package.json").read_bytes())
    return described


def licence_text(package: str) -> str:
    """Return the text of a package's licence.

    Raises:
        SystemExit: The package ships none, so it cannot be passed on.
    """
    texts = sorted((PACKAGES / package).glob("[Ll][Ii][Cc][Ee][Nn][CcSs][Ee]*"))
    if not texts:
        raise SystemExit(f"{package} ships no licence text: it cannot be vendored")
    return texts[0].read_text(encoding="utf-8").strip()


def bundle(package: str, entry: str, target: Path) -> list[str]:
    """Bundle `tools/web/<entry>` into `target`; return the packages that it is made of."""
    metafile = PACKAGES / ".metafile.json"
    says = f"{package} {manifest(package)['version']}, {manifest(package)['license']}"
    subprocess.run(  # noqa: S603 - every argument is ours
        [
            *(PACKAGES / ".bin" / "esbuild", entry, *BUNDLER),
            *(f"--metafile={metafile}", f"--outfile={target}"),
            f"--banner:js=// {says}: licences/{licences_of(package)}",
        ],
        cwd=NPM,
        check=True,
    )
    return packages_in(metafile)


def put(module: Module) -> dict[str, Any]:
    """Write a module's files and the licences of what is in them; return its entry in the list."""
    inside = dependencies_of(module.package) if module.copied else []
    for entry in module.bundled:
        inside += bundle(module.package, entry, module.folder / entry)
    for source, target in module.copied:
        (module.folder / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PACKAGES / module.package / source, module.folder / target)
    licences = f"licences/{licences_of(module.package)}"
    (module.folder / licences).parent.mkdir(exist_ok=True)
    (module.folder / licences).write_text(
        "\n\n".join(f"{name}\n{'=' * len(name)}\n{licence_text(name)}\n" for name in inside),
        encoding="utf-8",
    )
    files = [*module.bundled, *(target for _, target in module.copied), licences]
    return {
        "name": module.package,
        "version": manifest(module.package)["version"],
        "licence": manifest(module.package)["license"],
        "contains": {
            name: f"{manifest(name)['version']} {manifest(name)['license']}" for name in inside
        },
        "files": {name: sha256(module.folder / name) for name in sorted(files)},
    }


def licences_of(package: str) -> str:
    """Return the name of the file with the licences of a package and of what is in it."""
    return f"{package.lstrip('@').replace('/', '-')}.txt"


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
        folder.mkdir(parents=True)
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
