"""The statuses of builds as files beside the datasets, so that they can be asked for after a build's process ended."""

import json
import logging
from pathlib import Path
from typing import Any, Final, cast

from workers.common.errors import ErrorCode
from workers.common.files import write_atomic
from workers.common.layout import Layout
from workers.datasets.builds.build import ENDED, FAILED, BuildStatus

logger = logging.getLogger(__name__)

_FOLDER: Final = "build-status"


class StatusFiles:
    """One file for each dataset's latest build."""

    def __init__(self, layout: Layout) -> None:
        self._folder = layout.private / _FOLDER

    def store(self, status: BuildStatus) -> None:
        """Store a build's status; the build goes on if that fails."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomic(self._path(status["name"]), json.dumps(status).encode())
        except OSError as error:
            logger.warning("The status of the build %s can't be stored: %s", status["name"], error)

    def stored(self, name: str) -> BuildStatus | None:
        """The status of the latest build of a dataset; None where none is stored, or it can't be read."""
        try:
            content: Any = json.loads(self._path(name).read_bytes())
        except (OSError, ValueError):
            # There is none, or it was torn: as good as none.
            return None
        if not isinstance(content, dict) or not content.keys() >= BuildStatus.__required_keys__:
            return None
        # Only `store` writes these files.
        return cast(BuildStatus, content)

    def end_interrupted(self) -> None:
        """Let all builds that a process left behind have failed. Raises OSError."""
        for path in self._folder.glob("*.json"):
            status = self.stored(path.stem)
            if status is not None and status["status"] not in ENDED:
                status["status"] = status["stage"] = FAILED
                status["error"] = "The build was interrupted: the process that ran it ended"
                status["code"] = ErrorCode.BUILD_INTERRUPTED.value
                self.store(status)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"
