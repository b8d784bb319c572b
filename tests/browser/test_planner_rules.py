"""The planner's pure rules, in the browser that runs them: urgency, hours, drafts of fences, ways."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.crowd import Crowd, served

NOW_MS = 1_795_165_200_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def rules(browser: Browser) -> Iterator[Page]:
    """A page that may import the modules, and shows nothing."""
    page = browser.new_page(locale="en-GB")
    with served(Crowd(vans=0, sites=1, alerts=0)) as url:
        page.goto(f"{url}../icon.svg")
        yield page
        page.close()


def ask(page: Page, module: str, expression: str, *values: Any) -> Any:
    """Evaluate an expression over a module of the planner's page: `m` is the module, `v` the values."""
    code = f"async ({{ module, v }}) => {{ const m = await import(module); return {expression}; }}"
    return page.evaluate(code, {"module": f"/planner/{module}", "v": values})


def alert(alert_id: int, kind: str = "late", **more: Any) -> dict[str, Any]:
    return {
        "alert_id": alert_id,
        "kind": kind,
        "state": "open",
        "due_at_ms": NOW_MS - 10 * MINUTE_MS,
        "changed_ms": NOW_MS - alert_id,
        "minutes": 10,
        "pushes": [],
        "told": True,
        "handling": None,
        **more,
    }


def order(page: Page, *alerts: dict[str, Any], login: str = "ana") -> dict[str, list[int]]:
    """The ids of alerts by group, without empty groups."""
    ids = "Object.entries(m.grouped(...v)).map(([g, l]) => [g, l.map((a) => a.alert_id)])"
    found = ask(page, "urgency.js", ids, alerts, login, NOW_MS)
    return {group: listed for group, listed in found if listed}


def test_the_longest_late_comes_first_and_more_so_if_it_makes_others_late(rules: Page) -> None:
    ten = alert(1)
    twenty = alert(2, due_at_ms=NOW_MS - 20 * MINUTE_MS)
    ten_that_makes_two_late = alert(3, pushes=[4, 5])
    at_risk = alert(4, "at_risk", minutes=10)
    silent = alert(5, "silent")
    late_today_for_an_hour = alert(6, "missed", minutes=None)
    found = order(
        rules, silent, at_risk, ten, twenty, ten_that_makes_two_late, late_today_for_an_hour
    )
    assert found == {"new": [6, 3, 2, 1, 4, 5]}


def test_lateness_runs_while_an_alert_is_open_and_stands_still_after(rules: Page) -> None:
    minutes = "m.minutesOf(v[0], v[1])"
    later = NOW_MS + 5 * MINUTE_MS
    assert ask(rules, "urgency.js", minutes, alert(1), later) == 15
    assert ask(rules, "urgency.js", minutes, alert(1, state="cleared", minutes=12), later) == 12
    assert ask(rules, "urgency.js", minutes, alert(1, "at_risk", minutes=-3), later) == -3
    assert ask(rules, "urgency.js", minutes, alert(1, "missed"), later) is None
    overstayed = alert(1, "overstayed", changed_ms=NOW_MS)
    assert ask(rules, "urgency.js", minutes, overstayed, later) == 15


def test_an_alert_stands_in_one_group_by_who_has_it_and_whether_it_can_wait(rules: Page) -> None:
    def handled(alert_id: int, **handling: Any) -> dict[str, Any]:
        nothing = {"snoozed_until_ms": None, "owner": None, "acknowledged_by": None}
        return alert(alert_id, handling={**nothing, **handling})

    found = order(
        rules,
        alert(1),
        alert(2, "at_risk", told=False),
        handled(3, acknowledged_by="ana"),
        handled(4, acknowledged_by="ana", owner="ben"),
        handled(5, acknowledged_by="ben", owner="ana"),
        handled(6, snoozed_until_ms=NOW_MS + 1),
        handled(7, snoozed_until_ms=NOW_MS - 1),
        alert(8, state="withdrawn"),
        handled(9, snoozed_until_ms=NOW_MS + 2, owner="ana"),
    )
    assert found == {
        "new": [1, 7],
        "mine": [3, 5],
        "possible": [2],
        "snoozed": [6, 9],
        "handled": [4, 8],
    }


