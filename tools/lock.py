"""Write the lock files from pyproject.toml, or check that they are current.

`requirements.lock` is what running needs, `requirements-dev.lock` what working on Cordée needs
besides, with every optional extra, so that its tests run. Both pin every package with its hashes for every platform and Python that the project
supports, and name no index. `--check` resolves again with today's locks as the preference, so that a
newer release on the index does not fail the check, but a changed dependency does.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LOCKS = {
    "requirements.lock": ("--group", "build"),
    "requirements-dev.lock": (
        *("--group", "build", "--group", "dev", "--all-extras"),
        *("--constraints", "requirements.lock"),
    ),
}


def resolve(folder: Path) -> None:
    """Write the locks into `folder`, keeping the versions that they pin there already."""
    uv = Path(sys.executable).with_name("uv")
    shape = ("--universal", "--python-version", "3.11", "--generate-hashes")
    quiet = ("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "-q")
    for name, groups in LOCKS.items():
        subprocess.run(  # noqa: S603 - every argument is ours
            [uv, "pip", "compile", "pyproject.toml", *groups, *shape, *quiet, "-o", folder / name],
            check=True,
            stdout=subprocess.DEVNULL,
        )


def main() -> int:
    """Return 0 when the locks are written, or are current."""
    if "--check" not in sys.argv:
        resolve(Path())
        return 0
    with tempfile.TemporaryDirectory() as name:
        fresh = Path(name)
        for lock in LOCKS:
            shutil.copy(lock, fresh)
        resolve(fresh)
        stale = [lock for lock in LOCKS if Path(lock).read_bytes() != (fresh / lock).read_bytes()]
    for lock in stale:
        print(f"{lock} is behind pyproject.toml: run `make lock`")  # noqa: T201
    return len(stale)


if __name__ == "__main__":
    sys.exit(main())
