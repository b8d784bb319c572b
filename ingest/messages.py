"""The wire contract, version 1: every topic, and what its payload must hold.

This file is the one source: `docs/WIRE.md` and `docs/schemas/*.json` are generated from it. Times
are integer milliseconds UTC, positions WGS 84 degrees, and a unit ends the name of what it
measures. Unknown fields are ignored; missing or ill-typed ones reject the message. It knows nothing
of the broker, the database or the rules.

OwnTracks payloads follow that app's booklet (tech/json): seconds, and speed in km/h.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

QOS: Final = 1
BACKLOG_MAX: Final = 1_000

#: Milliseconds since 1970 UTC, from 2000-01-01 to 2100-01-01.
TimeMs = Annotated[int, Meta(ge=946_684_800_000, le=4_102_444_800_000)]
#: Seconds since 1970 UTC, the same span; OwnTracks sends some as floats.
TimeS = Annotated[float, Meta(ge=946_684_800, le=4_102_444_800)]
LatitudeDeg = Annotated[float, Meta(ge=-90, le=90)]
LongitudeDeg = Annotated[float, Meta(ge=-180, le=180)]
NotNegative = Annotated[float, Meta(ge=0, le=1e9)]
BearingDeg = Annotated[float, Meta(ge=0, le=360)]
Percent = Annotated[float, Meta(ge=0, le=100)]
#: PostgreSQL's text holds every character but NUL.
NO_NUL: Final = "^[^\\u0000]*$"
Epoch = Annotated[str, Meta(min_length=1, max_length=64, pattern=NO_NUL)]
Seq = Annotated[int, Meta(ge=1, le=2**62)]
ShortText = Annotated[str, Meta(max_length=200, pattern=NO_NUL)]
LongText = Annotated[str, Meta(max_length=4_000, pattern=NO_NUL)]
CodeText = Annotated[str, Meta(max_length=200)]
#: Path data of SVG: letters of its commands and numbers, nothing that could be anything else.
PathData = Annotated[
    str, Meta(max_length=20_000, pattern="^[Mm][MLHVCSQTAZmlhvcsqtazEe0-9+., \\n-]*$")
]

Sscc = Annotated[str, Meta(pattern="^[0-9]{18}$")]

Intent = Literal[
    "issue",
    "load",
    "receive",
    "return",
    "transfer",
    "count",
    "count_all",
    "scrap",
    "missing",
    "reverse",
]


class Position(msgspec.Struct, frozen=True, gc=False):
    """A GPS fix. `fleet/v1/{van}/position`, from the van; an array of up to 1,000 is a backlog."""

    t: TimeMs
    lat: LatitudeDeg
    lon: LongitudeDeg
    acc_m: NotNegative | None = None
    speed_mps: NotNegative | None = None
    bearing_deg: BearingDeg | None = None
    ignition: bool | None = None
    odometer_m: NotNegative | None = None
    battery_pct: Percent | None = None


class ScanKey(msgspec.Struct, frozen=True):
    """A scan of one tablet. Also what is read of one that is otherwise unusable, so that it may go."""

    epoch: Epoch
    seq: Seq


class Scan(msgspec.Struct, frozen=True, omit_defaults=True):
    """A scanned code. `fleet/v1/{van}/scan`, from the tablet; an array of up to 1,000 is a backlog.

    `epoch` is random at install and `seq` counts from 1 within it: together with the van they are
    the scan's key. Either `code` (text) or `code_b64` (raw bytes) is given. `qty` counts packs of
    the scanned code, 1 when absent; for a count it may be 0. `counterpart` names the other side:
    the receiving van of a transfer.

    `count_all` ends a count of the whole van that began at `since`, and has no code: what was not
    counted in between is not there. `missing` says that a job needed the part and the van had not.

    To `receive` the code of a box (SSCC) is to receive all that was shipped in it; a line that is
    received by its own code names its box in `shipment`, and goes before what the box says of it.

    `reverse` takes back what another scan of this tablet did (`reverses`), as if it had never been; it
    has no code. A count is corrected by another count. A scan of a time to come is held until then; one
    that is more than 30 days old when it comes waits for a person.
    """

    epoch: Epoch
    seq: Seq
    t: TimeMs
    intent: Intent
    code: CodeText | None = None
    code_b64: Annotated[bytes, Meta(max_length=198)] | None = None
    aim_id: ShortText | None = None
    qty: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    work_order: ShortText | None = None
    counterpart: ShortText | None = None
    lot: ShortText | None = None
    user: ShortText | None = None
    since: TimeMs | None = None
    shipment: Sscc | None = None
    reverses: ScanKey | None = None


class Status(msgspec.Struct, frozen=True):
    """Reachable or not, on duty or not. `fleet/v1/{van}/status`, retained, also the last will.

    Nothing is stored of positions between `duty` off and the next on, by their times. Send on before the
    first position that it lets count: what comes before it is dropped.
    """

    state: Literal["online", "offline"]
    t: TimeMs
    duty: Literal["on", "off"] | None = None


class VisitReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was done at a site, and who signed for it. `fleet/v1/{van}/report`, from the tablet.

    `t` is when it was signed, or written where the client was `absent`: one of the two a report is. The
    signature is path data of SVG, in a box 600 units wide and 200 high, or a PNG: 8 bits a channel, no
    palette, not interlaced, at most 2,000 pixels a side. `site` is the site's code; `stop` is the
    stop's key, where the visit was planned. It belongs to the van's visit at that site that is nearest
    in time; the parts that were used are those that were scanned. `user` is who did the work.

    `epoch` and `seq` are those of scans: a tablet counts all that it says by one counter.
    """

    epoch: Epoch
    seq: Seq
    t: TimeMs
    site: ShortText
    work: LongText = ""
    stop: Annotated[int, Meta(ge=1, le=2_147_483_647)] | None = None
    work_order: ShortText | None = None
    user: ShortText | None = None
    signer: Annotated[str, Meta(min_length=1, max_length=200, pattern=NO_NUL)] | None = None
    signer_role: ShortText | None = None
    signature_svg: PathData | None = None
    signature_png: Annotated[bytes, Meta(max_length=20_000)] | None = None
    absent: bool = False


