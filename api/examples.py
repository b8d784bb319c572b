"""An example of every answer, for the API's description. Pure.

They tell of one small company on Friday 2026-11-20, 10:00 in Paris: the one that
`ops/access/table.py` makes, whose codes the examples of requests have too. They are instances of
`api/answers.py`, so that none can lack a field; `api/description.py` finds them by their type.
"""

from typing import Any, Final

from pydantic import TypeAdapter

from api.answers import (
    AcceptedPolicy,
    AccessEntries,
    AccessEntry,
    Action,
    Actions,
    Alert,
    AlertAction,
    AlertHandling,
    Alerts,
    AlertWithHistory,
    Area,
    Basemap,
    BatchTaken,
    Catalogue,
    CatalogueCode,
    CatalogueItem,
    Charge,
    Charges,
    Colleague,
    Database,
    DeadItem,
    DeadStock,
    Deleted,
    Device,
    Devices,
    Eta,
    Fences,
    Found,
    FoundItem,
    FoundOrder,
    FoundSite,
    FoundTechnician,
    FoundVan,
    Health,
    LackingPart,
    LastFix,
    Leg,
    Legs,
    LegsOfDay,
    LineOfOrder,
    LinesOfOrders,
    Message,
    Messages,
    MissingPart,
    MissingParts,
    MyDay,
    NewBox,
    NextStop,
    OneSide,
    Order,
    OrderLine,
    Orders,
    OrderWithLines,
    Outbox,
    Overview,
    PartUsed,
    People,
    Place,
    PlannedVisit,
    Planning,
    PolicyProposal,
    PolicyProposals,
    Proposal,
    Proposals,
    ProposedStop,
    Purpose,
    Recount,
    Recounts,
    Rejected,
    RejectedEvent,
    RejectedMessage,
    RejectedReason,
    Replan,
    Replans,
    Report,
    ReportTaken,
    Retention,
    Servers,
    SessionOpened,
    SignedReport,
    SignInWays,
    Site,
    SiteEdited,
    SiteWindow,
    Stock,
    StockFigures,
    StockLevel,
    StockQuestion,
    StockQuestions,
    StopProposal,
    StopProposals,
    TimelineStop,
    Token,
    Tour,
    TourEdited,
    Tours,
    TourStop,
    TourSummary,
    Track,
    TrackProperties,
    Transfer,
    Transfers,
    TrustedPair,
    TrustedPairs,
    UnclaimedBox,
    UnclaimedBoxes,
    UnknownCode,
    UnknownCodes,
    Unusable,
    UnusableByReason,
    UnusableByVan,
    Van,
    Vans,
    Variance,
    Variances,
    Visit,
    VisitReport,
    VisitReports,
    Visits,
    Waiting,
    WaitingScan,
    WaitingScans,
    Webhook,
    WebhookDeliveries,
    WebhookDelivery,
    Webhooks,
    WhatBroker,
)
from api.cursors import VisitKey, encode
from api.geojson import LineString
from stock_tracker.papers.pick_list import COLUMNS
from stock_tracker.resupply import why
from stock_tracker.resupply.replenish import Policy, Position, inputs

MINUTE: Final = 60_000
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
NOW: Final = 1_795_165_200_000
#: Midnight UTC of that day; working days begin an hour before (3 in the morning in Paris is 2 UTC).
TODAY: Final = 1_795_132_800_000

