"""Is this container's service at work? The health check of our services in compose, but the API's.

A process that lives may still hang, so two things are looked at. In the database: has the service's
main loop used one of its connections lately? Ingest ticks, or looks at its claims, every second, each of the
relay's two looks at the outbox every 5 s. At the broker: is a connection to it open in this container? Neither asks the
service anything, so a busy service is not called sick for answering late.
"""

import socket
from pathlib import Path

import psycopg

from ingest.claims import PARTITION
from storage import broker
from storage.settings import Settings

LOOKED_WITHIN_S = 30
ESTABLISHED = "01"
#: What each service calls its connections: one name for each of its loops.
LOOPS = {
    "ingest": ("cordee-ingest",),
    "relay": ("cordee-relay", "cordee-webhooks"),
    "gatekeeper": ("cordee-gatekeeper",),
}
#: It only signals the broker.
WITHOUT_BROKER = {"gatekeeper"}

#: Of this container alone: its connections come from the address that this one comes from.
USED_LATELY = """
SELECT count(DISTINCT application_name) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = ANY(%s)
  AND client_addr IS NOT DISTINCT FROM inet_client_addr()
  AND greatest(query_start, state_change) > now() - make_interval(secs => %s)
"""


#: As above; a worker beyond the number of partitions has none, and waits for one.
CLAIMS = """
SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND classid = %s AND datname = current_database()
  AND client_addr IS NOT DISTINCT FROM inet_client_addr()
"""


def is_connected(port: int) -> bool:
    """Return whether a TCP connection to that remote port is open in this network namespace."""
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    rows = [row.split() for t in tables if t.exists() for row in t.read_text().splitlines()[1:]]
    return any(int(row[2].rsplit(":", 1)[1], 16) == port and row[3] == ESTABLISHED for row in rows)


def uses_database(settings: Settings, name: str) -> bool:
    """Return whether all its loops have used a connection within 30 s. Raises psycopg.Error."""
    with psycopg.connect(settings.database_url, connect_timeout=5) as conn:
        row = conn.execute(USED_LATELY, (list(LOOPS[name]), LOOKED_WITHIN_S)).fetchone()
    return row == (len(LOOPS[name]),)


def is_spare(settings: Settings, name: str) -> bool:
    """Return whether it is an ingest that shares the fleet and holds none of it. Raises psycopg.Error."""
    if name != "ingest" or not settings.partitions:
        return False
    with psycopg.connect(settings.database_url, connect_timeout=5) as conn:
        return conn.execute(CLAIMS, (PARTITION,)).fetchone() == (0,)


def complaint(settings: Settings, name: str) -> str | None:
    """Return what is wrong with the service, or None."""
    try:
        if not uses_database(settings, name):
            return f"{name} has not used the database for {LOOKED_WITHIN_S} s"
        if name in WITHOUT_BROKER or is_spare(settings, name):
            return None
    except psycopg.OperationalError as error:
        return f"{socket.gethostname()} does not reach the database: {error}"
    if not any(is_connected(port) for _, port in broker.servers(settings)):
        return f"{name} has no connection to the broker"
    return None
