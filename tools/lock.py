"""Write requirements.lock from pyproject.toml, or check that it is current.

The lock pins every package with its hashes for every platform and Python that the project supports,
and names no index. `--check` resolves again with today's lock as the preference, so that a newer
release on the index does not fail the check, but a changed dependency does.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

LOCK = Path("requirements.lock")


def resolve(output: Path) -> None:
    """Resolve pyproject.toml into `output`, keeping the versions that `output` already pins."""
    subprocess.run(  # noqa: S603 - every argument is ours
        [
            Path(sys.executable).with_name("uv"),
            *("pip", "compile", "pyproject.toml", "--group", "dev", "--universal"),
            *("--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate"),
            *("--no-emit-index-url", "--no-emit-find-links", "--quiet", "--output-file", output),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def main() -> int:
    """Return 0 when the lock is written, or is current."""
    if "--check" not in sys.argv:
        resolve(LOCK)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / LOCK.name
        fresh.write_bytes(LOCK.read_bytes())
        resolve(fresh)
        if fresh.read_bytes() == LOCK.read_bytes():
            return 0
    print("requirements.lock is behind pyproject.toml: run `make lock`")  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