ETA: Final = Eta(NOW + 20 * MINUTE, NOW + 30 * MINUTE, NOW + 45 * MINUTE, 0.31, NOW)
NEXT_STOP: Final = NextStop(
    tour="TOUR1",
    stop_id=11,
    stop=1,
    site="BAKERY",
    site_name="Bakery",
    window_start_ms=NOW - 20 * MINUTE,
    window_end_ms=NOW + 40 * MINUTE,
    eta=ETA,
    alert="at_risk",
)
VAN: Final = Van(
    code="V1",
    name="Kangoo 1",
    technician="Ana",
    state="driving",
    site=Place("BAKERY", "Bakery"),
    last_fix=LastFix(
        t_ms=NOW - MINUTE,
        latitude_deg=45.75,
        longitude_deg=4.85,
        speed_mps=10.0,
        bearing_deg=90.0,
        ignition=True,
        age_s=60,
    ),
    next_stop=NEXT_STOP,
)
VISIT: Final = Visit(
    van="V1",
    site="BAKERY",
    site_name="Bakery",
    latitude_deg=45.75,
    longitude_deg=4.85,
    arrived_at_ms=NOW - 3 * HOUR,
    last_inside_at_ms=NOW - 160 * MINUTE,
    left_at_ms=NOW - 150 * MINUTE,
    dwell_s=1_200,
    verdict="visit",
    punctuality="on_time",
    uncertain=False,
    shadowed_by=None,
    service_date="2026-11-20",
    tour="TOUR1",
    stop=1,
    window_start_ms=NOW - 3 * HOUR,
    window_end_ms=NOW - 2 * HOUR,
    wrong_order=False,
    overstayed=False,
)
ORDER: Final = Order(
    code="O-1",
    van="V1",
    warehouse="LYON",
    mode="van",
    state="sent",
    cutoff_at_ms=NOW - 18 * HOUR,
    created_ms=NOW - 18 * HOUR + 5_000,
    lines=1,
    units=6,
    picked=4,
    shipped=4,
    received=0,
    cancelled=0,
    accepted=True,
    due_at_ms=NOW + 22 * HOUR,
    urgent=False,
    site=None,
    approved_by="user:c.petit",
)
DECIDED: Final[dict[str, object]] = dict(inputs(Position(1, 1, 3, 0, Policy(4, 10, 12, 1))))
TRANSFER: Final = Transfer(
    transfer_id=1,
    from_van="V2",
    to_van="V1",
    item="PUMP",
    name="Pump",
    qty=1,
    state="accepted",
    created_ms=NOW - 10 * HOUR,
    until_ms=NOW + 14 * HOUR,
    work_order="W-4711",
    decided_by="user:p.planner",
    why="V2 has 2 to spare, and its way comes within 1.3 km",
    because=why.of_transfer({"spare": 2, "apart_m": 1_300}, "V2"),
)
DELIVERY: Final = WebhookDelivery(
    delivery_id=1,
    message_id="5f0f6d3e-64b8-4d0c-9c3e-0a7b1f0c9d11",
    webhook_id=1,
    receiver="ours.example",
    topic="warehouse/v1/orders/O-1",
    state="dead",
    attempts=12,
    next_try_ms=None,
    last_status=503,
    last_error="HTTP 503",
    changed_ms=NOW - 2 * DAY,
)
ALERT: Final = Alert(
    alert_id=1,
    kind="late",
    state="open",
    van="V1",
    technician="Ana",
    site="BAKERY",
    site_name="Bakery",
    tour="TOUR1",
    stop_id=11,
    stop=1,
    due_at_ms=NOW - 10 * MINUTE,
    ended_at_ms=None,
    minutes=10,
    lasting_s=600,
    cause="slow_road",
    pushes=[2],
    reason="not arrived 10 min after its window",
    told=True,
    raised_ms=NOW - 9 * MINUTE,
    changed_ms=NOW - MINUTE,
    handling=AlertHandling(
        acknowledged_by="ana",
        acknowledged_at_ms=NOW - MINUTE,
        snoozed_until_ms=None,
        owner="ana",
        cause="traffic",
        note=None,
        version=1,
    ),
)
TOUR: Final = Tour(
    tour="TOUR1",
    van="V1",
    technician="Ana",
    date="2026-11-20",
    stops=[
        TourStop(
            stop_id=11,
            stop=1,
            site="BAKERY",
            site_name="Bakery",
            latitude_deg=45.75,
            longitude_deg=4.85,
            window_start_ms=NEXT_STOP.window_start_ms,
            window_end_ms=NEXT_STOP.window_end_ms,
            planned_duration_s=3_600,
            planned_arrival_ms=NOW,
            work_order="W-4711",
            skill="lift",
            parts={"FIL-20": 2},
            outcome="planned",
            arrived_at_ms=None,
            left_at_ms=None,
            punctuality=None,
            wrong_order=False,
            overstayed=False,
            eta=ETA,
        )
    ],
)
YARD: Final[dict[str, object]] = {
    "type": "Polygon",
    "coordinates": [
        [[4.85, 45.75], [4.853, 45.75], [4.853, 45.752], [4.85, 45.752], [4.85, 45.75]]
    ],
}
REPLAN: Final = Replan(
    replan_id=1,
    date="2026-11-20",
    kind="move",
    site="BAKERY",
    site_name="Bakery",
    from_van="V1",
    to_van="V2",
    tours=["TOUR1", "TOUR2"],
    applied_by="ana",
    applied_at_ms=NOW,
    undone_by=None,
    undone_at_ms=None,
    edited_since=[],
    undoable=True,
)
MESSAGE: Final = Message(
    id="f431d6323657236049f4826339867d14",
    number=1,
    van="V1",
    from_base=True,
    kind="message",
    author="Chloé Petit",
    text="The bakery asks you to ring at the back door.",
    order=None,
    items=[],
    in_reply_to=None,
    sent_ms=NOW,
    delivered_ms=NOW + 1_000,
    read_ms=None,
)