MessageId = Annotated[str, Meta(min_length=1, max_length=200, pattern=NO_NUL)]


class VanMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a technician writes to the base, and which of its messages came or were read.

    `fleet/v1/{van}/message`, from the tablet; an array of up to 1,000 is a backlog. It has `text`, which
    may be `in_reply_to` a message of the inbox, or says by their ids which messages were `delivered` to
    the tablet and which were `read`, or both. `epoch` and `seq` are those of scans.
    """

    epoch: Epoch
    seq: Seq
    t: TimeMs
    text: Annotated[str, Meta(min_length=1, max_length=2_000, pattern=NO_NUL)] | None = None
    in_reply_to: MessageId | None = None
    delivered: Annotated[list[MessageId], Meta(max_length=500)] = []
    read: Annotated[list[MessageId], Meta(max_length=500)] = []
    user: ShortText | None = None


class Receipt(msgspec.Struct, frozen=True):
    """`fleet/v1/{van}/receipt`, to the tablet: all that it said in `epoch` up to `through` is committed."""

    epoch: Epoch
    through: int


class InboxMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """`fleet/v1/{van}/inbox`, to the tablet: a message, a request to count, news of an order.

    `sender` is the name of the person who wrote it; without, it was Cordée itself.
    """

    id: str
    t: TimeMs
    kind: Literal["message", "count_request", "order_news"]
    text: str
    order: str | None = None
    items: list[str] = []
    sender: str | None = None
    in_reply_to: str | None = None


class OrderLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a resupply list: base units of one item, and why.

    `allocated` is how many of them the warehouse has for it, where its stock is followed; the rest is
    a backorder.
    """

    item: str
    name: str
    qty: int
    why: str
    allocated: int | None = None


