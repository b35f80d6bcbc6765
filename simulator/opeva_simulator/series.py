"""Time series of a run: CityLearn's own exports, a CSV for each building, battery, charger and car of each episode."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opeva_simulator.job_folder import JobFolder


def session_folder(folder: JobFolder) -> Path:
    """The folder of a session that starts now; its name sorts by time."""
    return folder.simulation_data / datetime.now(UTC).strftime("%Y-%m-%d_%H-%M-%S")


def environment_arguments(session: Path, export: bool) -> dict[str, Any]:
    """What makes CityLearn write into `session` at the end of each episode, or nothing at all."""
    return {
        "render_mode": "end" if export else "none",
        "render_directory": str(session.parent),
        "render_session_name": session.name,
        "export_kpis_on_episode_end": False,
        "export_only_final_episode": False,
    }


def schema_overrides() -> dict[str, Any]:
    """A schema's own rendering keys would win over the arguments: they are the run's to decide."""
    keys = ("render", "render_mode", "render_session_name", "export_kpis_on_episode_end", "export_only_final_episode")
    return dict.fromkeys(keys)