def stop(start_h: float, **more: Any) -> dict[str, Any]:
    start = NOW_MS + int(start_h * HOUR_MS)
    return {
        "stop_id": int(start_h * 10) + 100,
        "window_start_ms": start,
        "window_end_ms": start + HOUR_MS,
        "planned_arrival_ms": None,
        "planned_duration_s": 1_800,
        "arrived_at_ms": None,
        "left_at_ms": None,
        "state": "scheduled",
        "punctuality": None,
        "alert": None,
        "eta": None,
        **more,
    }


def test_the_hours_shown_hold_every_stop_and_now(rules: Page) -> None:
    tours = [{"stops": [stop(-2), stop(5)]}]
    found = ask(rules, "gantt_scale.js", "m.extent(...v)", tours, NOW_MS)
    assert found["from"] == NOW_MS - 2 * HOUR_MS
    assert found["to"] >= NOW_MS + 6 * HOUR_MS
    empty = ask(rules, "gantt_scale.js", "m.extent(...v)", [], NOW_MS)
    assert empty["from"] < NOW_MS < empty["to"]


def test_a_stop_is_drawn_as_planned_as_it_went_or_as_it_is_expected(rules: Page) -> None:
    spans = "m.spans(v[0], v[1])"
    eta = {"expected_at_ms": NOW_MS + HOUR_MS}
    ahead = ask(rules, "gantt_scale.js", spans, stop(1, eta=eta), NOW_MS)
    assert ahead["actual"] is None
    assert ahead["expected"] == [NOW_MS + HOUR_MS, NOW_MS + HOUR_MS + 1_800_000]
    arrived = NOW_MS - 5 * MINUTE_MS
    there = ask(rules, "gantt_scale.js", spans, stop(-1, arrived_at_ms=arrived, eta=eta), NOW_MS)
    assert there["actual"] == [arrived, NOW_MS]
    assert there["expected"] is None
    left = stop(-1, arrived_at_ms=arrived, left_at_ms=NOW_MS - MINUTE_MS)
    assert ask(rules, "gantt_scale.js", spans, left, NOW_MS)["actual"][1] == NOW_MS - MINUTE_MS


def test_a_way_is_between_two_fixes_on_the_line_and_at_its_ends_outside(rules: Page) -> None:
    way = {"times": [0, 10_000], "places": [[4.0, 45.0], [4.0, 46.0]], "speeds": [10, 20]}
    middle = ask(rules, "way.js", "m.at(v[0], 5000)", way)
    assert middle["place"] == [4.0, 45.5]
    assert middle["turn"] == 0
    assert ask(rules, "way.js", "m.at(v[0], -1)", way)["place"] == [4.0, 45.0]
    assert ask(rules, "way.js", "m.at(v[0], 99999)", way)["place"] == [4.0, 46.0]
    assert ask(rules, "way.js", "m.at({ times: [] }, 0)") is None


SQUARE = [[4.0, 45.0], [4.01, 45.0], [4.01, 45.01], [4.0, 45.01]]


def test_a_corner_can_be_moved_added_and_removed_but_three_stay(rules: Page) -> None:
    area = {"kind": "area", "corners": SQUARE, "centre": SQUARE[0]}
    moved = ask(rules, "draft.js", "m.moved(v[0], 'corner 2', [5, 46])", area)
    assert moved["draft"]["corners"][2] == [5, 46]
    half = ask(rules, "draft.js", "m.moved(v[0], 'half 3', [4.5, 45.5])", area)
    assert half["name"] == "corner 4"
    assert half["draft"]["corners"] == [*SQUARE, [4.5, 45.5]]
    assert len(ask(rules, "draft.js", "m.withoutCorner(v[0], 0).corners", area)) == 3
    triangle = {**area, "corners": SQUARE[:3]}
    assert len(ask(rules, "draft.js", "m.withoutCorner(v[0], 0).corners", triangle)) == 3


