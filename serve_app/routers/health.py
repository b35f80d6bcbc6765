"""Whether the service lives, and whether what it stands on does."""

from fastapi import APIRouter

from serve_app.http import JSONAnswer

router = APIRouter(tags=["health"])


@router.get("/health")
async def health() -> JSONAnswer:
    """Answers as long as this replica lives."""
    return JSONAnswer({"status": "ok"})
