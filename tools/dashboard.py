"""Write deploy/grafana-dashboard.json: one row of panels a question, in the words of docs/OPERATIONS.md.

    python tools/dashboard.py > deploy/grafana-dashboard.json

Grafana's own JSON is long and repeats itself; what differs between panels stands here.
"""

import json
import sys
from typing import Any

#: Of a day: a fleet has a thousand arrivals in one, too few to look at by the minute.
ARRIVALS = "sum by ({by}) (increase(fleet_eta_error_seconds_bucket{{{where}}}[1d]))"


def arrivals(by: str, **where: str) -> str:
    """Return how many arrivals of a day are in the buckets with these labels."""
    return ARRIVALS.format(by=by, where=", ".join(f'{k}="{v}"' for k, v in where.items()))


WITHIN_10_MIN = (
    f"({arrivals('ahead', le='600.0')} - {arrivals('ahead', le='-600.0')})"
    f" / {arrivals('ahead', le='+Inf')}"
)

#: Title, unit, expressions with their legends.
PANELS: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    ("Vans by what they are doing", "short", (("fleet_vans", "{{state}}"),)),
    (
        "Messages a second",
        "reqps",
        (("sum by (kind) (rate(fleet_mqtt_messages_total[5m]))", "{{kind}}"),),
    ),
    (
        "From arrival at ingest to commit",
        "s",
        tuple(
            (
                f"histogram_quantile({q}, sum by (le) (rate(fleet_ingest_lag_seconds_bucket[5m])))",
                f"{q:.0%}",
            )
            for q in (0.5, 0.95, 0.99)
        ),
    ),
    (
        "Age of positions when committed",
        "s",
        tuple(
            (
                f"histogram_quantile({q}, sum by (le) (rate(fleet_position_age_seconds_bucket[15m])))",
                f"{q:.0%}",
            )
            for q in (0.5, 0.95)
        ),
    ),
    (
        "Fixes and scans a second",
        "reqps",
        (("rate(fleet_fixes_total[5m])", "fixes"), ("rate(fleet_scans_total[5m])", "scans")),
    ),
    (
        "Messages in a transaction",
        "short",
        (("rate(fleet_messages_total[5m]) / rate(fleet_batches_total[5m])", "messages"),),
    ),
    (
        "Messages that cannot be used, a minute",
        "short",
        (("60 * sum by (reason) (rate(fleet_ingest_rejected_total[15m]))", "{{reason}}"),),
    ),
    ("Unusable messages that are kept", "short", (("fleet_dead_letters", "{{reason}}"),)),
    (
        "Visits written, an hour",
        "short",
        (("3600 * sum by (type) (rate(fleet_geofence_events_total[30m]))", "{{type}}"),),
    ),
    ("Alerts by state", "short", (("fleet_alerts", "{{state}}"),)),
    (
        "Arrivals, how much later than was said half an hour before",
        "s",
        tuple(
            (f"histogram_quantile({q}, {arrivals('le', ahead='30m')})", f"{q:.0%}")
            for q in (0.1, 0.5, 0.9)
        ),
    ),
    (
        "Arrivals within 10 minutes of what was said so far ahead",
        "percentunit",
        ((WITHIN_10_MIN, "{{ahead}}"),),
    ),
    ("Messages that wait to be published", "short", (("fleet_outbox_pending", "waiting"),)),
    ("The oldest of them", "s", (("fleet_outbox_oldest_seconds", "age"),)),
    ("Deliveries to webhooks", "short", (("fleet_webhook_deliveries", "{{state}}"),)),
    ("Webhooks", "short", (("fleet_webhooks", "{{state}}"),)),
    (
        "Live pages",
        "short",
        (("sum(fleet_sse_clients)", "open"), ("sum(rate(fleet_sse_merged_total[5m]))", "merged/s")),
    ),
    (
        "Positions dropped off duty, an hour",
        "short",
        (("3600 * rate(fleet_off_duty_positions_total[30m])", "dropped"),),
    ),
    ("Since the last deletion", "s", (("fleet_retention_age_seconds", "age"),)),
    ("Database", "short", (("fleet_database_up", "up"),)),
)


#: Panels whose lines may be below zero.
SIGNED = frozenset({"Arrivals, how much later than was said half an hour before"})


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana imports it."""
    return {
        "uid": "cordee",
        "title": "Cordée",
        "tags": ["cordee"],
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "templating": {
            "list": [
                {
                    "name": "source",
                    "label": "Prometheus",
                    "type": "datasource",
                    "query": "prometheus",
                    "current": {},
                    "hide": 0,
                }
            ]
        },
        "annotations": {"list": []},
        "panels": [panel(at, *described) for at, described in enumerate(PANELS)],
    }


def panel(at: int, title: str, unit: str, targets: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """Return a panel of lines, three in a row."""
    source = {"type": "prometheus", "uid": "${source}"}
    return {
        "id": at + 1,
        "type": "timeseries",
        "title": title,
        "datasource": source,
        "gridPos": {"x": 8 * (at % 3), "y": 8 * (at // 3), "w": 8, "h": 8},
        "fieldConfig": {
            "defaults": {"unit": unit} if title in SIGNED else {"unit": unit, "min": 0},
            "overrides": [],
        },
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}},
        "targets": [
            {"refId": chr(65 + n), "datasource": source, "expr": expr, "legendFormat": legend}
            for n, (expr, legend) in enumerate(targets)
        ],
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n")
