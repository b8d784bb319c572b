"""The map that all pages share, and other people's modules beside it, under the real policy.

There is no page of its own for it: each test lays one over an address of the server, which is then
answered with the server's headers.
"""

import io
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect
from pystrich.datamatrix import DataMatrixEncoder

from tests.browser import axe, one_tile
from tests.browser.company import WAIT_MS

PAGE = """<!doctype html>
<html lang="de">
<meta charset="utf-8">
<title>A map</title>
<link rel="stylesheet" href="/vendor/maplibre-gl.css">
<link rel="stylesheet" href="/base/map.css">
<link rel="stylesheet" href="/laid/page.css">
<script type="module" src="page.js"></script>
<main><h1>A map</h1><p role="status"></p><div id="map"></div></main>
</html>"""
STYLE = """
:root { color-scheme: light; }
:root[data-theme="dark"] { color-scheme: dark; }
body { margin: 0; }
#map { height: 500px; }
"""
#: Over the sea, west of Brittany; the pane begins below a heading.
AT_SEA = (60, 400)
MAP = """
import { createMap } from "/base/map.js";
const status = document.querySelector("[role=status]");
const onProblem = (message) => { window.problem = message; };
createMap(document.getElementById("map"), { onProblem }).then(
  async (map) => {
    window.map = map;
    await map.once("idle");
    status.textContent = "drawn";
  },
  (error) => { status.textContent = `${error.name}: ${error.message}`; },
);
"""


def lay(page: Page, url: str, script: str, folder: str = "laid/") -> None:
    """Open a page with this script at a folder of the server."""
    files = {
        f"/{folder}": ("text/html", PAGE),
        f"/{folder}page.js": ("text/javascript", script),
        "/laid/page.css": ("text/css", STYLE),
    }

    def answer(route: Route) -> None:
        kind, body = files[route.request.url.removeprefix(url.rstrip("/"))]
        headers = {**route.fetch().headers, "content-type": kind}
        route.fulfill(status=200, headers=headers, body=body)

    page.set_viewport_size({"width": 800, "height": 600})
    for path in files:
        page.route(f"{url.rstrip('/')}{path}", answer)
    page.goto(f"{url}{folder}")


def drawn(page: Page) -> None:
    expect(page.get_by_role("status")).to_have_text("drawn", timeout=4 * WAIT_MS)


def see(page: Page, colour: str) -> None:
    """Wait until the sea has this colour."""
    deadline = time.monotonic() + WAIT_MS / 1_000
    while (seen := pixel(page, AT_SEA)) != colour:
        assert time.monotonic() < deadline, f"the sea is {seen}, not {colour}"


def pixel(page: Page, at: tuple[int, int]) -> str:
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    return "rgb({}, {}, {})".format(*picture.getpixel(at))


def test_the_built_in_map_is_drawn_from_this_host_alone(api: Any, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.removeprefix(api.url)))
    lay(page, api.url, MAP)
    drawn(page)
    sources = page.evaluate("Object.keys(map.getStyle().sources)")
    assert sources == ["land", "lakes", "regions", "borders", "countries", "cities"]
    assert {
        f"basemap/{name}.json" for name in ("land", "lakes", "regions", "borders", "places")
    } < {*asked}
    named = page.evaluate(
        "map.queryRenderedFeatures({layers: ['countries', 'cities']}).map(it => it.properties.name)"
    )
    assert {"Frankreich", "Paris", "Lyon"} <= {*named}
    attribution = page.locator(".maplibregl-ctrl-attrib")
    expect(attribution).to_contain_text("Natural Earth")
    expect(attribution).to_contain_text("GeoNames (CC BY 4.0)")