REJECTED: Final = RejectedMessage(
    rejected_id="01" * 16,
    topic="fleet/v1/V1/position",
    van="V1",
    reason="malformed",
    detail="not JSON",
    received_ms=NOW - HOUR,
    payload_bytes=2,
    payload_text="{]",
    payload_base64="e10=",
)


def _side(gained: int, lost: int, drive: int, km: float) -> OneSide:
    return OneSide(gained, lost, 0, 0, drive, km)


_ONE_STOP: Final = [ProposedStop(11, 1, "BAKERY", "Bakery")]
_MOVE: Final = StopProposal(
    kind="move",
    words="Give it to V2 (Bo): there at 10:25, in time; V1 would be there at 11:05, 35 min late. The"
    " other stops of V1 gain 20 min; those of V2 lose 5 min. V2 drives 12 min (9.4 km) more. Not free"
    " on board: 1 x FIL-20.",
    van="V2",
    technician="Bo",
    expected_before_ms=NOW + 65 * MINUTE,
    expected_ms=NOW + 25 * MINUTE,
    late_before_min=35,
    late_min=0,
    weighted_min=-50,
    slack_min=-5,
    giver=_side(20, 0, -18, -14.2),
    taker=_side(0, 5, 12, 9.4),
    missing=[LackingPart("FIL-20", "Filter 20", 1)],
    reordered=False,
    order=_ONE_STOP,
    based_on="6fd8e5f5c1f0a1d2b3c4d5e6",
)
_KEEP: Final = StopProposal(
    kind="keep",
    words="Keep it with V1 (Ana): there at 11:05, 35 min late.",
    van="V1",
    technician="Ana",
    expected_before_ms=NOW + 65 * MINUTE,
    expected_ms=NOW + 65 * MINUTE,
    late_before_min=35,
    late_min=35,
    weighted_min=0,
    slack_min=-55,
    giver=_side(0, 0, 0, 0.0),
    taker=None,
    missing=[],
    reordered=False,
    order=_ONE_STOP,
    based_on="6fd8e5f5c1f0a1d2b3c4d5e6",
)