class ResupplyOrder(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the warehouse is asked to send, and until when it should be there.

    An `urgent` order is for one job; in mode `site` it goes to that job's site.
    """

    order: str
    warehouse: str
    van: str
    mode: Literal["van", "home", "site"]
    cutoff_t: TimeMs
    due_t: TimeMs
    lines: list[OrderLine]
    urgent: bool = False
    site: str | None = None


class ReportLine(msgspec.Struct, frozen=True):
    """Base units of one item that were picked, shipped, found short or cancelled."""

    item: ShortText
    qty: Annotated[int, Meta(ge=1, le=1_000_000)]
    lot: ShortText | None = None
    reason: ShortText | None = None
    backorder: bool = True


class OrderReport(msgspec.Struct, frozen=True):
    """`warehouse/v1/reports/{warehouse}`, from the warehouse: what became of an order.

    `id` is the warehouse's own for the report; a repeat is a no-op. `picked` says all that is picked by
    then, `shipped` what is in one box (`sscc`, if it has a number), `short` what is lacking: with
    `backorder` it will still come, else it is cancelled. `delivered` names the box that was left at a
    home or a site. `cancelled` without lines is of all that was not shipped. `user` is a name as the
    warehouse's own system has it, which nobody checks; a report that came by HTTP has none, because who
    was signed in is kept with it (`posted_report`).
    """

    id: Annotated[str, Meta(min_length=1, max_length=64, pattern=NO_NUL)]
    t: TimeMs
    order: ShortText
    kind: Literal["accepted", "picked", "short", "shipped", "delivered", "cancelled"]
    lines: Annotated[list[ReportLine], Meta(max_length=5_000)] = []
    sscc: Sscc | None = None
    user: ShortText | None = None


class Alert(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a planner should know of a stop, or of a van that is silent.

    `arrived_t` is when it ended: the arrival, the departure, the first fix after a silence;
    `pushes` are the stops of the tour that it will make late next, by their position.
    """

    van: str
    kind: Literal["at_risk", "late", "missed", "overstayed", "silent"]
    state: Literal["raised", "cleared", "withdrawn", "back"]
    due_t: TimeMs
    reason: str
    site: str | None = None
    tour: str | None = None
    stop: int | None = None
    arrived_t: TimeMs | None = None
    minutes: int | None = None
    cause: Literal["left_late", "slow_road", "long_visit", "detour", "silence"] | None = None
    pushes: list[int] = []


class OrderEvent(msgspec.Struct, frozen=True):
    """`warehouse/v1/orders/{order}`, from the base: a CloudEvents 1.0 envelope, structured JSON."""

    id: str
    source: str
    type: Literal["cordee.order.sent.v1"]
    time: str
    subject: str
    data: ResupplyOrder
    specversion: Literal["1.0"] = "1.0"
    datacontenttype: Literal["application/json"] = "application/json"


class AlertEvent(msgspec.Struct, frozen=True):
    """`planner/v1/alerts/{van}`, from the base: a CloudEvents 1.0 envelope, structured JSON."""

    id: str
    source: str
    type: Literal[
        "cordee.alert.raised.v1",
        "cordee.alert.cleared.v1",
        "cordee.alert.withdrawn.v1",
        "cordee.alert.back.v1",
    ]
    time: str
    subject: str
    data: Alert
    specversion: Literal["1.0"] = "1.0"
    datacontenttype: Literal["application/json"] = "application/json"


class SignedVisit(msgspec.Struct, frozen=True, omit_defaults=True):
    """What others are told of a visit report; the signature stays here, under `report`."""

    report: str
    van: str
    site: str
    t: TimeMs
    absent: bool
    work: str = ""
    stop: int | None = None
    work_order: str | None = None
    user: str | None = None
    signer: str | None = None
    signer_role: str | None = None


class VisitReportEvent(msgspec.Struct, frozen=True):
    """`planner/v1/visit-reports/{van}`, from the base: a CloudEvents 1.0 envelope, structured JSON.

    `set_aside`: the tablet said two things under one key, and neither counts until a person decides.
    """

    id: str
    source: str
    type: Literal["cordee.visit.reported.v1", "cordee.visit.report_set_aside.v1"]
    time: str
    subject: str
    data: SignedVisit
    specversion: Literal["1.0"] = "1.0"
    datacontenttype: Literal["application/json"] = "application/json"


class OwnTracksLocation(msgspec.Struct, frozen=True, tag_field="_type", tag="location"):
    """`owntracks/{van}/{device}`, from the OwnTracks app: a fix."""

    lat: LatitudeDeg
    lon: LongitudeDeg
    tst: TimeS
    acc: NotNegative | None = None
    vel: NotNegative | None = None
    cog: BearingDeg | None = None
    batt: Percent | None = None
    ign: bool | int | None = None
    odometer: NotNegative | None = None


class OwnTracksTransition(msgspec.Struct, frozen=True, tag_field="_type", tag="transition"):
    """`owntracks/{van}/{device}`: the app saw a region entered or left; read as a fix if it has one.

    The app's own verdict is not used: arrivals are judged here, from fixes alone.
    """

    tst: TimeS
    event: Literal["enter", "leave"]
    acc: NotNegative | None = None
    lat: LatitudeDeg | None = None
    lon: LongitudeDeg | None = None


class OwnTracksLwt(msgspec.Struct, frozen=True, tag_field="_type", tag="lwt"):
    """`owntracks/{van}/{device}`: the app's last will. `tst` is when it had connected."""

    tst: TimeS


OwnTracks = OwnTracksLocation | OwnTracksTransition | OwnTracksLwt


class Topic(msgspec.Struct, frozen=True):
    """One row of the contract."""

    template: str
    sender: Literal["van", "tablet", "base", "app", "warehouse"]
    payloads: tuple[type[msgspec.Struct], ...]
    backlog: bool = False
    retained: bool = False


CONTRACT: Final = (
    Topic("fleet/v1/{van}/position", "van", (Position,), backlog=True),
    Topic("fleet/v1/{van}/scan", "tablet", (Scan,), backlog=True),
    Topic("fleet/v1/{van}/report", "tablet", (VisitReport,)),
    Topic("fleet/v1/{van}/message", "tablet", (VanMessage,), backlog=True),
    Topic("fleet/v1/{van}/status", "van", (Status,), retained=True),
    Topic("fleet/v1/{van}/receipt", "base", (Receipt,)),
    Topic("fleet/v1/{van}/inbox", "base", (InboxMessage,)),
    Topic("warehouse/v1/orders/{order}", "base", (OrderEvent,)),
    Topic("warehouse/v1/reports/{warehouse}", "warehouse", (OrderReport,)),
    Topic("planner/v1/alerts/{van}", "base", (AlertEvent,)),
    Topic("planner/v1/visit-reports/{van}", "base", (VisitReportEvent,)),
    Topic(
        "owntracks/{van}/{device}", "app", (OwnTracksLocation, OwnTracksTransition, OwnTracksLwt)
    ),
)

_T: Final = 1_790_000_000_000
_ORDER: Final = ResupplyOrder(
    order="R-20260921-1400-van-017",
    warehouse="WH-NORD",
    van="van-017",
    mode="home",
    cutoff_t=_T,
    due_t=_T + 52_200_000,
    lines=[OrderLine("P-0042", "Fusible 10 A", 10, "1 on board and 0 on order", 8)],
    urgent=True,
    site="S-01203",
)
_ALERT: Final = Alert(
    van="van-017", kind="late", state="cleared", site="S-01203", tour="T-1", stop=3, due_t=_T,
    reason="arrived 4 min after the window ended", arrived_t=_T + 240_000,
)  # fmt: skip

_SIGNED: Final = SignedVisit(
    report="8b1a9953c4611296a827abf8c47804d7", van="van-017", site="S-01203", t=_T, absent=True,
    work="Filter replaced.", stop=4_711, work_order="W-88", user="a.roux", signer="Marie Dupont",
    signer_role="owner",
)  # fmt: skip
#: 2 by 1 pixels, black and white.
_PNG: Final = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000002000000010800000000d14920560000000b49444154789c6360f8"
    "0f000102010042bebc680000000049454e44ae426082"
)

