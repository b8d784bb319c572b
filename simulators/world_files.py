"""Writes the world as the CSV files that the system imports: UTF-8, a header, units in the names."""

import csv
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

from simulators.tours import tours
from simulators.world import TIME_ZONE, World, counted_at


def write_world(world: World, folder: Path, day: date) -> None:
    """Write all reference data, and the stock counted on the evening before `day`."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(
        folder / "warehouses.csv",
        ("warehouse", "name", "latitude_deg", "longitude_deg", "time_zone", "cutoff_times"),
        (
            (
                warehouse.code,
                warehouse.name,
                warehouse.latitude_deg,
                warehouse.longitude_deg,
                TIME_ZONE,
                ";".join(f"{cutoff:%H:%M}" for cutoff in warehouse.cutoff_times),
            )
            for warehouse in world.warehouses
        ),
    )
    _write(
        folder / "technicians.csv",
        ("technician", "name", "home_latitude_deg", "home_longitude_deg"),
        (
            (person.code, person.name, person.home_latitude_deg, person.home_longitude_deg)
            for person in world.technicians
        ),
    )
    _write(
        folder / "vans.csv",
        ("van", "name", "technician", "template", "warehouse"),
        (
            (
                van.code,
                van.name,
                world.technicians[van.technician].code,
                world.templates[van.template].code,
                world.warehouses[van.warehouse].code,
            )
            for van in world.vans
        ),
    )
    _write(
        folder / "sites.csv",
        ("site", "name", "latitude_deg", "longitude_deg", "radius_m", "time_zone", "town"),
        (
            (
                site.code,
                site.name,
                site.latitude_deg,
                site.longitude_deg,
                f"{site.radius_m:g}",
                TIME_ZONE,
                site.town,
            )
            for site in world.sites
        ),
    )
    _write_parts(world, folder, day)


def _write_parts(world: World, folder: Path, day: date) -> None:
    _write(
        folder / "items.csv",
        ("item", "name", "base_unit", "tracked", "critical"),
        (
            (item.ref, item.name, "piece", _boolean(item.tracked), _boolean(item.critical))
            for item in world.items
        ),
    )
    _write(
        folder / "barcodes.csv",
        ("code", "item", "pack_qty"),
        (
            (barcode.code, world.items[barcode.item].ref, barcode.pack_qty)
            for barcode in world.barcodes
        ),
    )
    _write(
        folder / "templates.csv",
        ("template", "item", "reorder_point", "order_up_to", "cap", "pack_qty"),
        (
            (template.code, world.items[index].ref, *line)
            for template in world.templates
            for index, line in enumerate(
                zip(
                    template.reorder_point.tolist(),
                    template.order_up_to.tolist(),
                    template.cap.tolist(),
                    template.pack_qty.tolist(),
                    strict=True,
                )
            )
        ),
    )
    evening = counted_at(day).isoformat()
    refs = [item.ref for item in world.items[: world.tracked]]
    _write(
        folder / "stock.csv",
        ("van", "item", "qty", "counted_at"),
        (
            (van.code, ref, qty, evening)
            for van, row in zip(world.vans, world.opening_qty.tolist(), strict=True)
            for ref, qty in zip(refs, row, strict=True)
        ),
    )


def write_tours(world: World, folder: Path, day: date) -> None:
    """Write the tours of `day`; windows are local times of the site. A weekend has a header only."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(
        folder / "tours.csv",
        (
            "tour",
            "van",
            "date",
            "stop",
            "site",
            "window_start",
            "window_end",
            "planned_minutes",
            "work_order",
            "planned_arrival",
        ),
        (
            (
                tour.code,
                world.vans[tour.van].code,
                f"{tour.day:%Y-%m-%d}",
                stop.position,
                world.sites[stop.site].code,
                _clock(stop.window_start_s),
                _clock(stop.window_end_s),
                stop.planned_minutes,
                stop.work_order,
                _clock(stop.arrive_s),
            )
            for tour in tours(world, day)
            for stop in tour.stops
        ),
    )


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds % 3600 // 60:02d}"


def _boolean(value: bool) -> str:  # noqa: FBT001 - it formats one boolean, nothing to name
    return "true" if value else "false"


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