_ANSWERS: Final[tuple[object, ...]] = (
    Health("alive"),
    Vans(NOW, [VAN]),
    VAN,
    Track(
        "Feature",
        LineString("LineString", [(4.85, 45.75), (4.851, 45.75)]),
        TrackProperties(
            van="V1",
            from_ms=NOW - 12 * HOUR,
            to_ms=NOW,
            truncated=False,
            times_ms=[NOW - 2 * MINUTE, NOW - MINUTE],
            speeds_mps=[10.0, None],
            horizontal_accuracies_m=[6.0, None],
        ),
    ),
    Visits([VISIT], encode(VisitKey(VISIT.arrived_at_ms, VISIT.van, VISIT.site))),
    TOUR,
    MyDay("2026-11-20", "on", [TOUR]),
    Tours(
        "2026-11-20",
        [
            TourSummary(
                tour="TOUR1",
                van="V1",
                technician="Ana",
                stops=6,
                planned=4,
                on_site=0,
                done=2,
                skipped=0,
                late=1,
                next_stop=NEXT_STOP,
                timeline=[
                    TimelineStop(
                        stop_id=11,
                        stop=1,
                        site="BAKERY",
                        site_name="Bakery",
                        work_order="W-4711",
                        window_start_ms=NEXT_STOP.window_start_ms,
                        window_end_ms=NEXT_STOP.window_end_ms,
                        planned_arrival_ms=NOW,
                        planned_duration_s=3_600,
                        state="en_route",
                        eta=ETA,
                        arrived_at_ms=None,
                        left_at_ms=None,
                        punctuality=None,
                        alert="at_risk",
                    )
                ],
            )
        ],
    ),
    TourEdited("T-1123-V1", "V1", "2026-11-23", added=1, changed=1, unchanged=0, removed=0),
    SiteEdited("BAKERY", "changed", 45.75, 4.85, 80.0, area=False),
    StopProposals(
        now_ms=NOW,
        stop_id=11,
        tour="TOUR1",
        stop=1,
        site="BAKERY",
        site_name="Bakery",
        van="V1",
        skill="lift",
        proposals=[_MOVE, _KEEP],
    ),
    Legs(
        van="V1",
        from_ms=TODAY,
        to_ms=TODAY + DAY,
        legs=[
            Leg(
                kind="trip",
                started_at_ms=TODAY + 7 * HOUR,
                ended_at_ms=TODAY + 7 * HOUR + 25 * MINUTE,
                closed=True,
                distance_m=18_420,
                driving_s=1_380,
                standing_s=120,
                unknown_s=0,
                latitude_deg=45.75,
                longitude_deg=4.85,
                unplanned=False,
            ),
            Leg(
                kind="halt",
                started_at_ms=TODAY + 7 * HOUR + 25 * MINUTE,
                ended_at_ms=TODAY + 7 * HOUR + 40 * MINUTE,
                closed=True,
                distance_m=0,
                driving_s=0,
                standing_s=900,
                unknown_s=0,
                latitude_deg=45.75,
                longitude_deg=4.85,
                unplanned=True,
            ),
        ],
        days=[
            LegsOfDay(
                date="2026-11-20",
                trips=1,
                halts=1,
                unplanned_halts=1,
                distance_m=18_420,
                driving_s=1_380,
                standing_s=120,
                unknown_s=0,
                halted_s=900,
                unplanned_s=900,
            )
        ],
    ),
    Unusable(
        NOW - DAY,
        NOW,
        [UnusableByReason("poor_accuracy", 41, 2)],
        [
            UnusableByVan("V1", "poor_accuracy", 40, NOW - MINUTE),
            UnusableByVan("V2", "poor_accuracy", 1, NOW - 9 * HOUR),
        ],
    ),
    Alerts([ALERT]),
    AlertWithHistory(
        ALERT, [AlertAction(NOW - MINUTE, "ana", {"acknowledged": True, "cause": "traffic"})]
    ),
    People([Colleague("ana", "Ana Diaz")]),
    Overview(
        vans_total=2,
        vans_seen_today=2,
        vans_on_the_road=1,
        vans_silent=0,
        visits_today=4,
        late_stops_today=1,
        stops_late=1,
        vans_late=1,
        stops_at_risk=2,
        vans_at_risk=2,
        alerts_open=3,
        scans_today=12,
        orders_open=2,
        rejected_24h=1,
        messages_per_s=6.5,
        lag_p50_ms=64,
        lag_p99_ms=256,
    ),
    # ---- stock ----
    Stock(
        "V1",
        [
            StockLevel(
                item="FIL-20",
                name="Filter 20",
                base_unit="piece",
                qty=3,
                on_order=6,
                counted_at_ms=NOW - 2 * DAY,
                reorder_point=4,
                order_up_to=10,
                below=True,
            )
        ],
        truncated=False,
    ),
    StockFigures(
        from_ms=NOW - 30 * DAY,
        to_ms=NOW,
        units_asked=200,
        units_had=192,
        units_share=0.96,
        jobs=80,
        jobs_complete=76,
        jobs_share=0.95,
        pairs=120,
        pair_hours=86_400.0,
        out_hours=864.0,
        out_share=0.01,
        counts=50,
        counts_exact=45,
        exact_share=0.9,
        counts_close=49,
        close_share=0.98,
    ),
    MissingParts(
        NOW - 30 * DAY,
        NOW,
        [MissingPart("PUMP", "Pump", "piece", jobs=3, units=4, scans=4)],
        truncated=False,
    ),
    DeadStock(
        days=365,
        pairs=1,
        units=2,
        value=310.0,
        items=[
            DeadItem(
                van="V1",
                item="PUMP",
                name="Pump",
                base_unit="piece",
                qty=2,
                value=310.0,
                last_issued_ms=None,
                known_since_ms=NOW - 400 * DAY,
            )
        ],
        truncated=False,
    ),
    TrustedPairs(
        [
            TrustedPair(
                van="V1",
                item="FIL-20",
                name="Filter 20",
                base_unit="piece",
                qty=3,
                trust=0.48,
                worth=6.2,
                counted_at_ms=NOW - 90 * DAY,
                movements=12,
                visits_needing_it=0,
                visits_without_scan=4,
                reasons=["old_count", "movements"],
            )
        ],
        truncated=False,
    ),
    Charges(
        [
            Charge(
                t_ms=NOW - 170 * MINUTE,
                van="V1",
                kind="issue",
                item="FIL-20",
                name="Filter 20",
                base_unit="piece",
                lot="L7",
                qty=2,
                site="BAKERY",
                site_name="Bakery",
                arrived_at_ms=VISIT.arrived_at_ms,
                tour="TOUR1",
                stop=1,
                work_order="W-4711",
            )
        ],
        truncated=False,
    ),
    StockQuestions(
        [
            StockQuestion(
                kind="visit_without_scan",
                t_ms=NOW - 150 * MINUTE,
                van="V1",
                technician="Ana",
                site="BAKERY",
                site_name="Bakery",
                arrived_at_ms=VISIT.arrived_at_ms,
                tour="TOUR1",
                stop=1,
                item="FIL-20",
                name="Filter 20",
                qty=2,
            )
        ],
        truncated=False,
    ),
    UnknownCodes(
        [UnknownCode("4006381333931", "NDAwNjM4MTMzMzkzMQ==", 3, 2, NOW - DAY, NOW - HOUR)],
        truncated=False,
    ),
    WaitingScans(
        [
            WaitingScan(
                van="V1",
                epoch="e",
                seq=3,
                t_ms=NOW - 40 * DAY,
                received_ms=NOW - HOUR,
                intent="issue",
                code="FIL-20",
                qty=1,
                status="review",
            )
        ],
        truncated=False,
    ),
    Variances(
        [
            Variance(
                t_ms=NOW - HOUR,
                van="V1",
                warehouse=None,
                item="FIL-20",
                name="Filter 20",
                lot="",
                counted=4,
                expected=9,
                variance=-5,
            )
        ],
        truncated=False,
    ),
    Recounts([Recount("V1", "FIL-20", "Filter 20", 4, "unconfirmed", NOW - HOUR)], truncated=False),
    # ---- resupply ----
    ORDER,
    Orders([ORDER], total=1),
    LinesOfOrders(
        [
            LineOfOrder(
                order="O-1",
                van="V1",
                site=None,
                warehouse="LYON",
                state="sent",
                cutoff_at_ms=NOW - 18 * HOUR,
                due_at_ms=NOW + 22 * HOUR,
                item="FIL-20",
                name="Filter 20",
                base_unit="piece",
                requested=6,
                allocated=4,
                picked=4,
                shipped=4,
                received=0,
                cancelled=0,
                instead_of=None,
                why="3 on hand, reorder at 4",
            )
        ],
        truncated=False,
    ),
    OrderWithLines(
        ORDER,
        [
            OrderLine(
                item="FIL-20",
                name="Filter 20",
                base_unit="piece",
                codes={"FIL-20-BOX": 10},
                bin="A-03-2",
                requested=6,
                allocated=4,
                picked=4,
                shipped=4,
                received=0,
                cancelled=0,
                instead_of=None,
                why=str(DECIDED["why"]),
                because=why.of_order(DECIDED),
                inputs=DECIDED,
            )
        ],
        [
            Report(
                id="WH-5512",
                kind="shipped",
                t_ms=NOW - HOUR,
                sscc="004000000000000176",
                author=None,
                posted_by="user:c.petit",
                counts=True,
            )
        ],
    ),
    ReportTaken("WH-5512"),
    NewBox("004000000000000176"),
    Proposals(
        [
            Proposal(
                van="V1",
                item="FIL-20",
                name="Filter 20",
                base_unit="piece",
                qty=5,
                short=0,
                waits=True,
                approved_by=None,
                why=str(DECIDED["why"]),
                because=why.of_order(DECIDED),
                inputs=DECIDED,
            )
        ],
        truncated=False,
    ),
    PolicyProposals(
        [
            PolicyProposal(
                template="HVAC",
                item="FIL-20",
                name="Filter 20",
                base_unit="piece",
                reorder_point_now=4,
                order_up_to_now=10,
                reorder_point=8,
                order_up_to=14,
                cap=16,
                units_a_week=2.4,
                fill_share=0.97,
                reason="used 2.4 a week",
                made_ms=NOW - DAY,
            )
        ],
        truncated=False,
    ),
    AcceptedPolicy(1),
    TRANSFER,
    Transfers([TRANSFER]),
    UnclaimedBoxes(
        [
            UnclaimedBox(
                sscc="004000000000000176",
                order="O-1",
                van="V1",
                mode="site",
                technician="Ana",
                site="BAKERY",
                delivered_ms=NOW - 5 * HOUR,
                lines=1,
                units=4,
            )
        ],
        truncated=False,
    ),
    # ---- for operators ----
    Rejected(
        [RejectedReason("malformed", 1, NOW - HOUR)],
        [REJECTED],
    ),
    Webhooks(
        [
            Webhook(
                webhook_id=1,
                receiver="ours.example",
                topics=["warehouse/v1/orders"],
                active=True,
                off_reason=None,
                waiting=0,
                dead=1,
            )
        ]
    ),
    DELIVERY,
    WebhookDeliveries({"pending": 0, "retrying": 0, "delivered": 12, "dead": 1}, [DELIVERY]),
    Retention(
        [
            Purpose(
                name="tracks",
                purpose="arrivals, delays and proof of visits",
                days=62,
                since_ms=NOW - 62 * DAY,
                tables=[Deleted("fix", "2026-11-20", 120_000, NOW - 62 * DAY, done=True)],
            )
        ]
    ),
    REJECTED,
    Actions(
        [
            Action(
                done_ms=NOW,
                done_by="user:o.ops",
                action="replay",
                subject="9b2d0e1f3c4a5b6c7d8e9f0a1b2c3d4e",
                detail="fleet/v1/V1/scan: unknown_van",
            )
        ],
        truncated=False,
    ),
    Devices(
        NOW,
        [
            Device(
                van="V1",
                technician="Ana",
                heard_ms=NOW - MINUTE,
                position_ms=NOW - MINUTE,
                behind_s=0.4,
                state="online",
                credentials=1,
                rejected_24h=0,
                not_kept=0,
            )
        ],
    ),
    Outbox([Waiting("resupply order", 1, NOW - 2_000)]),
    Servers(
        Database("16.4", None, 1_500_000_000, 12, 100),
        WhatBroker(well=True, detail="", messages=3, held_bytes=2_048, share=0.01),
        pages=4,
    ),
    Basemap(None, "/v1/map/tiles.pmtiles"),
    # ---- tablets, and words ----
    BatchTaken(
        {"f3a9c1": 18}, [RejectedEvent(3, 18, "bad_payload", "Invalid enum value 'steal'")], 0
    ),
    Catalogue(
        [CatalogueItem("FIL-20", "Filter 20", "piece")],
        [CatalogueCode("04006381333931", "FIL-20", 1)],
    ),
    MESSAGE,
    Messages([MESSAGE], 1, truncated=False),
    # ---- places ----
    Site(
        site="YARD",
        name="Goods yard",
        latitude_deg=45.751,
        longitude_deg=4.8515,
        radius_m=160.0,
        geometry=YARD,
        time_zone="Europe/Paris",
        client="DUPONT",
        town="Lyon",
        windows=[
            SiteWindow(
                date="2026-11-20",
                tour="TOUR1",
                van="V1",
                stop_id=11,
                stop=1,
                window_start_ms=NEXT_STOP.window_start_ms,
                window_end_ms=NEXT_STOP.window_end_ms,
                work_order="W-4711",
            )
        ],
    ),
    Fences(
        ["site", "longitude_deg", "latitude_deg", "radius_m"],
        [("BAKERY", 4.85, 45.75, 80.0), ("YARD", 4.8515, 45.751, 160.0)],
        [Area("YARD", YARD)],
    ),
    REPLAN,
    Replans("2026-11-20", [REPLAN]),
    Found(
        q="dup",
        vans=[FoundVan("V1", "Kangoo 1", "Ana Dupré")],
        technicians=[FoundTechnician("T1", "Ana Dupré", "V1")],
        sites=[FoundSite("BAKERY", "Bakery Dupont", "Lyon")],
        items=[FoundItem("FIL-20", "Duplex filter 20", None)],
        orders=[FoundOrder("O-DUP-1", "V1", "sent")],
    ),
    # ---- who is signed in ----
    SessionOpened("c.petit", "Chloé Petit", "planner", [], "Europe/Paris", "8c1f0f5c", NOW, 1.0),
    SignInWays(password=True, provider="example.com"),
    Token("eyJhbGciOiJIUzI1NiJ9", "Bearer", 600, "ops"),
    AccessEntries([AccessEntry(NOW, "V1", "position", "c.petit", "planner")], truncated=False),
    # ---- for those who are visited ----
    Planning(
        NOW,
        [
            PlannedVisit(
                site="BAKERY",
                site_name="Bakery",
                client="DUPONT",
                date="2026-11-20",
                window_start_ms=NEXT_STOP.window_start_ms,
                window_end_ms=NEXT_STOP.window_end_ms,
                planned_duration_s=3_600,
                work_order="W-4711",
                technician="Ana",
                outcome="planned",
                arrived_at_ms=None,
                left_at_ms=None,
                early_at_ms=ETA.early_at_ms,
                late_at_ms=ETA.late_at_ms,
                made_ms=NOW,
            )
        ],
        truncated=False,
    ),
    VisitReports(
        [
            VisitReport(
                site="BAKERY",
                site_name="Bakery",
                client="DUPONT",
                technician="Ana",
                arrived_at_ms=VISIT.arrived_at_ms,
                last_inside_at_ms=VISIT.last_inside_at_ms,
                left_at_ms=VISIT.left_at_ms,
                dwell_s=1_200,
                uncertain=False,
                window_start_ms=VISIT.window_start_ms,
                window_end_ms=VISIT.window_end_ms,
                work_order="W-4711",
                parts=[PartUsed("FIL-20", "Filter 20", "piece", "issue", 2)],
                signed=[
                    SignedReport(
                        report="9dc9fa9dbb6e8520ce460b10adc1371d",
                        t_ms=VISIT.last_inside_at_ms,
                        work="Filter replaced, pressure 2.1 bar.",
                        work_order="W-4711",
                        author="Ana",
                        signer="Mme Dupont",
                        signer_role="manager",
                        absent=False,
                    )
                ],
            )
        ],
        truncated=False,
    ),
)

