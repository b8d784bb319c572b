"""Who asks. There is no sign-in yet: whoever reaches the API belongs to the default organisation.

Every query takes the organisation from here, so sign-in will change this file and no other.
"""

from typing import Annotated, Final, NewType

from fastapi import Depends, Request

from api.problems import Problem

OrganisationId = NewType("OrganisationId", int)

#: The first organisation, made by the first migration. It also runs the installation, and so sees
#: the rejected messages that name no known van.
DEFAULT_ORGANISATION: Final = OrganisationId(1)


def organisation() -> OrganisationId:
    """Return the organisation whose rows this request may see."""
    return DEFAULT_ORGANISATION


def only_from_here(request: Request) -> None:
    """Refuse what anybody could do.

    Raises:
        Problem: Other machines may reach the API.
    """
    if not request.app.state.allow_edits:
        raise Problem(
            403,
            "no_sign_in",
            "Other machines can reach this API (CORDEE_API_ALLOW_REMOTE) and there is no sign-in "
            "yet, so anybody could do this. Do it on the server, by `cordee import` or `cordee "
            "webhook`, or unset CORDEE_API_ALLOW_REMOTE, so that the API listens on this machine "
            "only.",
        )


Organisation = Annotated[OrganisationId, Depends(organisation)]