def test_the_map_follows_the_pages_palette_and_keeps_what_the_page_drew(
    api: Any, page: Page
) -> None:
    lay(page, api.url, MAP)
    drawn(page)
    page.evaluate(
        """() => {
          map.addSource("mine", {type: "geojson", data: {type: "FeatureCollection", features: []}});
          map.addLayer({id: "mine", type: "circle", source: "mine"}, "below-names");
          window.palettes = [];
          map.on("palette", (event) => palettes.push(event.palette.water));
        }"""
    )
    sea = {"": "rgb(205, 219, 228)", "dark": "rgb(17, 22, 27)", "sunlight": "rgb(188, 214, 232)"}
    for theme, colour in sea.items():
        page.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", theme)
        see(page, colour)
        assert axe.violations(page) == [], theme
    assert page.evaluate("palettes") == [sea["dark"], sea["sunlight"]]
    layers = page.evaluate("map.getStyle().layers.map(layer => layer.id)")
    at = layers.index("mine")
    assert layers[at + 1 :] == ["below-names", "countries", "cities"]


def test_the_map_is_moved_by_keys_and_cannot_be_turned(api: Any, page: Page) -> None:
    lay(page, api.url, MAP)
    drawn(page)
    canvas = page.get_by_role("region", name="Map")
    canvas.focus()
    zoom, east = page.evaluate("[map.getZoom(), map.getCenter().lng]")
    canvas.press("+")
    assert page.evaluate("map.getZoom()") == pytest.approx(zoom + 1, abs=0.6)
    canvas.press("ArrowRight")
    assert page.evaluate("map.getCenter().lng") > east
    canvas.press("Shift+ArrowRight")
    assert page.evaluate("map.getBearing()") == 0
    page.get_by_role("button", name="Zoom out").press("Enter")
    page.evaluate("() => { map.flyTo({center: [4.85, 45.75], zoom: 10}); }")
    assert page.evaluate("map.getZoom()") == 10, "it flies for who wants less motion"
    page.emulate_media(reduced_motion="no-preference")
    flight = """() => {
      const landed = map.once("moveend");
      map.flyTo({center: [4.85, 45.75], zoom: 11, duration: 300});
      const flies = map.isMoving();
      return landed.then(() => [flies, map.getZoom()]);
    }"""
    assert page.evaluate(flight) == [True, 11]