#: Of what is no JSON, by media type. The bytes of a PDF are no example to read.
TEXTS: Final = {
    "text/csv": ",".join(COLUMNS) + "\r\nO-1,A-03-2,FIL-20,Filter 20,4,1,,,,,3 on board\r\n",
    "text/plain": "# HELP fleet_vans Vans by what they are doing.\n# TYPE fleet_vans gauge\n"
    'fleet_vans{state="driving"} 1.0\n',
    "text/event-stream": "event: snapshot\nid: 3f9a-0\n"
    f'data: {{"now_ms":{NOW},"clock_factor":1.0,"data":{{"vans":{{}}}}}}\n\n',
}
PROBLEM: Final = {
    "type": "/problems/van_not_found",
    "title": "No such van",
    "status": 404,
    "code": "van_not_found",
    "detail": "There is no van 'X9'.",
}
UNAVAILABLE: Final = {
    "type": "/problems/database_unavailable",
    "title": "The database does not answer",
    "status": 503,
    "code": "database_unavailable",
    "detail": "Check that PostgreSQL runs, then ask again.",
}


def by_schema() -> dict[str, Any]:
    """Return each example as JSON, by the name of its type, as the description names its schema."""
    return {
        type(answer).__name__: TypeAdapter(type(answer)).dump_python(answer, mode="json")
        for answer in _ANSWERS
    }
