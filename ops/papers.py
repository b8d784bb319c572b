"""The pages of docs/ that are written from the code, so that they cannot tell another story."""

import json
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Any

import msgspec

from api.app import create_app
from geofence import alerts, duty, fences, replan, reread, tours, trips, usable, visits
from geofence.forecast import accuracy, eta, outlook, travel, work
from geofence.rules import USUAL, Rules
from ingest.messages import BACKLOG_MAX, CONTRACT, EXAMPLES, Topic
from ingest.webhooks import rules as webhooks
from ops import person
from stock_tracker import barcodes, ledger
from stock_tracker.resupply import allocation, calendars, orders, replenish, urgent
from storage.retention import PURPOSES
from storage.settings import Settings

#: The rules from a fix to an alert, from a code to an order, and how others hear of both, each by the
#: module that holds it.
RULES = (
    ("Usable fixes", usable),
    ("Fences", fences),
    ("Visits", visits),
    ("Reading again", reread),
    ("Off duty", duty),
    ("Trips and halts", trips),
    ("Tours", tours),
    ("Travel times", travel),
    ("Work times", work),
    ("Arrival times", eta),
    ("What is foreseen", outlook),
    ("How far that was off", accuracy),
    ("Alerts", alerts),
    ("Replanning", replan),
    ("Barcodes", barcodes),
    ("The ledger", ledger),
    ("Resupply", replenish),
    ("Cut-offs and deliveries", calendars),
    ("Orders", orders),
    ("Shortage", allocation),
    ("What cannot wait", urgent),
    ("Webhooks", webhooks),
)

NOTICE = "<!-- Written by `make docs`. Change the code instead. -->"


def write(folder: Path, *, check: bool) -> list[Path]:
    """Write every generated page that differs, or only name it when checking.

    Returns:
        The pages that differed.
    """
    pages = {
        folder / "WIRE.md": wire(),
        folder / "SETTINGS.md": settings(),
        folder / "RULES.md": rules(),
        folder / "PRIVACY.md": privacy(),
        folder / "openapi.json": openapi(),
    }
    for struct in _payloads():
        pages[folder / "schemas" / f"{struct.__name__}.json"] = schema(struct)
    stale = [path for path, text in pages.items() if not path.exists() or path.read_text() != text]
    known = {path.name for path in pages}
    stale += [path for path in folder.glob("schemas/*.json") if path.name not in known]
    for path in stale if not check else ():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pages[path]) if path in pages else path.unlink()
    return stale


def _payloads() -> Iterator[type[msgspec.Struct]]:
    for topic in CONTRACT:
        yield from topic.payloads


def schema(struct: type[msgspec.Struct]) -> str:
    """Return the JSON Schema of a payload."""
    made = msgspec.json.schema(struct)
    for part in made["$defs"].values():  # compilers differ in whether they strip the indentation
        part["description"] = cleandoc(part["description"])
    return json.dumps(made, indent=2) + "\n"


def openapi() -> str:
    """Return docs/openapi.json: what `/v1/openapi.json` answers."""
    described = create_app(Settings.model_construct()).openapi()
    return json.dumps(described, indent=1, ensure_ascii=False) + "\n"


def wire() -> str:
    """Return docs/WIRE.md."""
    lines = [
        "# Wire contract, version 1",
        "",
        NOTICE,
        "",
        "MQTT 3.1.1, QoS 1, UTF-8 JSON. Times are integer milliseconds UTC in `t`; positions are",
        "WGS 84; the unit ends a name. Unknown fields are ignored; a missing or ill-typed field",
        "rejects the message, which is kept with its bytes and the reason.",
        "",
        "| topic | from | payload | retained |",
        "| --- | --- | --- | --- |",
        *(_topic_row(topic) for topic in CONTRACT),
        "",
        "Keys: a fix is (van, t); of two with one key the better accuracy wins, then the greater",
        "hash of its values. A scan, a visit report or a message is (van, epoch, seq), `seq` from 1, counted",
        "over all that the tablet says; a repeat is a no-op, and two different payloads under one key are",
        "both set aside. What claims to be more than 2 minutes ahead of the clock is rejected as `future`, a",
        "position more than 62 days back as `ancient`.",
        "",
        "What vans and tablets send may also come by HTTP: `POST /v1/devices/{van}/events:batch`, the same",
        "payloads with their kind, the last level of the topic. Orders, alerts and visit reports also go",
        "to webhooks, in the same bytes: [RULES.md](RULES.md#webhooks).",
        "",
    ]
    for topic in CONTRACT:
        lines += [f"## `{topic.template}`", ""]
        for struct in topic.payloads:
            lines += [*_struct_lines(struct), ""]
    return "\n".join(lines).rstrip() + "\n"


def _topic_row(topic: Topic) -> str:
    names = " or ".join(f"[{s.__name__}](schemas/{s.__name__}.json)" for s in topic.payloads)
    backlog = f", or an array of up to {BACKLOG_MAX:,}" if topic.backlog else ""
    retained = "yes" if topic.retained else "no"
    return f"| `{topic.template}` | {topic.sender} | {names}{backlog} | {retained} |"


