"""The simulated company: clients, vans, technicians, parts. The same seed gives the same world.

Client sites gather around French towns as a normal cloud whose width grows with the town. Most stand
400 m or more apart, so that a parked van is at one client and no other; one in a hundred is put on
purpose so near another that their fences touch. Vans live near towns, away from every fence.

This module must not know how arrivals or stock are judged: it only says what exists.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from simulators.roads import METRES_PER_DEGREE, Floats
from simulators.vocabulary import CLIENTS, FIRST_NAMES, LAST_NAMES, PARTS, TOWNS

Ints = NDArray[np.int64]

TIME_ZONE: Final = "Europe/Paris"
SITE_APART_M: Final = 400.0
HOME_APART_M: Final = 600.0
OVERLAP_SHARE: Final = 0.01
TRACKED_SHARE: Final = 0.45
FAST_MOVERS: Final = 60


@dataclass(frozen=True, slots=True)
class Warehouse:
    """Where parts come from; open proposals become orders at the local `cutoff_times`."""

    code: str
    name: str
    latitude_deg: float
    longitude_deg: float
    cutoff_times: tuple[time, ...]


@dataclass(frozen=True, slots=True)
class Technician:
    """Somebody who travels, from home and back."""

    code: str
    name: str
    home_latitude_deg: float
    home_longitude_deg: float


@dataclass(frozen=True, slots=True)
class Item:
    """A reference of the catalogue."""

    ref: str
    name: str
    tracked: bool
    critical: bool


@dataclass(frozen=True, slots=True)
class Barcode:
    """A code as the table holds it (a GTIN as 14 digits) and as a scanner reads it off the label."""

    code: str
    item: int
    pack_qty: int
    scanned: str
    aim_id: str


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """What a van should hold: int64 columns, one row per tracked item, 0 <= s < S <= cap."""

    code: str
    reorder_point: Ints
    order_up_to: Ints
    cap: Ints
    pack_qty: Ints


@dataclass(frozen=True, slots=True)
class Van:
    """A van; the indices point into the world's technicians, templates and warehouses."""

    code: str
    name: str
    technician: int
    template: int
    warehouse: int


@dataclass(frozen=True, slots=True)
class Site:
    """A client's place: a circle."""

    code: str
    name: str
    latitude_deg: float
    longitude_deg: float
    radius_m: float
    town: str


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """All that exists on the first morning.

    The first `tracked` items are followed; `fast_movers` indexes those used most. `opening_qty` is
    int64 (vans, tracked); the `site_…` columns repeat `sites` as float64 (sites,); `item_codes`
    gives each item's barcodes, the internal one first.
    """

    seed: int
    warehouses: tuple[Warehouse, ...]
    technicians: tuple[Technician, ...]
    items: tuple[Item, ...]
    tracked: int
    fast_movers: Ints
    barcodes: tuple[Barcode, ...]
    item_codes: tuple[tuple[Barcode, ...], ...]
    templates: tuple[Template, ...]
    vans: tuple[Van, ...]
    sites: tuple[Site, ...]
    site_latitude_deg: Floats
    site_longitude_deg: Floats
    site_radius_m: Floats
    opening_qty: Ints


def dice(seed: int, purpose: str, *key: int) -> np.random.Generator:
    """Return the generator for one purpose; each has its own, so that none disturbs another."""
    return np.random.default_rng([seed, *purpose.encode(), *key])


def local_ms(day: date, seconds: float) -> int:
    """Return milliseconds UTC of `seconds` after local midnight of `day`."""
    midnight = datetime.combine(day, time(), ZoneInfo(TIME_ZONE))
    return round((midnight.timestamp() + seconds) * 1000)


def counted_at(first_day: date) -> datetime:
    """Return when the opening stock was counted: the evening before the first day."""
    return datetime.combine(first_day - timedelta(days=1), time(18), ZoneInfo(TIME_ZONE))