def test_a_circle_grows_by_its_edge_and_becomes_an_area_of_the_same_size(rules: Page) -> None:
    circle = {"kind": "circle", "centre": [4.85, 45.75], "radius_m": 100}
    edge = "m.moved(v[0], 'edge', [v[0].centre[0] + 0.002577, v[0].centre[1]])"
    assert ask(rules, "draft.js", f"{edge}.draft.radius_m", circle) == pytest.approx(200, abs=1)
    area = ask(rules, "draft.js", "m.turnedInto('area', v[0])", circle)
    reach = "m.metres(v[0], v[1])"
    for corner in area["corners"]:
        assert ask(rules, "draft.js", reach, circle["centre"], corner) == pytest.approx(100, abs=1)
    assert ask(rules, "draft.js", "m.turnedInto('circle', v[0]).centre", area) == circle["centre"]


def test_a_fence_is_put_as_it_was_read_but_for_what_was_drawn(rules: Page) -> None:
    site = {
        "site": "BAKERY",
        "name": "Bakery",
        "latitude_deg": 45.0,
        "longitude_deg": 4.0,
        "radius_m": 80,
        "geometry": {"type": "Polygon", "coordinates": [[*SQUARE, SQUARE[0]]]},
        "time_zone": "Europe/Paris",
        "client": "ACME",
    }
    body = ask(rules, "draft.js", "m.bodyOf(v[0], m.draftOf(v[0]))", site)
    assert body["geometry"] == site["geometry"]
    assert (body["name"], body["time_zone"], body["client"]) == ("Bakery", "Europe/Paris", "ACME")
    assert "radius_m" not in body
    circle = ask(rules, "draft.js", "m.bodyOf(v[0], m.draftOf({ ...v[0], geometry: null }))", site)
    assert (circle["latitude_deg"], circle["longitude_deg"], circle["radius_m"]) == (45.0, 4.0, 80)
    assert "geometry" not in circle


def van(code: str, lon: float, state: str = "driving") -> dict[str, Any]:
    fix = {"latitude_deg": 45.0, "longitude_deg": lon, "bearing_deg": 90, "t_ms": NOW_MS}
    return {"code": code, "state": state, "last_fix": fix}


def test_the_map_is_given_only_what_changed_under_the_same_number(rules: Page) -> None:
    code = """async ({ a, b, c }) => {
      const { VanFeatures } = await import("/planner/map_vans.js");
      const seen = new VanFeatures();
      const none = new Map();
      const first = seen.difference([a, b], none);
      const still = seen.difference([a, b], none);
      const later = seen.difference([a, c], new Map([["V1", "late"]]));
      return { first, still, later, name: seen.codeOf(first.add[1].id) };
    }"""
    values = {"a": van("V1", 4.0), "b": van("V2", 4.1), "c": van("V3", 4.2)}
    found = rules.evaluate(code, values)
    assert [f["properties"]["code"] for f in found["first"]["add"]] == ["V1", "V2"]
    assert found["still"] is None
    first, second = (f["id"] for f in found["first"]["add"])
    assert found["name"] == "V2"
    assert [f["id"] for f in found["later"]["update"]] == [first]
    assert found["later"]["remove"] == [second]
    assert found["later"]["add"][0]["id"] not in {first, second}


def test_what_is_chosen_can_be_written_into_the_address_and_read_back(rules: Page) -> None:
    place = {"chosen": {"kind": "site", "id": "GARE DE L'EST & CO"}, "show": "late"}
    assert ask(rules, "address.js", "m.parsed(m.written(v[0]))", place) == place
    assert ask(rules, "address.js", "m.written({ chosen: null, show: null })") == ""
    assert ask(rules, "address.js", "m.parsed('#van=')") == {"chosen": None, "show": None}
