"""The run as MLflow shows it: parameters, metrics of each episode, KPIs, and a tag with the job's id.

Spoken is MLflow's REST API (https://mlflow.org/docs/latest/rest-api.html), in a thread of its own: a server that is
away, slow or broken neither fails the simulation nor holds it up. Trouble is logged once.

Variables: `MLFLOW_TRACKING_URI` (none: no tracking), `MLFLOW_UI_BASE_URL` (where people see it; the tracking URI unless
given), `MLFLOW_TRACKING_TOKEN` or `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`, `OPEVA_JOB_NAME`.
"""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, Literal

from opeva_simulator import __version__, job_info
from opeva_simulator.config import Experiment
from opeva_simulator.job_folder import JobFolder, finite
from opeva_simulator.logs import log

if TYPE_CHECKING:
    import requests

Status = Literal["FINISHED", "FAILED", "KILLED"]

#: One call: to connect, and to be answered, seconds.
_CALL_S: Final = (3.0, 10.0)
#: A server that does not answer is asked again after so long, seconds.
_AGAIN_S: Final = 30.0
#: The end of a run waits so long for what is still to be sent to a server that answers, seconds.
_LAST_S: Final = 10.0
#: A first answer that is still out at the end is given so long from the start of the run, seconds.
_FIRST_S: Final = 5.0
#: MLflow's own limits of one batch, and of a text.
_BATCH_METRICS: Final = 1000
_BATCH_PARAMS: Final = 100
_TEXT: Final = 500
#: What MLflow takes in the name of a metric or parameter.
_NOT_IN_NAMES: Final = re.compile(r"[^\w\-. /]")


class _RefusedError(Exception):
    """The server answered with an error; asking again would not help."""