#: One payload of each kind with every field used: for readers of docs/WIRE.md, and for tests.
EXAMPLES: Final[tuple[msgspec.Struct, ...]] = (
    Position(_T, 48.8584, 2.2945, 6.0, 13.9, 271.5, ignition=True, odometer_m=120_345_500.0,
             battery_pct=87.0),
    Scan("f3a9c1", 17, _T, "transfer", code="4006381333931", aim_id="]E0", qty=2,
         work_order="W-88", counterpart="van-021", lot="L7", user="a.roux", since=_T - 600_000,
         shipment="004000000000000176", reverses=ScanKey("f3a9c1", 16)),
    VisitReport("f3a9c1", 18, _T, "S-01203", "Filter replaced.\nBearing worn.", 4_711, "W-88",
                "a.roux", "Marie Dupont", "owner", "M40 150C80 20 120 20 140 140", _PNG, absent=True),
    VanMessage("f3a9c1", 19, _T, "The gate is locked.", "m-1", ["m-1", "m-2"], ["m-1"], "a.roux"),
    Status("online", _T, "on"),
    Receipt("f3a9c1", 17),
    InboxMessage("m-1", _T, "count_request", "Please count these two.",
                 "R-20260921-1400-van-017", ["P-0042", "P-0107"], "Céline Petit", "m-0"),
    OrderEvent(_ORDER.order, "urn:cordee:ingest", "cordee.order.sent.v1",
               "2026-09-21T14:13:20.000+00:00", _ORDER.order, _ORDER),
    OrderReport("WH-NORD-5512", _T, "R-20260921-1400-van-017", "shipped",
                [ReportLine("P-0042", 8, "L7", "two boxes were damp", backorder=False)],
                "004000000000000176", "c.petit"),
    AlertEvent("late-903-cleared-1790000000000", "urn:cordee:ingest", "cordee.alert.cleared.v1",
               "2026-09-21T14:13:20.000+00:00", "van-017", _ALERT),
    VisitReportEvent("8b1a9953c4611296a827abf8c47804d7", "urn:cordee:ingest",
                     "cordee.visit.reported.v1", "2026-09-21T14:13:20.000+00:00", "van-017", _SIGNED),
    OwnTracksLocation(48.8584, 2.2945, 1_790_000_000, 6.0, 50.0, 271.0, 87.0, ign=True,
                      odometer=120_345.5),
    OwnTracksTransition(1_790_000_000, "enter", 6.0, 48.8584, 2.2945),
    OwnTracksLwt(1_790_000_000),
)  # fmt: skip

#: What ingest subscribes to: the contract's topics that vans, tablets and apps send.
SUBSCRIPTIONS: Final = (
    "fleet/v1/+/position",
    "fleet/v1/+/scan",
    "fleet/v1/+/report",
    "fleet/v1/+/message",
    "fleet/v1/+/status",
    "owntracks/+/+",
    "warehouse/v1/reports/+",
)


def encode(message: msgspec.Struct) -> bytes:
    """Return a message as the bytes of its payload."""
    return msgspec.json.encode(message)
