"""A server that invents a fleet: as many vans, sites and alerts as one likes, moving once a second.

It serves the real pages and, beside them, the few routes that the planner's page reads, so that what is
measured or tried is the page, and neither a database nor ingest.
"""

import json
import math
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from api.app import WEB

NOW_MS: Final = 1_795_165_200_000
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
STOPS: Final = 6
WHO: Final = {
    "login": "ana",
    "name": "Ana Diaz",
    "role": "planner",
    "vans": [],
    "time_zone": "Europe/Paris",
    "csrf_token": "none",
    "now_ms": NOW_MS,
    "clock_factor": 1.0,
}


@dataclass
class Crowd:
    """A fleet with its day; `moving` of its vans have another position each second."""

    vans: int = 200
    sites: int = 20_000
    alerts: int = 60
    moving: int = 200
    rng: random.Random = field(default_factory=lambda: random.Random(1))
    fences: list[list[Any]] = field(default_factory=list)
    fleet: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        towns = [(self.rng.uniform(-1, 7), self.rng.uniform(43.5, 49.5)) for _ in range(40)]
        for n in range(self.sites):
            lon, lat = self.rng.choice(towns)
            place = [lon + self.rng.gauss(0, 0.15), lat + self.rng.gauss(0, 0.1)]
            self.fences.append([f"S{n:05}", *place, self.rng.choice([50, 80, 120])])
        for n in range(self.vans):
            self.fleet[f"van-{n:04}"] = self._van(n)

    def _van(self, n: int) -> dict[str, Any]:
        site = self.fences[self.rng.randrange(len(self.fences))]
        state = self.rng.choice(["driving"] * 5 + ["at_site"] * 4 + ["standing", "silent"])
        fix = {
            "t_ms": NOW_MS - 10_000,
            "latitude_deg": site[2],
            "longitude_deg": site[1],
            "speed_mps": 15.0,
            "bearing_deg": self.rng.uniform(0, 360),
            "ignition": True,
        }
        return {
            "code": f"van-{n:04}",
            "name": f"Kangoo {n}",
            "technician": f"Technician {n}",
            "state": state,
            "site": {"code": site[0], "name": f"Site {site[0]}"} if state == "at_site" else None,
            "last_fix": fix,
            "next_stop": None,
        }

    def view(self) -> dict[str, dict[str, Any]]:
        """The live view as it begins."""
        alerts = {str(n): self._alert(n) for n in range(self.alerts)}
        return {"overview": self._overview(), "vans": self.fleet, "alerts": alerts, "visits": {}}

    def _overview(self) -> dict[str, int]:
        return {
            "stops_late": self.alerts // 2,
            "vans_late": self.alerts // 2,
            "late_stops_today": self.alerts,
            "stops_at_risk": self.alerts // 2,
            "vans_at_risk": self.alerts // 2,
            "vans_silent": self.vans // 11,
            "vans_on_the_road": self.vans,
            "vans_total": self.vans,
            "visits_today": self.vans,
        }

    def _alert(self, n: int) -> dict[str, Any]:
        return {
            "alert_id": n,
            "kind": "late" if n % 2 else "at_risk",
            "state": "open",
            "van": f"van-{n % self.vans:04}",
            "technician": f"Technician {n}",
            "site": f"S{n:05}",
            "site_name": f"Site {n}",
            "tour": f"T{n}",
            "stop_id": n * STOPS + 3,
            "stop": 3,
            "due_at_ms": NOW_MS - (n % 50) * MINUTE_MS,
            "ended_at_ms": None,
            "minutes": n % 50,
            "cause": "slow_road",
            "pushes": [4],
            "reason": "not arrived when the window ended",
            "told": True,
            "raised_ms": NOW_MS,
            "changed_ms": NOW_MS,
            "handling": None,
        }

    def delta(self, tick: int) -> dict[str, Any]:
        """What changed in a second: vans drive fifteen metres on."""
        moved = {}
        codes = list(self.fleet)
        for nth in range(self.moving):
            code = codes[(tick * self.moving + nth) % len(codes)]
            van = self.fleet[code]
            fix = van["last_fix"]
            angle = math.radians(fix["bearing_deg"])
            moved[code] = {
                **van,
                "last_fix": {
                    **fix,
                    "t_ms": fix["t_ms"] + 1_000,
                    "latitude_deg": fix["latitude_deg"] + math.cos(angle) * 0.000135,
                    "longitude_deg": fix["longitude_deg"] + math.sin(angle) * 0.0002,
                },
            }
        self.fleet.update(moved)
        return {"vans": {"set": moved, "gone": []}}

    def tours(self) -> dict[str, Any]:
        """Six stops each, one after the other."""
        tours = []
        for n, van in enumerate(self.fleet.values()):
            stops = [self._stop(n, nth) for nth in range(STOPS)]
            tour = {"tour": f"T{n}", "van": van["code"], "technician": van["technician"]}
            tours.append({**tour, "timeline": stops})
        return {"date": "2026-11-20", "tours": tours}

    def _stop(self, n: int, nth: int) -> dict[str, Any]:
        start = NOW_MS - 3 * HOUR_MS + nth * 70 * MINUTE_MS
        site = self.fences[(n * STOPS + nth) % len(self.fences)]
        done = nth < 2
        eta = {
            "early_at_ms": start,
            "expected_at_ms": start + 10 * MINUTE_MS,
            "late_at_ms": start + 25 * MINUTE_MS,
            "chance_late": 0.1,
            "made_ms": NOW_MS,
        }
        return {
            "stop_id": n * STOPS + nth + 1,
            "stop": nth + 1,
            "site": site[0],
            "site_name": f"Site {site[0]}",
            "window_start_ms": start - 20 * MINUTE_MS,
            "window_end_ms": start + HOUR_MS,
            "planned_duration_s": 2_400,
            "planned_arrival_ms": start,
            "work_order": None,
            "state": "completed" if done else "scheduled",
            "arrived_at_ms": start + 4 * MINUTE_MS if done else None,
            "left_at_ms": start + 44 * MINUTE_MS if done else None,
            "punctuality": "on_time" if done else None,
            "eta": None if done else eta,
            "alert": "late" if nth == 2 and n < self.alerts and n % 2 else None,
        }


class Answers(SimpleHTTPRequestHandler):
    """The pages, and what the planner's page reads."""

    def __init__(self, crowd: Crowd, *args: Any, **more: Any) -> None:
        self.crowd = crowd
        super().__init__(*args, directory=str(WEB), **more)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  as it is called
        """Say nothing."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        said = {
            "/v1/session": lambda: WHO,
            "/v1/tours": self.crowd.tours,
            "/v1/fences": lambda: {"sites": self.crowd.fences, "areas": []},
            "/v1/map": lambda: {"style_url": None, "tiles_url": None},
        }
        if path == "/v1/live":
            self._stream()
        elif path in said:
            self._say("application/json", json.dumps(said[path]()).encode())
        elif path.startswith("/v1/"):
            self.send_error(404)
        else:
            super().do_GET()

    def _say(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        event, data, tick = "snapshot", self.crowd.view(), 0
        try:
            while True:
                said = {"now_ms": NOW_MS + tick * 1_000, "clock_factor": 1.0, "data": data}
                self.wfile.write(f"event: {event}\ndata: {json.dumps(said)}\n\n".encode())
                self.wfile.flush()
                time.sleep(1)
                tick += 1
                event, data = "delta", self.crowd.delta(tick)
        except OSError:
            return  # the page is closed


@contextmanager
def served(crowd: Crowd) -> Iterator[str]:
    """Serve a crowd; yield the address of the planner's page."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Answers, crowd))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/planner/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
