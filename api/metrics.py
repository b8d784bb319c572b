"""Prometheus text: gathered from the database when somebody asks.

Base units, no van or site labels. What is counted is the installation, all organisations together.
While the database does not answer, `fleet_database_up` is 0 and what needs it is absent, so that an
alert rule can tell an idle fleet from a blind API.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from api.answers import VanState
from api.live import LiveHub
from api.queries import installation, vans
from api.totals import IngestTotals
from storage import backlog
from storage.pool import Connection

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, eq=False)
class Readings(Collector):
    """Metrics of one request; a collector, because the registry takes nothing else."""

    metrics: Sequence[Metric]

    def collect(self) -> Iterable[Metric]:
        """Hand the metrics to the registry."""
        return self.metrics


def text(metrics: Sequence[Metric]) -> bytes:
    """Return metrics in the Prometheus text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Readings(metrics))
    return generate_latest(registry)


def of_process(hub: LiveHub, *, database_up: bool) -> list[Metric]:
    """Return what this process knows by itself."""
    return [
        GaugeMetricFamily(
            "fleet_database_up", "1 if the database answered this request.", float(database_up)
        ),
        GaugeMetricFamily(
            "fleet_sse_clients", "Open live streams of this process.", hub.client_count()
        ),
        CounterMetricFamily(
            "fleet_sse_merged", "Deltas merged because a client read slowly.", hub.merged_total
        ),
    ]


async def of_database(conn: Connection, now_ms: int) -> list[Metric]:
    """Return what the tables hold now."""
    states = dict.fromkeys(get_args(VanState), 0)
    for organisation in await installation.organisations(conn):
        for van in await vans.of_organisation(conn, organisation, now_ms):
            states[van.state] += 1
    fleet = GaugeMetricFamily("fleet_vans", "Vans by what they are doing.", labels=["state"])
    for state, count in states.items():
        fleet.add_metric([state], count)
    rejected = GaugeMetricFamily(
        "fleet_dead_letters",
        "Messages that could not be used and wait for somebody, as far as they are still kept.",
        labels=["reason"],
    )
    for reason, count in (await installation.rejected_by_reason(conn)).items():
        rejected.add_metric([reason], count)
    not_kept = CounterMetricFamily(
        "fleet_ingest_rejected_not_kept",
        "Unusable messages beyond their senders' quotas, counted and not kept.",
        await installation.rejected_not_kept(conn),
    )
    alerts = GaugeMetricFamily("fleet_alerts", "Alerts by state.", labels=["state"])
    for name, count in (await installation.alerts_by_state(conn)).items():
        alerts.add_metric([name], count)
    waiting, since_s = await installation.outbox_pending(conn)
    pending = GaugeMetricFamily(
        "fleet_outbox_pending", "Messages that wait to be published.", waiting
    )
    oldest = GaugeMetricFamily(
        "fleet_outbox_oldest_seconds",
        "For how long the oldest of them has waited; 0 if none does.",
        max(0.0, now_ms / 1_000 - since_s) if waiting else 0.0,
    )
    deleted = GaugeMetricFamily(
        "fleet_retention_age_seconds",
        "For how long nothing has been deleted because its time was over; absent before the first.",
    )
    if deleted_s := await installation.deletion_time(conn):
        deleted.add_metric([], max(0.0, now_ms / 1_000 - deleted_s))
    own = [fleet, rejected, not_kept, alerts, pending, oldest, deleted]
    return [*own, *await _of_webhooks(conn)]


async def _of_webhooks(conn: Connection) -> list[Metric]:
    webhooks = GaugeMetricFamily(
        "fleet_webhooks", "Webhooks, on and switched off.", labels=["state"]
    )
    for state, count in (await installation.webhooks_by_state(conn)).items():
        webhooks.add_metric([state], count)
    deliveries = GaugeMetricFamily(
        "fleet_webhook_deliveries",
        "Messages for webhooks, as the table holds them; the dead need somebody.",
        labels=["state"],
    )
    for state, count in (await installation.deliveries_by_state(conn)).items():
        deliveries.add_metric([state], count)
    return [webhooks, deliveries]


async def of_broker(monitor_url: str) -> list[Metric]:
    """Return how full the broker is; nothing if it cannot be asked, and that it is down if it does not say.

    An alarm belongs on `fleet_broker_backlog_share`, long before 1.
    """
    if not monitor_url:
        return []
    try:
        it = await backlog.look(monitor_url)
    except backlog.BrokerError:
        return [GaugeMetricFamily("fleet_broker_up", "1 if the broker is well.", 0.0)]
    return [
        GaugeMetricFamily("fleet_broker_up", "1 if the broker is well.", float(it.is_well)),
        GaugeMetricFamily(
            "fleet_broker_backlog_messages", "Messages that wait for ingest.", it.messages
        ),
        GaugeMetricFamily(
            "fleet_broker_backlog_bytes", "What they take of the broker's store.", it.held_bytes
        ),
        GaugeMetricFamily(
            "fleet_broker_backlog_share", "Of what they may take; at 1 vans are refused.", it.share
        ),
        GaugeMetricFamily(
            "fleet_broker_backlog_safe",
            "1 if a full broker refuses what is new and loses nothing.",
            float(it.is_safe),
        ),
    ]


def of_ingest(totals: IngestTotals) -> list[Metric]:
    """Return ingest's work as this process has added it up."""
    lag = _histogram(
        "fleet_ingest_lag_seconds",
        "From a message's arrival at ingest to its commit.",
        totals.lag_counts,
    )
    age = _histogram(
        "fleet_position_age_seconds",
        "From a position's own time to its commit: radio, backlog, broker and ingest together.",
        totals.age_counts,
    )
    by_label = [
        _counter("fleet_mqtt_messages", "Messages committed, by topic.", "kind", totals),
        _counter("fleet_ingest_rejected", "Messages set aside.", "reason", totals),
        _counter("fleet_geofence_events", "Visit rows written, and gone again.", "event", totals),
    ]
    return [
        *by_label,
        CounterMetricFamily(
            "fleet_off_duty_positions",
            "Positions dropped because they were off duty.",
            totals.tallies["off_duty"],
        ),
        age,
        CounterMetricFamily("fleet_messages", "Messages committed.", totals.messages),
        CounterMetricFamily("fleet_batches", "Transactions of ingest.", totals.batches),
        CounterMetricFamily("fleet_fixes", "Fixes among the messages.", totals.fixes),
        CounterMetricFamily("fleet_scans", "Scans among the messages.", totals.scans),
        lag,
    ]


def _histogram(name: str, words: str, counts: Sequence[int]) -> Metric:
    """Return a histogram of durations whose entry i counts those under 2^i milliseconds."""
    family = HistogramMetricFamily(name, words)
    buckets = [
        (str(2**entry / 1_000), float(seen)) for entry, seen in enumerate(accumulate(counts))
    ]
    family.add_metric([], [*buckets, ("+Inf", float(sum(counts)))], sum_value=None)
    return family


def _counter(name: str, words: str, tally: str, totals: IngestTotals) -> Metric:
    """Return what was tallied as `tally:value`, by value."""
    label = {"event": "type"}.get(tally, tally)
    family = CounterMetricFamily(name, words, labels=[label])
    for key, count in sorted(totals.tallies.items()):
        kind, _, value = key.partition(":")
        if kind == tally:
            family.add_metric([value], count)
    return family
