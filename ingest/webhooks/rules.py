"""What becomes of a message that a webhook shall get. Pure: the present and chance are arguments.

A *webhook* is an address of an organisation that is told by HTTP of its orders, its alerts, the reports of
its visits (who signed, not the signature), or several of them.
The transaction that leaves such a message in the outbox makes a *delivery* of it for every webhook
that wants it, so that there is never one without the other. A delivery is a POST of the bytes that
the broker gets, a CloudEvent, signed (`signing.py`), until the receiver accepts it.

What happens to a delivery, and its state after that (`-`: as before):

| state     | take     | accept    | fail     | give up | switch off | send again |
| --------- | -------- | --------- | -------- | ------- | ---------- | ---------- |
| pending   | retrying | -         | -        | -       | dead       | -          |
| retrying  | retrying | delivered | retrying | dead    | dead       | -          |
| delivered | -        | -         | -        | -       | -          | -          |
| dead      | -        | delivered | -        | -       | -          | pending    |

- *take*: it is about to be posted. The attempt is counted and the next one set to a minute later
  before anything is sent: if the process dies now, that is when the same bytes go out again, under
  the same id. An answer always comes, or fails to, in less than that minute.
- *accept*: the receiver answered 2xx. It counts whenever it comes: of two relays, or after a death.
- *fail*: any other status, a redirection among them, or no answer. The pauses in between grow from
  10 s to a day, each longer or shorter by chance, so that what failed together does not come back
  together. A `Retry-After` (of a 429, a 503 or whatever) makes the pause longer, never shorter nor
  longer than a day, and nothing else goes to that webhook until then.
- *give up*: the tenth attempt has failed, after about three days (eleven, if the receiver asks for a
  day each time). The dead are counted, listed with what went wrong, and kept for 30 days.
- *switch off*: the webhook is off. A receiver does that by answering 410, an operator by a command.
  While it is off nothing is kept for it.
- *send again*: a person wants a dead one tried again, from the first attempt on.

So a receiver gets every message at least once, and knows a repeat by its `webhook-id`. Of one
webhook up to four are under way at once, the oldest first: order is an effort, not a promise, and
what failed comes later than what was younger. The `time` in the event says what is newer.

Times are those of the machine, even where the installation's clock is simulated: a receiver refuses
a signature that is not of its own present.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Literal, get_args

State = Literal["pending", "retrying", "delivered", "dead"]
Event = Literal["take", "accept", "fail", "give up", "switch off", "send again"]

#: The cells of the table above in which something changes, or is tried again.
NEXT: Final[Mapping[tuple[State, Event], State]] = {
    ("pending", "take"): "retrying",
    ("pending", "switch off"): "dead",
    ("retrying", "take"): "retrying",
    ("retrying", "accept"): "delivered",
    ("retrying", "fail"): "retrying",
    ("retrying", "give up"): "dead",
    ("retrying", "switch off"): "dead",
    ("dead", "accept"): "delivered",
    ("dead", "send again"): "pending",
}

#: What may be posted, by topic: the CloudEvents of the wire contract.
TOPICS: Final = {
    "orders": "warehouse/v1/orders",
    "alerts": "planner/v1/alerts",
    "visits": "planner/v1/visit-reports",
}

#: Pauses after the first, the second, ... attempt that failed.
DELAYS_S: Final = (10, 60, 300, 1_800, 7_200, 21_600, 43_200, 86_400, 86_400)
ATTEMPTS_MAX: Final = len(DELAYS_S) + 1
#: A pause is up to so much longer or shorter than the table says.
SPREAD: Final = 0.2
RETRY_AFTER_S_MAX: Final = 86_400
#: For a whole attempt, from asking for the address to the status line.
TIMEOUT_S: Final = 15.0
#: How long what is being posted is nobody else's; well above the timeout.
LEASE_S: Final = 60

GONE: Final = 410


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a POST.

    Attributes:
        status: The HTTP status; None if there was no answer.
        error: Why there was none.
        retry_after: The header of that name.
    """

    status: int | None = None
    error: str | None = None
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an answer means. Times are ms since 1970 UTC.

    Attributes:
        event: What happens to the delivery.
        error: What went wrong, for people; None if nothing did.
        next_try: When to try again, after a failure.
        paused_until: Until when the webhook wants nothing at all.
        is_gone: The receiver wants nothing ever again.
    """

    event: Event
    error: str | None = None
    next_try: int | None = None
    paused_until: int | None = None
    is_gone: bool = False


def states_before(event: Event) -> list[State]:
    """Return the states in which an event changes something."""
    return [state for state in get_args(State) if (state, event) in NEXT]


def state_after(event: Event) -> State:
    """Return the state that an event leads to wherever it changes something."""
    (state,) = {after for (_, what), after in NEXT.items() if what == event}
    return state


def judge(answer: Answer, attempts: int, now: int, chance: float) -> Outcome:
    """Return what an answer means.

    Args:
        answer: To the attempt that has just ended.
        attempts: How many there were, this one included.
        now: The machine's time, ms since 1970 UTC.
        chance: From 0 to 1, another one each time.
    """
    if answer.status is not None and 200 <= answer.status < 300:
        return Outcome("accept")
    error = answer.error or f"HTTP {answer.status}"
    if answer.status == GONE:
        return Outcome("switch off", f"{error}: the receiver wants no more", is_gone=True)
    asked_ms = retry_after_ms(answer.retry_after, now)
    paused_until = None if asked_ms is None else now + asked_ms
    if attempts >= ATTEMPTS_MAX:
        return Outcome("give up", error, paused_until=paused_until)
    pause_ms = max(delay_ms(attempts, chance), asked_ms or 0)
    return Outcome("fail", error, now + pause_ms, paused_until)


def delay_ms(attempts: int, chance: float) -> int:
    """Return how long to wait after so many attempts have failed, at least one."""
    return round(DELAYS_S[attempts - 1] * 1_000 * (1 + SPREAD * (2 * chance - 1)))


def retry_after_ms(text: str | None, now: int) -> int | None:
    """Return the wait that a Retry-After asks for (RFC 9110, 10.2.3), up to a day.

    None if it asks for none: seconds that are none, a date that is none or is past.
    """
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        asked_ms = min(int(text[:9]), RETRY_AFTER_S_MAX) * 1_000
    else:
        asked_ms = _date_ms(text, now) - now
    return min(asked_ms, RETRY_AFTER_S_MAX * 1_000) if asked_ms > 0 else None


def _date_ms(text: str, otherwise: int) -> int:
    """Return an HTTP date as ms since 1970 UTC."""
    try:
        moment: datetime = parsedate_to_datetime(text)
        if moment.tzinfo is None:  # "-0000": no zone was meant, HTTP means UTC
            moment = moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1_000)
    except (ValueError, OverflowError):
        return otherwise
