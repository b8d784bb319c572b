"""Which files a tablet keeps, and how it knows that they have changed."""

import base64
import hashlib
import os
from pathlib import Path

import pytest

from api import precache


@pytest.fixture
def web(tmp_path: Path) -> Path:
    for name in ("van/index.html", "van/page.js", "van/sw.js", "base/base.css", "planner/page.js",
                 "vendor/lit.js", "vendor/maplibre-gl.mjs", "icon.svg", "index.html"):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    return tmp_path


def test_what_the_page_is_made_of_is_kept_and_nothing_of_other_pages(web: Path) -> None:
    assert list(precache.files(web)) == [
        "/base/base.css", "/icon.svg", "/van/", "/van/page.js", "/vendor/lit.js",
    ]  # fmt: skip


def test_a_hash_is_one_that_browsers_check(web: Path) -> None:
    digest = hashlib.sha256(b"van/page.js").digest()
    assert precache.files(web)["/van/page.js"] == f"sha256-{base64.b64encode(digest).decode()}"


def test_a_file_that_changes_under_a_running_server_changes_the_list(web: Path) -> None:
    before = precache.files(web)
    (web / "van/page.js").write_text("another")
    os.utime(web / "van/page.js", ns=(1, 1))
    after = precache.files(web)
    assert {path for path, it in after.items() if it != before[path]} == {"/van/page.js"}


def test_every_file_that_the_page_imports_is_kept() -> None:
    """A module that is missing offline breaks the page, and nobody notices at a desk."""
    kept = precache.files(precache.WEB)
    for path in (precache.WEB / "van").glob("*.js"):
        for line in path.read_text().splitlines():
            if line.startswith(("import ", "export ")) and ' "' in line and "./" in line:
                module = line.split('"')[1]
                found = (path.parent / module).resolve().relative_to(precache.WEB)
                assert f"/{found.as_posix()}" in kept, f"{path.name} imports {module}"