class Tracker:
    """Reports one run. Its methods return at once, `end` apart."""

    def __init__(self, experiment: Experiment, folder: JobFolder, job_id: str, environment: Mapping[str, str]) -> None:
        self._experiment = experiment
        self._folder = folder
        self._job_id = job_id
        self._environment = environment
        self._uri = environment.get("MLFLOW_TRACKING_URI", "").rstrip("/")
        self._began = time.monotonic()
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._run_id = ""
        #: The server answered, or it is known that it doesn't.
        self._settled = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._report, name="mlflow", daemon=True)
        for batch in _batches(_pairs(_parameters(experiment)), _BATCH_PARAMS):
            self._work.put(partial(self._log, params=batch))
        if self._uri.startswith(("http://", "https://")):
            self._thread.start()
        elif self._uri:
            log.warning("MLflow is reached by http or https only, not by %s: the run is not tracked", self._uri)

    def episode(self, number: int, metrics: Mapping[str, float]) -> None:
        """Report metrics of an episode, counted from 1."""
        self._metrics({f"episode/{name}": value for name, value in metrics.items()}, number)

    def kpis(self, kpis: Mapping[str, Mapping[str, float | None]]) -> None:
        """Report the KPIs as `kpi/<District or building>/<kpi>`; undefined ones are left out."""
        named = {f"kpi/{name}/{kpi}": value for name, values in kpis.items() for kpi, value in values.items()}
        self._metrics({name: value for name, value in named.items() if value is not None}, 0)

    def end(self, status: Status) -> None:
        """Report the end and wait, for a short time, until a server that answers has taken everything."""
        if not self._thread.is_alive():
            return
        ended = _now_ms()
        self._work.put(lambda: self._close(status, ended))
        self._work.put(None)
        self._ending.set()
        self._settled.wait(max(0.0, self._began + _FIRST_S - time.monotonic()))
        if self._run_id:
            self._thread.join(_LAST_S)

    def _close(self, status: Status, ended: int) -> None:
        self._send("runs/update", run_id=self._run_id, status=status, end_time=ended)

    def _metrics(self, values: Mapping[str, float], step: int) -> None:
        at = _now_ms()
        rows = [
            {"key": _name(name), "value": number, "timestamp": at, "step": step}
            for name, value in values.items()
            if (number := finite(value)) is not None
        ]
        for batch in _batches(rows, _BATCH_METRICS):
            self._work.put(partial(self._log, metrics=batch))

    def _log(self, **rows: Any) -> None:
        self._send("runs/log-batch", run_id=self._run_id, **rows)

    # --- in the thread -----------------------------------------------------------------------------------------------

    def _report(self) -> None:
        """Make the run, then send what there is to send until the end."""
        try:
            self._session = _session(self._environment)
            while not self._begun():
                # A server that is away at the end of the run has missed it.
                if self._ending.wait(_AGAIN_S):
                    return
            while (work := self._work.get()) is not None:
                self._done(work)
        except Exception as error:
            # Whatever goes wrong in here is not the simulation's affair.
            log.warning("The run is not tracked any more: %s", _sentence(error))
        finally:
            self._settled.set()

    def _begun(self) -> bool:
        try:
            self._begin()
        except _transient() as error:
            if not self._settled.is_set():
                log.warning("MLflow at %s does not answer, the run goes on without it: %s", self._uri, _sentence(error))
            self._settled.set()
            return False
        self._settled.set()
        return True

    def _done(self, work: Callable[[], None]) -> None:
        """Do the work; where the server is away for a moment, again until the run has ended."""
        while True:
            try:
                work()
            except _transient() as error:
                log.warning("MLflow at %s does not answer any more: %s", self._uri, _sentence(error))
                if self._ending.wait(_AGAIN_S):
                    raise
            except _RefusedError as error:
                log.warning("%s", _sentence(error))
                return
            else:
                return

    def _begin(self) -> None:
        experiment_id = self._experiment_id()
        names = {"opeva.job_id": self._job_id, "opeva.job_name": self._environment.get("OPEVA_JOB_NAME", "")}
        tags = {**names, "opeva.simulator": __version__, "mlflow.source.name": "opeva_simulator"}
        answer = self._send(
            "runs/create",
            experiment_id=experiment_id,
            run_name=self._experiment.run_name,
            start_time=_now_ms(),
            tags=_pairs(tags),
        )
        run_id = str(answer["run"]["info"]["run_id"])
        shown = (self._environment.get("MLFLOW_UI_BASE_URL") or self._uri).rstrip("/")
        url = f"{shown}/#/experiments/{experiment_id}/runs/{run_id}"
        job_info.add(
            self._folder,
            mlflow_run_id=run_id,
            mlflow_experiment_id=experiment_id,
            mlflow_uri=self._uri,
            mlflow_run_url=url,
        )
        log.info("MLflow run %s: %s", run_id, url)
        self._run_id = run_id

    def _experiment_id(self) -> str:
        name = self._experiment.name
        try:
            return str(self._send("experiments/create", name=name)["experiment_id"])
        except _RefusedError as error:
            if "RESOURCE_ALREADY_EXISTS" not in str(error):
                raise
        found = self._send("experiments/get-by-name", "GET", experiment_name=name)
        return str(found["experiment"]["experiment_id"])

    def _send(self, path: str, method: str = "POST", **fields: Any) -> dict[str, Any]:
        """One call of the API. Raises _RefusedError, or what `_transient` names."""
        url = f"{self._uri}/api/2.0/mlflow/{path}"
        if method == "GET":
            answer = self._session.get(url, timeout=_CALL_S, params=fields)
        else:
            answer = self._session.post(url, timeout=_CALL_S, json=fields)
        if answer.status_code >= 500:
            answer.raise_for_status()
        if answer.status_code >= 400:
            raise _RefusedError(f"MLflow at {self._uri} refused {path} ({answer.status_code}): {answer.text[:_TEXT]}")
        content: dict[str, Any] = answer.json()
        return content


def _session(environment: Mapping[str, str]) -> requests.Session:
    # Here, in the thread: the import takes a moment that the simulation need not wait for.
    import requests

    session = requests.Session()
    token = environment.get("MLFLOW_TRACKING_TOKEN")
    user = environment.get("MLFLOW_TRACKING_USERNAME")
    if token:
        session.headers["Authorization"] = f"Bearer {token}"
    elif user:
        session.auth = (user, environment.get("MLFLOW_TRACKING_PASSWORD", ""))
    return session


def _transient() -> type[Exception]:
    """What is worth another try."""
    import requests

    return requests.RequestException


def _parameters(experiment: Experiment) -> dict[str, Any]:
    wanted = {
        "algorithm": experiment.algorithm,
        "dataset": PurePath(experiment.dataset).name,
        "episodes": experiment.episodes,
        "seed": experiment.seed,
        "central_agent": experiment.central_agent,
        "start_step": experiment.start_step,
        "end_step": experiment.end_step,
        "episode_steps": experiment.episode_steps,
        **{f"hyperparameters.{name}": value for name, value in experiment.hyperparameters.items()},
    }
    return {name: value for name, value in wanted.items() if value is not None}


def _pairs(values: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"key": _name(name), "value": str(value)[:_TEXT]} for name, value in values.items() if value != ""]


def _name(name: str) -> str:
    return _NOT_IN_NAMES.sub("_", name)[:250]


def _batches(rows: list[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    left = iter(rows)
    while batch := list(islice(left, size)):
        yield batch


def _now_ms() -> int:
    return int(time.time() * 1000)


def _sentence(error: Exception) -> str:
    return str(error).split("\n", 1)[0][:_TEXT]
