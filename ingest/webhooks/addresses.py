"""Where a webhook may go. Pure: who asks for the addresses of a name hands them in.

Whoever may add a webhook makes this server send requests, and must not reach by it what only this
server can reach (server-side request forgery): unless a setting allows it, an address must be one
that the whole Internet shares. It is judged each time, after the name has been looked up, and the
connection goes to the address that was judged: what a name meant when it was added, or means a
moment later, plays no part. Nor is anything of an answer kept but its status.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

import httpx

URL_CHARACTERS_MAX: Final = 2_000
#: Addresses of a name that one attempt tries.
ADDRESSES_MAX: Final = 3
#: RFC 6052: the last four bytes are an IPv4 address behind a translator.
TRANSLATED: Final = IPv6Network("64:ff9b::/96")

Address = IPv4Address | IPv6Address


def refusal(url: str, *, allow_private: bool) -> str | None:
    """Return why a webhook may not have this URL, or None.

    What its name stands for is not asked here: `allowed` judges that whenever something is sent.
    """
    try:
        parts = httpx.URL(url)  # the parser that will send it: two could disagree about the host
    except httpx.InvalidURL as error:
        return f"it is no URL: {error}"
    host, port = parts.host, parts.port
    looked_at = (
        (
            parts.scheme not in {"http", "https"} or not host,
            "only http:// and https:// URLs can be posted to",
        ),
        (len(url) > URL_CHARACTERS_MAX, f"it is longer than {URL_CHARACTERS_MAX:,} characters"),
        (port is not None and not 0 < port < 65_536, f"there is no port {port}"),
        (bool(parts.userinfo), "no user or password belongs into it: the signature says who sends"),
        (bool(parts.fragment), "what follows the # is never sent"),
        (
            not allow_private and _is_private_name(host),
            f"{host} is not on the public Internet; CORDEE_WEBHOOK_ALLOW_PRIVATE=true allows it",
        ),
    )
    return next((words for is_bad, words in looked_at if is_bad), None)


def _is_private_name(host: str) -> bool:
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return not is_public(ip_address(host))
    except ValueError:
        return False


def allowed(found: Iterable[str], *, allow_private: bool) -> list[str]:
    """Return which of the addresses that a name stands for may be posted to, up to three."""
    once = dict.fromkeys(found)
    return [a for a in once if allow_private or is_public(ip_address(a))][:ADDRESSES_MAX]


def is_public(address: Address) -> bool:
    """Return whether an address, and one that it carries inside, is the whole Internet's."""
    if isinstance(address, IPv6Address) and (inside := _carried(address)) is not None:
        return is_public(inside)
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_unspecified
    )


def _carried(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that traffic to an IPv6 address ends at, if it is of that kind."""
    if address in TRANSLATED:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)
