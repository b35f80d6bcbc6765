"""Deploys the application to a running Ray, as `serve deploy` does, and waits until it runs."""

import time
from dataclasses import dataclass
from typing import Any

import requests
import yaml

from scripts.stack.plan import PROJECT, Plan, authorization
from workers.common.clock import Deadline
from workers.common.version import VERSION_VARIABLE, fingerprint

#: A cold first deployment takes about 30 s on two cores, and more on a busy machine.
_DEPLOY_DEADLINE = 300.0
#: Serve tries for ever to start a replica whose constructor fails; a broken application shall not take that long.
_POLL = 0.25
#: How long after its deployment the application may take to find its hosts and its database.
_WELL_DEADLINE = 60.0
#: Each replica finds its hosts for itself; so many good answers in a row come from all of them.
_WELL_ANSWERS = 4


class DeployError(RuntimeError):
    """The application does not run; the message says what Serve says."""


@dataclass(frozen=True)
class ServeDeployment:
    """The application of a plan on the Ray whose dashboard is at `dashboard`."""

    plan: Plan
    dashboard: str

    def rendered(self, mongo_uri: str) -> dict[str, Any]:
        """The Serve config with this stack's port and settings.

        The code's version is among the variables, so that Serve sees a change when only the code changed.
        """
        config: dict[str, Any] = yaml.safe_load(self.plan.serve_config.read_text())
        config.setdefault("http_options", {})["port"] = self.plan.ports.api
        for application in config["applications"]:
            variables = application.setdefault("runtime_env", {}).setdefault("env_vars", {})
            variables.update({**self.plan.public_settings(mongo_uri), VERSION_VARIABLE: fingerprint(PROJECT)})
        return config

    def deploy(self, config: dict[str, Any]) -> None:
        """Hand the config over and wait until every application runs and the API answers. Raises DeployError."""
        deadline = Deadline(_DEPLOY_DEADLINE)
        self._put(config, deadline)
        wanted = {application["name"] for application in config["applications"]}
        while True:
            applications = self.applications()
            running = {name for name, details in applications.items() if details["status"] == "RUNNING"}
            if wanted <= running and self.answers():
                return
            failed = [name for name in wanted if applications.get(name, {}).get("status") == "DEPLOY_FAILED"]
            if failed:
                raise DeployError(f"The application {failed[0]} can't be deployed: {_reason(applications[failed[0]])}")
            if deadline.passed():
                states = {name: _reason(details) for name, details in applications.items()}
                raise DeployError(f"The application did not run within {deadline.seconds:.0f} s: {states}")
            time.sleep(_POLL)

    def applications(self) -> dict[str, Any]:
        """What Serve knows of each application, by name; empty while Ray or Serve does not answer."""
        try:
            answer = requests.get(self._url, headers=authorization(), timeout=30)
            answer.raise_for_status()
        except requests.RequestException:
            return {}  # under load the dashboard answers late or with 500: the caller asks again
        applications: dict[str, Any] = answer.json()["applications"]
        return applications

    def answers(self) -> bool:
        """Whether the API says that it is well."""
        try:
            return requests.get(f"http://127.0.0.1:{self.plan.ports.api}/health", timeout=10).status_code == 200
        except requests.RequestException:
            return False

    def ailing(self) -> str:
        """What the deep health report says of the parts that are not well; empty if all are.

        A fresh stack needs a moment to find its hosts, hence the patience.
        """
        deadline = Deadline(_WELL_DEADLINE)
        well = 0
        while well < _WELL_ANSWERS:
            try:
                url = f"http://127.0.0.1:{self.plan.ports.api}/health"
                answer = requests.get(url, params={"deep": "true"}, timeout=30)
                # With tokens on, the report is for their holders: nothing is known here then.
                good = answer.status_code == 401 or (answer.status_code == 200 and answer.json()["hosts"])
                report = answer.text
            except requests.RequestException as error:
                good, report = False, str(error)
            well = well + 1 if good else 0
            if not good and deadline.passed():
                return report
            time.sleep(_POLL)
        return ""

    @property
    def _url(self) -> str:
        return f"{self.dashboard}/api/serve/applications/"

    def _put(self, config: dict[str, Any], deadline: Deadline) -> None:
        """PUT the config; what is not an error of the config (4xx) is tried again until the deadline."""
        while True:
            try:
                answer = requests.put(self._url, json=config, headers=authorization(), timeout=120)
                if answer.status_code < 400:
                    return
                problem = answer.text
                final = answer.status_code < 500
            except requests.RequestException as error:
                problem, final = str(error), False
            if final or deadline.passed():
                raise DeployError(f"Serve did not take the config {self.plan.serve_config}: {problem.strip()}")
            time.sleep(1)


def _reason(details: dict[str, Any]) -> str:
    """The status of an application and all that is said about it."""
    parts = [details["status"], details.get("message", "")]
    parts += [f"{name}: {d.get('message')}" for name, d in details.get("deployments", {}).items() if d.get("message")]
    return " ".join(filter(None, parts))