def create_world(seed: int, *, vans: int = 200, sites: int = 20_000, items: int = 4_000) -> World:
    """Return the world of `seed`; smaller sizes give a smaller France, not a sparser one."""
    towns = max(1, min(len(TOWNS), sites // 120))
    tracked = max(4, round(items * TRACKED_SHARE))
    site_rows = _create_sites(dice(seed, "sites"), sites, towns)
    latitude_deg = np.array([site.latitude_deg for site in site_rows])
    longitude_deg = np.array([site.longitude_deg for site in site_rows])
    technicians = _create_technicians(
        dice(seed, "technicians"), vans, towns, latitude_deg, longitude_deg
    )
    warehouses = _create_warehouses()
    item_rows = _create_items(dice(seed, "items"), items, tracked)
    item_codes = _create_barcodes(dice(seed, "barcodes"), items)
    fast_movers = np.sort(
        dice(seed, "fast movers").choice(tracked, min(FAST_MOVERS, tracked // 4), replace=False)
    )
    templates = _create_templates(dice(seed, "templates"), tracked, fast_movers)
    van_rows = tuple(
        Van(
            code=f"van-{index + 1:03d}",
            name=f"Fourgon {index + 1}",
            technician=index,
            template=index % len(templates),
            warehouse=0 if technicians[index].home_latitude_deg > 46.5 else 1,
        )
        for index in range(vans)
    )
    return World(
        seed=seed,
        warehouses=warehouses,
        technicians=technicians,
        items=item_rows,
        tracked=tracked,
        fast_movers=fast_movers,
        barcodes=tuple(barcode for codes in item_codes for barcode in codes),
        item_codes=item_codes,
        templates=templates,
        vans=van_rows,
        sites=site_rows,
        site_latitude_deg=latitude_deg,
        site_longitude_deg=longitude_deg,
        site_radius_m=np.array([site.radius_m for site in site_rows]),
        opening_qty=_opening_stock(dice(seed, "opening"), van_rows, templates, fast_movers),
    )


def _create_warehouses() -> tuple[Warehouse, ...]:
    """Two warehouses, whose hourly cut-offs let a demonstration see orders soon."""
    hourly = tuple(time(hour) for hour in range(8, 18))
    return (
        Warehouse("WH-NORD", "Entrepôt nord, Orléans", 47.962, 1.872, hourly),
        Warehouse("WH-SUD", "Entrepôt sud, Valence", 44.905, 4.868, hourly),
    )


class _Spacing:
    """A grid of cells 400 m wide: finds what stands too near without looking at everything."""

    def __init__(self, apart_m: float) -> None:
        self._apart_m = apart_m
        self._cells: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)

    def _place(self, latitude_deg: float, longitude_deg: float) -> tuple[float, float]:
        # One scale for all of France; the cosine of its north errs on the wide side.
        return longitude_deg * METRES_PER_DEGREE * 0.62, latitude_deg * METRES_PER_DEGREE

    def free(self, latitude_deg: float, longitude_deg: float) -> bool:
        """Whether nothing stands within the distance."""
        x_m, y_m = self._place(latitude_deg, longitude_deg)
        column, row = int(x_m // self._apart_m), int(y_m // self._apart_m)
        return all(
            (x_m - other_x_m) ** 2 + (y_m - other_y_m) ** 2 >= self._apart_m**2
            for near_column in (column - 1, column, column + 1)
            for near_row in (row - 1, row, row + 1)
            for other_x_m, other_y_m in self._cells.get((near_column, near_row), ())
        )

    def take(self, latitude_deg: float, longitude_deg: float) -> None:
        """Stand here."""
        x_m, y_m = self._place(latitude_deg, longitude_deg)
        self._cells[int(x_m // self._apart_m), int(y_m // self._apart_m)].append((x_m, y_m))


def _scatter(rng: np.random.Generator, town: int, spread: float = 1.0) -> tuple[float, float]:
    """Return a place near a town, WGS 84 degrees; bigger towns reach farther."""
    _, latitude_deg, longitude_deg, weight = TOWNS[town]
    sigma_m = spread * (5_000 + 1_100 * weight**0.6)
    north_m, east_m = rng.normal(0, sigma_m, 2)
    east_metres = METRES_PER_DEGREE * np.cos(np.radians(latitude_deg))
    return (
        float(latitude_deg + north_m / METRES_PER_DEGREE),
        float(longitude_deg + east_m / east_metres),
    )


def _create_sites(rng: np.random.Generator, count: int, towns: int) -> tuple[Site, ...]:
    weights = np.array([weight for _, _, _, weight in TOWNS[:towns]])
    town_of = rng.choice(towns, count, p=weights / weights.sum())
    radius_m = rng.integers(50, 151, count)
    client_of = rng.integers(0, len(CLIENTS), count)
    spacing = _Spacing(SITE_APART_M)
    sites: list[Site] = []
    for index in range(count):
        if sites and rng.random() < OVERLAP_SHARE:
            latitude_deg, longitude_deg = _touching(rng, sites[-1], float(radius_m[index]))
        else:
            latitude_deg, longitude_deg = _scatter(rng, town_of[index])
            for attempt in range(200):
                if spacing.free(latitude_deg, longitude_deg):
                    break
                # A full town grows outwards.
                latitude_deg, longitude_deg = _scatter(rng, town_of[index], 1 + attempt / 20)
        spacing.take(latitude_deg, longitude_deg)
        town = TOWNS[town_of[index]][0]
        sites.append(
            Site(
                code=f"S-{index + 1:05d}",
                name=f"{CLIENTS[client_of[index]]} {town} {index + 1}",
                latitude_deg=round(latitude_deg, 6),
                longitude_deg=round(longitude_deg, 6),
                radius_m=float(radius_m[index]),
                town=town,
            )
        )
    return tuple(sites)


def _touching(rng: np.random.Generator, site: Site, radius_m: float) -> tuple[float, float]:
    """Return a place whose fence touches or overlaps that of `site`."""
    apart_m = rng.uniform(0.6, 1.0) * (site.radius_m + radius_m)
    bearing = rng.uniform(0, 2 * np.pi)
    east_metres = METRES_PER_DEGREE * np.cos(np.radians(site.latitude_deg))
    return (
        float(site.latitude_deg + apart_m * np.cos(bearing) / METRES_PER_DEGREE),
        float(site.longitude_deg + apart_m * np.sin(bearing) / east_metres),
    )


def _create_technicians(
    rng: np.random.Generator,
    count: int,
    towns: int,
    site_latitude_deg: Floats,
    site_longitude_deg: Floats,
) -> tuple[Technician, ...]:
    spacing = _Spacing(HOME_APART_M)
    for latitude_deg, longitude_deg in zip(site_latitude_deg, site_longitude_deg, strict=True):
        spacing.take(float(latitude_deg), float(longitude_deg))
    weights = np.array([weight for _, _, _, weight in TOWNS[:towns]])
    town_of = rng.choice(towns, count, p=weights / weights.sum())
    technicians: list[Technician] = []
    for index in range(count):
        latitude_deg, longitude_deg = _scatter(rng, town_of[index], 0.8)
        while not spacing.free(latitude_deg, longitude_deg):
            latitude_deg, longitude_deg = _scatter(rng, town_of[index], 0.8)
        first = FIRST_NAMES[rng.integers(len(FIRST_NAMES))]
        last = LAST_NAMES[rng.integers(len(LAST_NAMES))]
        technicians.append(
            Technician(
                f"T-{index + 1:03d}",
                f"{first} {last}",
                round(latitude_deg, 6),
                round(longitude_deg, 6),
            )
        )
    return tuple(technicians)


def _create_items(rng: np.random.Generator, count: int, tracked: int) -> tuple[Item, ...]:
    critical = rng.random(count) < 0.05
    return tuple(
        Item(
            ref=f"P-{index + 1:04d}",
            name=f"{PARTS[index % len(PARTS)]} type {index // len(PARTS) + 1}",
            tracked=index < tracked,
            critical=bool(critical[index]),
        )
        for index in range(count)
    )


def check_digit(digits: str) -> str:
    """Return the GS1 check digit: weights 3 and 1 from the right, modulo 10 (GS1 GenSpecs 7.9)."""
    total = sum(
        int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits))
    )
    return str(-total % 10)


def _create_barcodes(rng: np.random.Generator, items: int) -> tuple[tuple[Barcode, ...], ...]:
    """Each item has its internal code; most a GTIN-13, and some of those a case code (ITF-14)."""
    has_gtin = rng.random(items) < 0.7
    case_qty = rng.choice([0, 5, 10], items, p=[0.7, 0.15, 0.15])
    codes: list[tuple[Barcode, ...]] = []
    for item in range(items):
        internal = f"CRD{item + 1:05d}"
        row = [Barcode(internal, item, 1, internal, "]C0")]
        if has_gtin[item]:
            # 376: a French prefix; 20 to 29 would mean a shop's own numbers.
            body = f"376{item + 1:09d}"
            gtin = body + check_digit(body)
            row.append(Barcode("0" + gtin, item, 1, gtin, "]E0"))
            if case_qty[item]:
                case = "1" + body
                case += check_digit(case)
                row.append(Barcode(case, item, int(case_qty[item]), case, "]I1"))
        codes.append(tuple(row))
    return tuple(codes)


def _create_templates(
    rng: np.random.Generator, tracked: int, fast_movers: Ints
) -> tuple[Template, ...]:
    templates = []
    for code in ("ELEC", "CVC", "PLOMB", "MULTI"):
        reorder_point = rng.choice([0, 1, 2, 3, 5], tracked, p=[0.35, 0.3, 0.2, 0.1, 0.05])
        reorder_point[fast_movers] = rng.integers(4, 10, len(fast_movers))
        pack_qty = rng.choice([1, 2, 5, 10], tracked, p=[0.7, 0.15, 0.1, 0.05])
        order_up_to = reorder_point + rng.integers(1, 4, tracked) + pack_qty
        cap = order_up_to + rng.integers(0, 4, tracked)
        templates.append(Template(f"TPL-{code}", reorder_point, order_up_to, cap, pack_qty))
    return tuple(templates)


def _opening_stock(
    rng: np.random.Generator,
    vans: tuple[Van, ...],
    templates: tuple[Template, ...],
    fast_movers: Ints,
) -> Ints:
    """Mostly between s+1 and S, a few short; fast movers at exactly s+1: the next one orders."""
    rows = []
    for van in vans:
        template = templates[van.template]
        qty = rng.integers(template.reorder_point + 1, template.order_up_to + 1)
        short = rng.random(len(qty)) < 0.01
        qty[short] = template.reorder_point[short]
        qty[fast_movers] = template.reorder_point[fast_movers] + 1
        rows.append(qty)
    return np.array(rows, dtype=np.int64)
