"""The list of files that tablets keep: no part of the API, but of the page."""

from fastapi import APIRouter, Response

from api import precache
from api.doorkeeper import JUDGED

router = APIRouter(include_in_schema=False, dependencies=JUDGED)


@router.get("/van/precache.js")
def kept_files() -> Response:
    """Return the script that the tablet's service worker imports."""
    return Response(precache.script(), media_type="text/javascript")
