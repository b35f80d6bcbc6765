"""The stack's parts that need no services: process trees, ports, the plan, the rendered Serve config."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from scripts.stack import Plan, Ports
from scripts.stack.plan import PROJECT
from scripts.stack.ports import BLOCK, reserved_base
from scripts.stack.processes import Kept, end_strays, start_time, strays
from scripts.stack.serve import ServeDeployment
from workers.common.clock import Deadline

#: A program that leaves its parent, its session and its environment behind, as Ray's processes do, and ignores TERM.
DAEMON = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open(sys.argv[1], "w").write(str(os.getpid()))
        time.sleep(600)
"""


def until(look: Callable[[], object], what: str) -> None:
    deadline = Deadline(30)
    while not look():
        assert not deadline.passed(), what
        time.sleep(0.02)


def daemon(pid_file: Path) -> int:
    until(lambda: pid_file.exists() and pid_file.read_text(), "the daemon did not start")
    return int(pid_file.read_text())


def gone(pid: int) -> bool:
    return start_time(pid) is None


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    tree = Kept("tree", tmp_path, f"unit-{tmp_path}")
    yield tree
    tree.stop()
    end_strays(tree.mark, tmp_path)


def start(kept: Kept, owner: int | None = None, **options: list[str]) -> int:
    """Start the daemon under a keeper; the daemon's pid."""
    pid_file = kept.folder / "daemon.pid"
    pid_file.unlink(missing_ok=True)
    kept.start([sys.executable, "-c", DAEMON, str(pid_file)], dict(os.environ), owner=owner, grace=0.2, **options)
    return daemon(pid_file)


def test_stop_ends_a_process_that_left_its_parent_and_ignores_term(kept: Kept) -> None:
    pid = start(kept)
    assert pid in kept.processes()
    kept.stop()
    assert gone(pid)
    assert not kept.alive()


def test_kill_ends_everything_at_once(kept: Kept) -> None:
    pid = start(kept)
    kept.kill()
    until(lambda: gone(pid), "the daemon survived")
    assert not kept.alive()


def test_everything_ends_when_the_owner_is_killed_and_the_last_commands_run(kept: Kept) -> None:
    with subprocess.Popen(["sleep", "600"]) as owner:
        pid = start(kept, owner=owner.pid, finally_=[f"touch {kept.folder}/swept"])
        owner.kill()
        owner.wait(30)
        until(lambda: gone(pid), "the daemon outlived its owner")
        until((kept.folder / "swept").exists, "the last command did not run")


def test_strays_of_a_killed_keeper_are_found_by_their_mark_and_ended(kept: Kept) -> None:
    pid = start(kept)
    keeper = kept.pid()
    assert keeper is not None
    os.kill(keeper, signal.SIGKILL)
    until(lambda: not kept.alive(), "the keeper survived")
    assert strays(kept.mark, kept.folder / "none") == [pid]
    end_strays(kept.mark, kept.folder / "none")
    assert gone(pid)


def test_a_pid_that_was_given_to_another_process_is_not_taken_for_ours(kept: Kept) -> None:
    (kept.folder / "tree.pid").write_text(json.dumps({"pid": os.getpid(), "started": 1}))
    assert not kept.alive()
    kept.stop()  # would end this test otherwise


def test_a_command_that_fails_ends_its_keeper(kept: Kept) -> None:
    kept.start(["sh", "-c", "echo no such thing; exit 3"], dict(os.environ))
    until(lambda: not kept.alive(), "the keeper stayed")
    assert "no such thing" in kept.log.read_text()


def test_reserved_ports_are_free_and_nobody_elses_meanwhile() -> None:
    with reserved_base() as first, reserved_base() as second:
        assert abs(first - second) >= BLOCK
        assert not Ports.of(first).busy()


def test_a_port_in_use_is_named() -> None:
    with reserved_base() as base, socket.socket() as listener:
        ports = Ports.of(base)
        listener.bind(("127.0.0.1", ports.dashboard))
        listener.listen()
        assert ports.busy() == {"dashboard": ports.dashboard}


def test_no_port_of_a_stack_is_used_twice() -> None:
    ports = vars(Ports.of(20000))
    named = [port for port in ports.values() if isinstance(port, int)]
    http, grpc = range(*ports["replicas_http"]), range(*ports["replicas_grpc"])
    assert len({*named, *http, *grpc}) == len(named) + len(http) + len(grpc)
    assert max(grpc) < 20000 + BLOCK


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"OPEVA_PORT_BASE": "many"}, "OPEVA_PORT_BASE"),
        ({"OPEVA_PORT_BASE": "80"}, "OPEVA_PORT_BASE"),
        ({"OPEVA_NUM_CPUS": "1.5"}, "OPEVA_NUM_CPUS"),
        ({"OPEVA_RUN_DIR": "/srv/data/run", "OPEVA_SHARED_ROOT": "/srv/data"}, "development database"),
        ({"OPEVA_SHARED_ROOT": "/tmp", "OPEVA_MONGO_URI": "mongodb://h/"}, "shared storage /tmp"),
    ],
)
def test_a_plan_that_can_not_be_is_refused_with_the_reason(variables: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Plan.from_environment(variables)


def test_secrets_do_not_enter_the_serve_config_that_the_dashboard_shows(tmp_path: Path) -> None:
    plan = Plan.from_environment(
        {
            "OPEVA_RUN_DIR": str(tmp_path),
            "OPEVA_MONGO_URI": "mongodb://user:hidden1@h/",
            "OPEVA_TOKENS_FILE": "/hidden2",
            "OPEVA_IMAGE": "shown",
        }
    )
    uri = plan.mongo_uri or ""
    text = json.dumps(ServeDeployment(plan, "http://localhost").rendered(uri))
    assert "shown" in text
    assert "hidden" not in text
    assert plan.environment(uri)["OPEVA_MONGO_URI"] == uri


def test_the_rendered_config_is_the_one_at_the_root_with_this_stacks_port(tmp_path: Path) -> None:
    plan = replace(Plan.from_environment({"OPEVA_RUN_DIR": str(tmp_path)}), ports=Ports.of(20000))
    given = yaml.safe_load((PROJECT / "serve_config.yaml").read_text())
    rendered = ServeDeployment(plan, "http://localhost").rendered("")
    assert rendered["http_options"] == {**given["http_options"], "port": plan.ports.api}
    variables = rendered["applications"][0].pop("runtime_env")["env_vars"]
    assert rendered["applications"] == given["applications"]
    assert variables["OPEVA_SHARED_ROOT"] == str(tmp_path / "shared")


def test_a_changed_setting_redeploys_and_a_changed_secret_restarts_ray(tmp_path: Path) -> None:
    plan = Plan.from_environment({"OPEVA_RUN_DIR": str(tmp_path)})
    other = plan.with_settings(OPEVA_IMAGE="another")
    assert ServeDeployment(plan, "").rendered("u") != ServeDeployment(other, "").rendered("u")
    assert plan.head_fingerprint("u") == other.head_fingerprint("u")
    assert plan.head_fingerprint("u") != plan.head_fingerprint("v")


def test_a_token_of_the_user_turns_token_authentication_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    plan = Plan.from_environment({"OPEVA_RUN_DIR": str(tmp_path / "run")})
    assert "RAY_AUTH_MODE" not in plan.environment("")
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("a-token\n")
    assert plan.environment("")["RAY_AUTH_MODE"] == "token"
