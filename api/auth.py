"""Who asks. `api/doorkeeper.py` finds out before any route runs; here is what routes get of it.

Every query takes the organisation from here. A technician reaches the own van only, a client the
own sites: `own_van` turns the van that a route was asked for into the one that may be answered.
"""

from dataclasses import dataclass
from typing import Annotated, Final, NewType

from fastapi import Depends, Request

from api.problems import Problem
from api.roles import Role

OrganisationId = NewType("OrganisationId", int)

#: The first organisation, made by the first migration. It also runs the installation, and so sees
#: the rejected messages that name no known van.
DEFAULT_ORGANISATION: Final = OrganisationId(1)


@dataclass(frozen=True, slots=True)
class Who:
    """A person with a session, or a program with a token.

    Attributes:
        organisation: Whose rows there are for this asker.
        role: What the rules of `api/roles.py` are about.
        login: A person's login, or the client id of a program.
        name: To be shown.
        user_id: Of a person.
        token: What the session's cookie holds; None for a program.
        technician_id: Who drives, if a technician asks.
        vans: The codes of the vans that this technician drives, in order; empty for others.
        client_id: Whose sites, if a client asks.
        until_s: When a program's token runs out, in seconds since 1970.
    """

    organisation: OrganisationId
    role: Role
    login: str
    name: str
    user_id: int | None = None
    token: str | None = None
    technician_id: int | None = None
    vans: tuple[str, ...] = ()
    client_id: int | None = None
    until_s: int | None = None

    @property
    def account(self) -> str:
        """How whatever it does is signed: `user:LOGIN` or `machine:CLIENT`."""
        return f"{'machine' if self.user_id is None else 'user'}:{self.login}"

    def reaches(self, van: str | None) -> bool:
        """Return whether a van of the organisation may be shown."""
        return self.role != "technician" or van in self.vans


def who_asks(request: Request) -> Who:
    """Return who asks; the doorkeeper has let them in."""
    found = request.state.who
    assert isinstance(found, Who)  # noqa: S101  a rule that is not public has one
    return found


def organisation(request: Request) -> OrganisationId:
    """Return the organisation whose rows this request may see."""
    return who_asks(request).organisation


def own_van(who: Who, asked: str | None) -> str | None:
    """Return the van that may be answered for: a technician's own, whatever else is asked.

    Raises:
        Problem: It is another's van, or the technician drives none.
    """
    if who.role != "technician":
        return asked
    if asked is not None:
        if asked not in who.vans:
            raise Problem(404, "van_not_found", f"There is no van {asked!r}.")
        return asked
    if not who.vans:
        raise Problem(404, "van_not_found", "No van is yours: the base says who drives which.")
    return who.vans[0]


Asker = Annotated[Who, Depends(who_asks)]
Organisation = Annotated[OrganisationId, Depends(organisation)]
