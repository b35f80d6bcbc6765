"""Where everything lies under the shared root: each path is made here and nowhere else."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """The folders and files of one installation. `root` is the shared folder (default `/opt/opeva_shared_data`)."""

    root: Path

    @property
    def configs(self) -> Path:
        return self.root / "configs"

    @property
    def datasets(self) -> Path:
        return self.root / "datasets"

    @property
    def jobs(self) -> Path:
        return self.root / "jobs"

    @property
    def job_track(self) -> Path:
        return self.root / "job_track.json"

    @property
    def private(self) -> Path:
        """Ours alone: never visible in a container."""
        return self.root / ".opeva"

    @property
    def cluster_id(self) -> Path:
        return self.private / "cluster_id"

    @property
    def records(self) -> Path:
        return self.private / "jobs"

    @property
    def sweep_log(self) -> Path:
        """What was swept, when and why."""
        return self.private / "sweep.log"

    @property
    def secrets(self) -> Path:
        return self.private / "secrets"

    def config(self, file_name: str) -> Path:
        return self.configs / file_name

    def dataset(self, name: str) -> Path:
        return self.datasets / name

    def job(self, job_id: str) -> Path:
        return self.jobs / job_id

    def job_info(self, job_id: str) -> Path:
        return self.job(job_id) / "job_info.json"

    def job_config(self, job_id: str) -> Path:
        """The copy of the snapshot that the container reads."""
        return self.job(job_id) / "config.yaml"

    def logs(self, job_id: str) -> Path:
        return self.job(job_id) / "logs"

    def container_log(self, job_id: str) -> Path:
        """The container's stdout and stderr."""
        return self.logs(job_id) / "container.log"

    def simulation_log(self, job_id: str) -> Path:
        """The simulation's own log file."""
        return self.logs(job_id) / f"{job_id}.log"

    def progress(self, job_id: str) -> Path:
        return self.job(job_id) / "progress" / "progress.json"

    def results(self, job_id: str) -> Path:
        return self.job(job_id) / "results"

    def result(self, job_id: str) -> Path:
        return self.results(job_id) / "result.json"

    def simulation_data(self, job_id: str) -> Path:
        return self.results(job_id) / "simulation_data"

    def record_folder(self, job_id: str) -> Path:
        return self.records / job_id

    def record(self, job_id: str) -> Path:
        """The job's durable record."""
        return self.record_folder(job_id) / "record.json"

    def snapshot(self, job_id: str) -> Path:
        """The config that runs, beside the record."""
        return self.record_folder(job_id) / "config.yaml"