def test_a_browser_without_webgl_is_told_so_before_it_fetches_the_map(api: Any, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null;")
    lay(page, api.url, MAP)
    expect(page.get_by_role("status")).to_contain_text("MapUnavailable: This browser cannot draw")
    assert not any("maplibre-gl.mjs" in url for url in asked)


def test_tiles_of_this_installation_are_read_in_ranges(
    api: Any, page: Page, tmp_path: Path
) -> None:
    file = tmp_path / "world.pmtiles"
    file.write_bytes(one_tile.archive())
    configure(api, map_pmtiles_path=str(file))
    statuses: list[int] = []
    page.on(
        "response",
        lambda it: statuses.append(it.status) if it.url.endswith("tiles.pmtiles") else None,
    )
    lay(page, api.url, MAP)
    drawn(page)
    assert statuses
    assert set(statuses) == {206}
    assert page.evaluate("map.queryRenderedFeatures({layers: ['earth']}).length") > 0
    expect(page.locator(".maplibregl-ctrl-attrib")).to_contain_text("OpenStreetMap")
    light = page.evaluate("map.getPaintProperty('earth', 'fill-color')")
    page.evaluate("() => { document.documentElement.dataset.theme = 'dark'; }")
    assert page.evaluate("map.getPaintProperty('earth', 'fill-color')") != light


STYLE_URL = "https://tiles.example.com/planner/style.json"


def test_a_style_of_this_installation_is_fetched_from_its_origin(
    api: Any, page: Page, expected_errors: list[str]
) -> None:
    expected_errors.append(STYLE_URL)
    ground = {"id": "ground", "type": "background", "paint": {"background-color": "#010203"}}
    page.route(
        STYLE_URL,
        lambda route: route.fulfill(
            json={"version": 8, "sources": {}, "layers": [ground]},
            headers={"access-control-allow-origin": "*"},
        ),
    )
    configure(api, map_style_url=STYLE_URL)
    lay(page, api.url, MAP)
    drawn(page)
    layers = page.evaluate("map.getStyle().layers.map(layer => layer.id)")
    assert layers == ["ground", "below-names"]
    see(page, "rgb(1, 2, 3)")
    assert page.evaluate("window.problem") is None


def test_a_style_that_does_not_answer_is_replaced_by_the_built_in_map_and_said_so(
    api: Any, page: Page, expected_errors: list[str]
) -> None:
    expected_errors.append(STYLE_URL)
    page.route(STYLE_URL, lambda route: route.abort())
    configure(api, map_style_url=STYLE_URL)
    lay(page, api.url, MAP)
    drawn(page)
    assert "does not answer" in page.evaluate("window.problem")
    assert "land" in page.evaluate("Object.keys(map.getStyle().sources)")


READ = """
import { readBarcodes } from "/vendor/zxing.js";
const picture = await (await fetch("picture.png")).blob();
const status = document.querySelector("[role=status]");
try {
  const [found] = await readBarcodes(picture, { formats: ["DataMatrix"] });
  status.textContent = `${found.symbologyIdentifier}${found.text}`;
} catch (error) {
  status.textContent = "not allowed";
}
"""


@pytest.mark.parametrize(
    ("folder", "says"), [("van/", "]d1CORDEE-4711"), ("planner/", "not allowed")]
)
def test_the_vans_page_alone_reads_barcodes_and_asks_no_other_host(
    api: Any, page: Page, expected_errors: list[str], folder: str, says: str
) -> None:
    if says == "not allowed":
        expected_errors += ["WebAssembly", "falling back to ArrayBuffer instantiation"]
    picture = DataMatrixEncoder("CORDEE-4711").get_imagedata(cellsize=6)
    page.route("**/picture.png", lambda route: route.fulfill(body=picture))
    lay(page, api.url, READ, folder)
    expect(page.get_by_role("status")).to_have_text(says, timeout=WAIT_MS)


LIT = """
import { LitElement, html, live, repeat, styleMap } from "/vendor/lit.js";
class Bars extends LitElement {
  static properties = { rows: {} };
  createRenderRoot() { return this; }
  render() {
    const bar = (row) => html`<p style=${styleMap(row)}>a bar</p>`;
    return html`<input .value=${live("typed")}>${repeat(this.rows, (row, nth) => nth, bar)}`;
  }
}
customElements.define("x-bars", Bars);
window.bars = document.createElement("x-bars");
bars.rows = [{ width: "50px", "--tone": "3" }];
document.querySelector("main").append(bars);
"""


def test_lit_draws_and_styles_under_the_policy(api: Any, page: Page) -> None:
    lay(page, api.url, LIT)
    bar = page.locator("x-bars p")
    expect(page.locator("x-bars input")).to_have_value("typed")
    expect(bar).to_have_css("width", "50px")
    assert bar.evaluate("it => it.style.getPropertyValue('--tone')") == "3"
    page.evaluate("() => { bars.rows = [{ width: '70px', height: null }]; }")
    expect(bar).to_have_css("width", "70px")
    assert bar.evaluate("it => it.style.cssText") == "width: 70px;"


OUTBOX = """
import { openDB } from "/vendor/idb.js";
const upgrade = (db) => db.createObjectStore("outbox", { keyPath: "seq" });
const db = await openDB("laid", 1, { upgrade });
await db.put("outbox", { seq: 7 });
document.querySelector("[role=status]").textContent = JSON.stringify(await db.getAll("outbox"));
"""


def test_indexeddb_keeps_what_is_put(api: Any, page: Page) -> None:
    lay(page, api.url, OUTBOX)
    expect(page.get_by_role("status")).to_have_text('[{"seq":7}]')


def configure(api: Any, **changed: Any) -> None:
    """Start the API again, with other settings, at the same address."""
    api.stop()
    api.settings = api.settings.model_copy(update=changed)
    api.start()
