"""The users of NATS Server, as its configuration says them.

MQTT topics are subjects there: `/` becomes `.`, `+` becomes `*`, `#` becomes `>` and matches the
level above as well, and a `.` inside a level becomes `//` (server/mqtt.go,
mqttToNATSSubjectConversion). Names, not wildcards, stand in a van's permissions.

What a session needs besides, subscriptions below `$MQTT.sub.`, NATS Server 2.15 lets every MQTT
client have, and refuses every filter below `$MQTT` that a client asks for; so none is written.
Every user may come by MQTT only, not by NATS's own protocol.

A subject mapping, such as one by `partition()`, is applied before permissions are looked at. Where
one is configured, `mapped` says what becomes of a subject, `part.*.{subject}`, and both are allowed.

A list without a user would mean that everybody may come in. A user whom nobody can be is therefore
always there.

The file is included inside `authorization { }`. Strings are JSON's, which NATS reads the same way.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Final

from ops.devices.rights import Rights

USERS_FILE: Final = "users.conf"
NOTICE: Final = "# Written by `cordee provision broker`, which writes it anew.\n"

#: The hash of a password that was thrown away; may do nothing.
NOBODY: Final = ("nobody", "$2b$04$b.k24dznzdqVPOGzHqhZWO3lQShRPidK4PPGTHrvlLy8rbSzmokCy", Rights())


def subjects(topic: str, mapped: str = "") -> Iterator[str]:
    """Yield the subjects that a topic or filter stands for."""
    levels = (level.replace(".", "//") for level in topic.split("/"))
    subject = ".".join({"+": "*", "#": ">"}.get(level, level) for level in levels)
    yield subject
    if mapped:
        yield mapped.format(subject=subject)
    if subject.endswith(".>"):
        yield subject.removesuffix(".>")


def users_text(users: Iterable[tuple[str, str, Rights]], mapped: str = "") -> str:
    """Return the users file: of each its name, bcrypt hash and rights."""
    lines = (_user(*user, mapped) for user in (NOBODY, *users))
    return NOTICE + "users: [\n" + "".join(f"  {line}\n" for line in lines) + "]\n"


def _user(name: str, bcrypt_hash: str, rights: Rights, mapped: str) -> str:
    return (
        f"{{ user: {json.dumps(name)}, password: {json.dumps(bcrypt_hash)},"
        ' allowed_connection_types: ["MQTT"], permissions: {'
        f" publish: {_allowed(rights.publish, mapped)},"
        f" subscribe: {_allowed(rights.subscribe, mapped)} }} }}"
    )


def _allowed(topics: Iterable[str], mapped: str) -> str:
    allowed = [subject for topic in topics for subject in subjects(topic, mapped)]
    # An empty list of what is allowed would allow everything.
    said = {"allow": allowed} if allowed else {"deny": [">"]}
    return json.dumps(said, ensure_ascii=False)
