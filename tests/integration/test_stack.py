"""The stack as people start, use and end it."""

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pymongo
import pytest

from scripts.harness.api import Api, listens
from scripts.stack import EmbeddedMongo, Plan, Ports, Stack, StackError
from scripts.stack.plan import PROJECT
from scripts.stack.ports import reserved_base
from scripts.stack.processes import strays


def run_stack(command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.stack", command],
        cwd=PROJECT,
        env={**os.environ, **variables},
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_everything_that_up_promises_is_well(api: Api, stack: Stack) -> None:
    report = api.json("/health", deep="true")
    assert (report["status"], report["hosts"][stack.plan.host_name]["status"]) == ("ok", "ok")
    assert stack.status() == {"ray": True, "applications": {"opeva": "RUNNING"}, "api": True, "database": True}


def test_up_with_everything_up_touches_nothing(stack: Stack) -> None:
    stack.up()  # the code may have changed since the session began
    before = stack.ray.processes()
    replicas = {pid for pid, title in before.items() if "ServeReplica" in title}
    said: list[str] = []
    stack.up(said.append)
    assert not said
    assert replicas <= stack.ray.processes().keys()


def test_the_dashboard_which_lets_anybody_run_code_is_for_this_machine_only(stack: Stack) -> None:
    assert listens("127.0.0.1", stack.plan.ports.dashboard)
    assert not listens(stack.plan.node_ip, stack.plan.ports.dashboard)


def test_no_server_of_ray_client_listens(stack: Stack) -> None:
    assert not stack.pids("ray.util.client.server")
    assert not listens(stack.plan.node_ip, stack.plan.ports.client)


def test_up_names_the_port_that_is_in_use_and_starts_nothing(tmp_path: Path) -> None:
    with reserved_base() as base, socket.socket() as other:
        other.bind(("", Ports.of(base).gcs))
        other.listen()
        outcome = run_stack("up", OPEVA_RUN_DIR=str(tmp_path), OPEVA_PORT_BASE=str(base))
    assert outcome.returncode == 1
    assert f"{Ports.of(base).gcs} (gcs)" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert not strays(Plan.from_environment({"OPEVA_RUN_DIR": str(tmp_path)}).mark, tmp_path)
    assert not (tmp_path / "shared").exists()


def test_status_of_what_does_not_run_says_so(tmp_path: Path) -> None:
    with reserved_base() as base:
        outcome = run_stack("status", OPEVA_RUN_DIR=str(tmp_path), OPEVA_PORT_BASE=str(base))
    assert outcome.returncode == 1
    assert "does not answer" in outcome.stdout


def test_down_of_what_does_not_run_is_no_error(tmp_path: Path) -> None:
    with reserved_base() as base:
        assert run_stack("down", OPEVA_RUN_DIR=str(tmp_path), OPEVA_PORT_BASE=str(base)).returncode == 0


def test_a_start_that_fails_tells_the_reason_and_leaves_nothing_running(tmp_path: Path) -> None:
    config = tmp_path / "serve_config.yaml"
    config.write_text("applications:\n  - name: opeva\n    route_prefix: /\n    import_path: no_such_module:build\n")
    with reserved_base() as base:
        given = {"OPEVA_RUN_DIR": str(tmp_path / "run"), "OPEVA_PORT_BASE": str(base), "OPEVA_NUM_CPUS": "1"}
        plan = replace(Plan.from_environment(given), serve_config=config, owner=os.getpid())
        with pytest.raises(StackError, match="no_such_module"):
            Stack(plan).up()
        assert not strays(plan.mark, plan.run_dir)
        assert not plan.ray_folder.exists()
        assert not plan.ports.busy()


def test_the_development_database_keeps_its_data_over_a_restart_and_comes_back_after_a_kill(tmp_path: Path) -> None:
    with reserved_base() as base:
        server = EmbeddedMongo(Ports.of(base).mongo, tmp_path, f"restart-{base}", owner=os.getpid())
        try:
            for number, end in enumerate((server.stop, server.kill, server.stop)):
                server.start(dict(os.environ))
                with pymongo.MongoClient[dict[str, int]](server.uri, serverSelectionTimeoutMS=30_000) as client:
                    numbers = client["site"]["building_1"]
                    # What was written just before a kill may be lost.
                    assert numbers.count_documents({}) >= min(number, 1)
                    numbers.insert_one({"number": number})
                end()
                assert not server.alive()
        finally:
            server.stop()
