"""The hosts of the cluster."""

from fastapi import APIRouter

from serve_app.http import JSONAnswer
from serve_app.models.common import problems
from serve_app.models.hosts import Hosts
from serve_app.services import Here

router = APIRouter(tags=["hosts"])


@router.get("/hosts", response_model=Hosts, responses=problems(503))
async def hosts(here: Here) -> JSONAnswer:
    """The hosts, what they have, and what jobs hold of it."""
    return JSONAnswer(await here.jobs.hosts())
