"""Makes the pictures of the pages in docs/images anew: `make pictures`. Look at them before you commit.

A demo of seed 1 runs until the middle of a morning; each page is opened by somebody of its role, in light and in dark,
and what is on the screen is kept, in few colours. Letters are those of the machine.
"""

import asyncio
import io
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.pages import settings_of
from benchmarks.site import CHROMIUM_ARGUMENTS, Site, chromium, demo
from ops import people
from storage.pool import connect
from storage.settings import clock

IMAGES: Final = Path(__file__).parents[1] / "docs/images"
SPEED: Final = 40.0
#: From 7:10, when the demo begins, to the middle of the morning.
SIMULATED_S: Final = 2 * 3_600 + 1_200
COLOURS: Final = 200
PATIENCE_MS: Final = 60_000
WIDE: Final = {"width": 1440, "height": 900}
TABLET: Final = {"width": 480, "height": 900}

#: The demo's sites belong to nobody; here one company has those of four tours of the day.
CLIENT: Final = """
INSERT INTO client (organisation_id, code, name) VALUES (1, 'DUPONT', 'Boulangeries Dupont');
UPDATE site SET client_id = (SELECT client_id FROM client WHERE code = 'DUPONT')
WHERE site_id IN (SELECT site_id FROM stop JOIN tour USING (tour_id)
                  WHERE service_date = (SELECT max(service_date) FROM tour) AND van_id <= 4)
"""
#: A late stop that waits for somebody.
LATE: Final = """
SELECT van.code FROM alert JOIN van USING (van_id) WHERE state = 'open' AND kind = 'late' ORDER BY due_at LIMIT 1
"""


#: What becomes of the first orders.
STAGES: Final = (
    *[("accepted", "picked", "shipped")] * 4,
    *[("accepted", "picked")] * 3,
    *[("accepted",)] * 4,
)


@dataclass(frozen=True, slots=True)
class Picture:
    """A page, who opens it, and what must be on it before it is taken."""

    name: str
    login: str | None
    path: str
    shows: str
    size: dict[str, int]


PICTURES: Final = (
    Picture("sign-in", None, "", "input[type=password]", WIDE),
    Picture("planner", "planner", "planner/#van={late}", ".gantt-row", WIDE),
    Picture("warehouse", "warehouse", "warehouse/", "main", WIDE),
    Picture("van", "technician", "van/#tour", "van-tour li", TABLET),
    Picture("client", "client", "client/", "tbody tr", WIDE),
    Picture("operations", "ops", "operations/", "main", WIDE),
    Picture("account", "planner", "account/", "main", WIDE),
)
PEOPLE: Final = (
    people.Person("planner", "planner", "Ana Diaz"),
    people.Person("warehouse", "warehouse", "Chlo\u00e9 Petit"),
    people.Person("technician", "technician", "Bo Martin", van="van-001"),
    people.Person("client", "client", "Mme Dupont", client="DUPONT"),
    people.Person("ops", "ops", "Ola Roux"),
)


def main() -> None:
    """Run a demo and take every picture twice."""
    with tempfile.TemporaryDirectory() as folder, demo(Path(folder), speed=SPEED) as site:
        _let_time_pass(site)
        url = settings_of(site).database_url
        with psycopg.connect(url) as conn:
            conn.execute(CLIENT)
        passwords = asyncio.run(_add_people(url))
        with psycopg.connect(url) as conn:
            late = conn.execute(LATE).fetchone() or ("van-001",)
        _work_in_the_warehouse(site, passwords["warehouse"])
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium(), args=list(CHROMIUM_ARGUMENTS)
            )
            for picture in PICTURES:
                cookies = (
                    site.session(picture.login, passwords[picture.login]) if picture.login else {}
                )
                for scheme in ("light", "dark"):
                    taken = _take(browser, site, picture, cookies, scheme, late[0])
                    file = IMAGES / f"{picture.name}-{scheme}.png"
                    file.write_bytes(taken)
                    sys.stdout.write(f"{file.name} {len(taken) // 1_000} kB\n")
            browser.close()


def _let_time_pass(site: Site) -> None:
    settings = settings_of(site)
    now = clock(settings)
    while now() < settings.clock_origin_ms + 1_000 * SIMULATED_S:
        time.sleep(1)


async def _add_people(url: str) -> dict[str, str]:
    async with connect(url, "pictures", size_max=1) as pool, pool.connection() as conn:
        return {person.login: await people.add_user(conn, person) for person in PEOPLE}


def _work_in_the_warehouse(site: Site, password: str) -> None:
    """Report some orders as a warehouse would in the middle of its morning."""
    with httpx.Client(base_url=site.url, cookies=site.session("warehouse", password)) as client:
        client.headers["x-csrf-token"] = client.get("/v1/session").json()["csrf_token"]
        orders = client.get("/v1/orders?state=sent&limit=20").json()["orders"]
        for order, kinds in zip(orders, STAGES, strict=False):
            lines = client.get(f"/v1/orders/{order['code']}").json()["lines"]
            said = [{"item": line["item"], "qty": line["requested"]} for line in lines]
            for kind in kinds:
                report = {"kind": kind, "lines": [] if kind == "accepted" else said}
                client.post(f"/v1/orders/{order['code']}/reports", json=report).raise_for_status()


def _take(
    browser: Browser, site: Site, picture: Picture, cookies: dict[str, str], scheme: Any, late: str
) -> bytes:
    context = browser.new_context(viewport=picture.size, locale="en-GB", color_scheme=scheme)
    context.add_cookies([{"name": n, "value": v, "url": site.url} for n, v in cookies.items()])
    page = context.new_page()
    page.goto(site.url + picture.path.format(late=late))
    page.locator(picture.shows).first.wait_for(timeout=PATIENCE_MS)
    _let_settle(page)
    taken = page.screenshot()
    context.close()
    kept = io.BytesIO()
    Image.open(io.BytesIO(taken)).convert("RGB").quantize(COLOURS).save(kept, "png", optimize=True)
    return kept.getvalue()


def _let_settle(page: Page) -> None:
    """Wait for the map, lists and letters: nothing on the page says that all of them are there."""
    page.wait_for_timeout(6_000)


if __name__ == "__main__":
    main()
