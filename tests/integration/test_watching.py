"""Every metric that a rule or a panel asks for is there; every alert has its page; logs tell nobody's way."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import promql_parser
import psycopg
import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from api import metrics
from ingest import recovery, service
from ingest.batch import Delivery
from ingest.messages import Position, Status, encode
from tests.integration.conftest import CLOCK_MS
from tests.integration.without_broker import opened_base
from tools import dashboard

ROOT = Path(__file__).parents[2]
RULES = YAML(typ="safe").load((ROOT / "deploy/prometheus-rules.yml").read_text())
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((ROOT / "deploy/grafana-dashboard.json").read_text())
PANELS = {p["title"]: [t["expr"] for t in p["targets"]] for p in DASHBOARD["panels"]}
EXPRESSIONS = {
    **{rule["alert"]: [rule["expr"]] for rule in ALERTS},
    **{f"panel {title}": expressions for title, expressions in PANELS.items()},
}
#: What Prometheus makes itself.
ITS_OWN = {"up"}


def selectors(node: Any) -> list[Any]:
    """Return every selector of an expression."""
    if isinstance(node, promql_parser.VectorSelector):
        return [node]
    parts = [getattr(node, name, None) for name in ("lhs", "rhs", "expr", "vector_selector",
                                                     "vs", "param")]  # fmt: skip
    parts += list(getattr(node, "args", None) or ())
    return [found for part in parts if part is not None for found in selectors(part)]


@pytest.fixture
async def exposed(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any], nats: tuple[int, str]
) -> dict[str, list[dict[str, str]]]:
    """The samples that an API exposes whose ingest has done a little of everything."""
    conn.execute(
        "INSERT INTO ingest_activity (second, batches, messages, fixes, scans, rejected, lag_counts,"
        " tallies, age_counts) VALUES (clock_timestamp() - interval '30 s', 1, 5, 3, 1, 1, '{1,1}',"
        ' \'{"kind:position": 3, "reason:unknown_van": 1, "event:visit": 2, "off_duty": 1}\','
        " '{1,1}');"
        "INSERT INTO deletion VALUES"
        " ('2026-09-21', 'tracks', 'fix', '2026-07-21Z', 7, NULL, true, '2026-09-21Z')"
    )
    conn.commit()
    found: dict[str, list[dict[str, str]]] = {}
    said = text_string_to_metric_families((await api.get("/metrics")).text)
    for family in (*said, *await metrics.of_broker(nats[1])):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


@pytest.mark.parametrize("name", EXPRESSIONS)
async def test_every_metric_of_every_expression_is_exposed(
    exposed: dict[str, list[dict[str, str]]], name: str
) -> None:
    for expression in EXPRESSIONS[name]:
        asked = selectors(promql_parser.parse(expression))
        assert asked, expression
        for selector in asked:
            if selector.name in ITS_OWN:
                continue
            assert selector.name in exposed, f"{name}: nothing exposes {selector.name}"
            labels = {label for sample in exposed[selector.name] for label in sample}
            wanted = {matcher.name for matcher in selector.matchers.matchers}
            assert wanted <= labels, f"{name}: {selector.name} has no {wanted - labels}"


async def test_every_value_that_a_rule_asks_for_by_name_exists(
    exposed: dict[str, list[dict[str, str]]],
) -> None:
    for expressions in EXPRESSIONS.values():
        for selector in (s for e in expressions for s in selectors(promql_parser.parse(e))):
            for matcher in selector.matchers.matchers:
                if selector.name in ITS_OWN or selector.name.startswith("fleet_ingest_rejected"):
                    continue  # reasons are there once a message was refused for them
                values = {sample.get(matcher.name, "") for sample in exposed[selector.name]}
                asked = set(matcher.value.split("|"))
                assert asked <= values, (selector.name, asked - values)


def test_a_metric_that_is_gone_would_be_noticed(exposed: dict[str, Any]) -> None:
    (selector,) = selectors(promql_parser.parse("rate(fleet_gone_total[5m]) > 1"))
    assert selector.name not in exposed


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs/OPERATIONS.md").read_text(), re.MULTILINE)
    assert [h for h in headings if h.startswith("Cordee")] == [rule["alert"] for rule in ALERTS]
    for rule in ALERTS:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"].endswith(".")


def test_the_dashboard_is_what_its_tool_writes() -> None:
    assert json.loads(json.dumps(dashboard.dashboard())) == DASHBOARD


# ---- logs

SECRETS = {
    "a latitude": "48.858421",
    "a longitude": "2.294512",
    "a van": "van-001",
    "a scanned code": "FUSE-4711",
    "a person": "a.roux",
    "a work order": "W-SECRET",
}


def test_no_log_line_tells_where_who_or_what(
    company_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch with something of everything, and a database that refuses part of it."""
    scan = (
        b'{"epoch":"e","seq":1,"t":%d,"intent":"issue","code":"FUSE-4711","user":"a.roux",'
        b'"work_order":"W-SECRET"}' % CLOCK_MS
    )
    position = encode(Position(CLOCK_MS, 48.858421, 2.294512))
    batch = [
        Delivery("fleet/v1/van-001/status", encode(Status("online", CLOCK_MS, "on"))),
        Delivery("fleet/v1/van-001/position", position),
        Delivery("fleet/v1/van-001/position", position.replace(b'"t"', b'"T"')),
        Delivery("fleet/v1/van-001/scan", scan),
        Delivery("fleet/v1/nobody/position", position),
    ]
    structlog.reset_defaults()
    with opened_base(company_url) as base:
        base.run(lambda: recovery.persist(service.commit, base.pool, batch, None, lambda: CLOCK_MS))
        base.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE EXCEPTION 'bad latitude %', NEW.latitude_deg"
            " USING ERRCODE = 'check_violation', DETAIL = 'of van-001'; END $$;"
            "CREATE TRIGGER refuse BEFORE INSERT ON fix FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
        later = encode(Position(CLOCK_MS + 1, 48.858421, 2.294512))
        one = [Delivery("fleet/v1/van-001/position", later)]
        base.run(lambda: recovery.persist(service.commit, base.pool, one, None, lambda: CLOCK_MS))
        assert base.rows("SELECT count(*) FROM rejected WHERE reason = 'refused_by_database'") == [
            (1,)
        ]
    said = capsys.readouterr()
    logged = said.out + said.err
    assert "batch" in logged
    assert "refused a batch" in logged
    for what, secret in SECRETS.items():
        assert secret not in logged, f"the log tells {what}"
