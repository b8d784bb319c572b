"""Who asks. There is no sign-in yet: whoever reaches the API belongs to the default organisation.

Every query takes the organisation from here, so sign-in will change this file and no other.
"""

from typing import Annotated, Final, NewType

from fastapi import Depends

OrganisationId = NewType("OrganisationId", int)

#: The first organisation, made by the first migration. It also runs the installation, and so sees
#: the rejected messages that name no known van.
DEFAULT_ORGANISATION: Final = OrganisationId(1)


def organisation() -> OrganisationId:
    """Return the organisation whose rows this request may see."""
    return DEFAULT_ORGANISATION


Organisation = Annotated[OrganisationId, Depends(organisation)]