def _struct_lines(struct: type[msgspec.Struct]) -> Iterator[str]:
    parts = msgspec.json.schema(struct)["$defs"]
    main = parts.pop(struct.__name__)
    words = " ".join(cleandoc(struct.__doc__ or "").split())
    yield f"**{struct.__name__}.** {words}"
    yield ""
    yield "| field | type | needed |"
    yield "| --- | --- | --- |"
    for name, field in main["properties"].items():
        needed = "yes" if name in main.get("required", ()) else "no"
        yield f"| `{name}` | {_type_words(field)} | {needed} |"
    for name, part in parts.items():
        yield ""
        yield f"{name}: " + ", ".join(
            f"`{field}` {_type_words(kind)}" for field, kind in part["properties"].items()
        )
    example = next(message for message in EXAMPLES if isinstance(message, struct))
    yield ""
    yield "```json"
    yield msgspec.json.format(msgspec.json.encode(example), indent=2).decode()
    yield "```"


def _type_words(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type_words(part) for part in field["anyOf"] if part != {"type": "null"})
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "$ref" in field:
        return str(field["$ref"]).rsplit("/", 1)[-1]
    if field.get("type") == "array":
        return f"array of {_type_words(field['items'])}"
    limits = [
        f"{sign} {field[key]:,}" if isinstance(field[key], int) else f"{sign} {field[key]:g}"
        for key, sign in (("minimum", "≥"), ("maximum", "≤"))
        if key in field
    ]
    if "minLength" in field:
        limits.append("not empty")
    if "maxLength" in field:
        limits.append(f"at most {field['maxLength']} characters")
    kind = "base64" if field.get("contentEncoding") == "base64" else str(field.get("type", "any"))
    return ", ".join([kind, *limits])


def rules() -> str:
    """Return docs/RULES.md: what the rules say of themselves, and their numbers."""
    lines = [
        "# Rules",
        "",
        NOTICE,
        "",
        "What is said of a van, and when: from its fixes to the alerts that planners see, from the codes",
        "that it scans to the orders of the warehouse, and how webhooks hear of both. Other numbers for",
        "visits can be tried on past days: `cordee replay-rules --set dwell_s=240`.",
        "",
        "| rule | number |",
        "| --- | --- |",
        *(f"| `{name}` | {_number(getattr(USUAL, name))} |" for name in Rules.__struct_fields__),
        "",
        cleandoc(Rules.__doc__ or "").partition("Attributes:\n")[2],
    ]
    for title, module in RULES:
        lines += ["", f"## {title}", "", cleandoc(module.__doc__ or "")]
    return "\n".join(lines).rstrip() + "\n"


def _number(value: object) -> str:
    return "each site's own" if value is None else f"{value:g}"


def privacy() -> str:
    """Return docs/PRIVACY.md: what is kept of people, what for, for how long, and who is given it."""
    usual = Settings.model_construct()
    lines = [
        "# Privacy",
        "",
        NOTICE,
        "",
        "What this version keeps of people, what for, and for how long. The periods follow the CNIL's",
        "norm for the positions of employees' vehicles (délibération 2015-165); they are settings, and",
        "your data protection officer decides. Deletion runs once a day and proves itself:",
        "`cordee retention show`, `GET /v1/retention`; `cordee doctor` complains when it does not.",
        "",
        "| what | days | setting | what for | tables |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {purpose.name} | {purpose.days(usual)} | `CORDEE_{purpose.setting.upper()}` "
            f"| {purpose.words} | {', '.join(f'`{kept.table}`' for kept in purpose.tables)} |"
            for purpose in PURPOSES
        ),
        "",
        "Scans, movements and counts are kept with the company's books: they are acts of work, and",
        "stock is computed from them. What was published is kept for 7 days (30 for what a webhook never",
        "took), what ingest did in each second for an hour. What came by HTTP for the broker is deleted once",
        "the broker has it. Backups: see OPERATIONS.md.",
        "",
        "Who approved an order or a proposal, decided on a transfer or an old scan, or posted a warehouse's",
        "report is kept with it, as the account that was signed in (`user:LOGIN`, `machine:CLIENT`), and so",
        "as long as the books; whoever answers for stock must be asked. Not so for names that a warehouse's",
        "own system or a tablet sends (`user`): they are kept as they came.",
        "",
        "## Off duty",
        "",
        "Nothing is stored off duty: [RULES.md](RULES.md#off-duty) says when that is. A position of such a",
        "moment is counted by van and day, and no more; what was stored before that was known is deleted,",
        "with the visits, trips and alerts that rested on it. A message that cannot be used and may hold",
        "such a position is not kept either. The log of the processes holds no positions, names or codes.",
        "",
        "## No scores",
        "",
        "There is no figure about a person: no driving style, no ranking, no productivity. Figures are of",
        "parts, templates, warehouses and the fleet. Punctuality is of a stop, because a client waits",
        "there; figures of stock can be asked for one van, because a van is where stock lies. Both can be",
        "read as being about whoever drives: do not make lists of people from them. Speeds are neither",
        "judged nor reported.",
        "",
        "## What a person is given",
        "",
        "`cordee person export TECHNICIAN --out FOLDER` writes what refers to a technician, to the van that",
        "they drive, its stock location or its device, with a readme of purposes and periods:",
        "",
        ", ".join(f"`{table}`" for table in person.ABOUT) + ".",
        "",
        "Not given, because it says nothing of a person:",
        "",
        *(f"- `{table}`: {why}." for table, why in person.NOT_ABOUT.items()),
        "",
        "Which technician drove a van in the past is not kept: what is given is of the van's present driver.",
    ]
    return "\n".join(lines) + "\n"


def settings() -> str:
    """Return docs/SETTINGS.md."""
    rows = [
        f"| `CORDEE_{name.upper()}` | `{field.default}` | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(
        [
            "# Settings",
            "",
            NOTICE,
            "",
            "Every process reads these environment variables when it starts.",
            "",
            "| variable | default | meaning |",
            "| --- | --- | --- |",
            *rows,
            "",
        ]
    )
