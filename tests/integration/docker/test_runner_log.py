"""container.log is what the container wrote, byte for byte and once, whatever happens to its runner or the storage."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.attempts import PLACE
from tests.integration.docker.installation import Installation, RunnerProcess, until
from workers.host.engine import connect
from workers.host.runner import run_attempt
from workers.outputs.logs import ContainerLog, span

_KIB = 1024


def _line(size: int) -> str:
    return f"head -c {size} /dev/zero | tr '\\0' x; echo"


@pytest.mark.parametrize(
    ("script", "written"),
    [
        pytest.param("true", b"", id="nothing"),
        pytest.param("echo last words", b"last words\n", id="instant exit"),
        pytest.param("printf 'a\\nno newline'", b"a\nno newline", id="no last newline"),
        pytest.param("printf '\\n\\na\\n\\n'", b"\n\na\n\n", id="empty lines"),
        pytest.param("printf '\\000a\\000\\n\\377\\376\\351\\n\\303'", b"\0a\0\n\xff\xfe\xe9\n\xc3", id="not text"),
        pytest.param("printf 'a\\r\\nb\\rc\\n'", b"a\r\nb\rc\n", id="carriage returns"),
        *(
            pytest.param(f"{_line(size)}; echo end", b"x" * size + b"\nend\n", id=f"line of {size}")
            for size in (16 * _KIB - 1, 16 * _KIB, 16 * _KIB + 1, 100 * _KIB, _KIB * _KIB)
        ),
        pytest.param(_line(100 * _KIB), b"x" * 100 * _KIB + b"\n", id="a long line last"),
        pytest.param("head -c 32768 /dev/zero", b"\0" * 32768, id="a long line without newline"),
        pytest.param("seq 1 100000", b"".join(b"%d\n" % n for n in range(1, 100_001)), id="burst"),
    ],
)
def test_the_log_is_what_was_written(installation: Installation, script: str, written: bytes) -> None:
    spec = installation.spec(script)
    exited = installation.run(spec)[-1]
    assert installation.log(spec) == written
    assert (exited["log_bytes"], exited["log_complete"]) == (len(written), True)


def test_both_streams_are_there_each_in_its_order(installation: Installation) -> None:
    spec = installation.spec("for n in $(seq 1 500); do echo out $n; echo err $n >&2; done")
    installation.run(spec)
    lines = installation.log(spec).splitlines()
    for stream in (b"out", b"err"):
        assert [line for line in lines if line.startswith(stream)] == [b"%s %d" % (stream, n) for n in range(1, 501)]


def test_what_a_stopped_container_says_last_is_there(installation: Installation) -> None:
    spec = installation.spec("trap 'seq 1 1000; exit 0' TERM; echo ready; while true; do sleep 0.1; done")
    attempt = run_attempt(spec, lambda: True, PLACE)
    container = next(event for event in attempt if event["event"] == "running")["container_id"]
    path = installation.layout.container_log(spec["job_id"])
    until(lambda: path.exists() and path.read_bytes() == b"ready\n", "the first line")
    connect(60.0).client.stop(container, timeout=60)
    assert [event["event"] for event in attempt] == ["exited"]
    assert installation.log(spec) == b"ready\n" + b"".join(b"%d\n" % n for n in range(1, 1001))


def test_the_log_grows_while_the_container_runs(installation: Installation) -> None:
    spec = installation.spec("echo first; until [ -e /data/jobs/$JOB/go ]; do sleep 0.05; done; echo second")
    spec["env"] = {"JOB": spec["job_id"]}
    runner = threading.Thread(target=installation.run, args=(spec,))
    runner.start()
    path = installation.layout.container_log(spec["job_id"])
    until(lambda: path.exists() and path.read_bytes() == b"first\n", "the first line")
    (installation.layout.job(spec["job_id"]) / "go").touch()
    runner.join()
    assert installation.log(spec) == b"first\nsecond\n"


#: Bursts with pauses between them, long lines among them, for about three seconds.
_TALKER = """
for round in $(seq 1 30); do
    seq $((round * 1000)) $((round * 1000 + 999))
    head -c 40000 /dev/zero | tr '\\0' x; echo
    echo err $round >&2
    sleep 0.1
done
printf end
"""


def _check_talk(log: bytes) -> None:
    # Docker puts a line of one stream between the parts of a long line of the other.
    assert re.findall(rb"err (\d+)\n", log) == [b"%d" % number for number in range(1, 31)]
    expected = []
    for number in range(1, 31):
        expected += [b"%d\n" % n for n in range(number * 1000, number * 1000 + 1000)]
        expected.append(b"x" * 40000 + b"\n")
    assert re.sub(rb"err \d+\n", b"", log) == b"".join([*expected, b"end"])


def test_killing_the_runner_again_and_again_loses_and_doubles_nothing(installation: Installation) -> None:
    spec = installation.spec(_TALKER)
    runner = RunnerProcess(spec)
    runner.wait_for("running")
    path = installation.layout.container_log(spec["job_id"])
    for size in (1, 300_000, 700_000):
        until(lambda size=size: path.exists() and path.stat().st_size >= size, f"{size} bytes of log")  # type: ignore[misc]
        runner.kill()
        runner = RunnerProcess({**spec, "mode": "adopt"})
        runner.wait_for("running")
    exited = runner.wait_for("exited")
    runner.wait()
    assert exited["exit_code"] == 0
    assert exited["log_bytes"] == len(installation.log(spec))
    _check_talk(installation.log(spec))
    assert installation.containers(spec) == []


def test_since_finds_what_was_printed_when_also_after_kills_of_the_runner(installation: Installation) -> None:
    spec = installation.spec("for n in 1 2 3 4 5; do date +%s; sleep 1.1; done; sleep 2; date +%s")
    runner = RunnerProcess(spec)
    path = installation.layout.container_log(spec["job_id"])
    for lines in (2, 4):
        until(lambda lines=lines: path.exists() and path.read_bytes().count(b"\n") >= lines, f"{lines} lines")  # type: ignore[misc]
        runner.kill()
        runner = RunnerProcess({**spec, "mode": "adopt"})
    runner.wait_for("exited")
    runner.wait()
    printed = [int(line) for line in installation.log(spec).split()]
    assert len(printed) == 6
    log = ContainerLog(installation.layout, spec["job_id"])
    for since in range(printed[0] - 1, printed[-1] + 3):
        begin, end = span(log, since=since)
        found = [int(line) for line in installation.log(spec)[begin:end].split()]
        # Docker stamps a line just after it was printed, which may be in the next second.
        assert found in ([line for line in printed if line >= since - late] for late in (0, 1))


def test_a_runner_that_was_thought_dead_spoils_nothing(installation: Installation) -> None:
    """Two runners follow one container, from different starts, to its end."""
    spec = installation.spec(_TALKER)
    first = RunnerProcess(spec)
    first.wait_for("running")
    events: list[dict[str, Any]] = installation.run({**spec, "mode": "adopt"})
    assert events[-1]["event"] in ("exited", "missing")
    first.wait()
    _check_talk(installation.log(spec))
    assert installation.containers(spec) == []


def test_a_container_that_ended_while_nobody_watched_is_concluded_with_its_whole_log(
    installation: Installation,
) -> None:
    spec = installation.spec("seq 1 5000; exit 9")
    attempt = run_attempt(spec, lambda: True, PLACE)
    next(event for event in attempt if event["event"] == "running")
    attempt.close()
    until(lambda: not installation.containers(spec)[0]["State"]["Running"], "the container's end")
    # As after a power cut: the file has its length, and zeros where its last bytes should be.
    log = installation.layout.container_log(spec["job_id"])
    log.parent.mkdir(exist_ok=True)
    log.write_bytes(b"1\n2\n3\n" + b"\0" * 100_000)
    exited = installation.run({**spec, "mode": "adopt"})[-1]
    assert exited["exit_code"] == 9
    assert installation.log(spec) == b"".join(b"%d\n" % n for n in range(1, 5001))


def test_a_simulation_that_clears_its_log_folder_does_not_lose_the_containers_log(installation: Installation) -> None:
    script = """
        echo before
        until [ -s /data/jobs/$JOB/logs/container.log ]; do sleep 0.05; done
        rm -r /data/jobs/$JOB/logs; mkdir /data/jobs/$JOB/logs
        echo after
    """
    spec = installation.spec(script)
    spec["env"] = {"JOB": spec["job_id"]}
    exited = installation.run(spec)[-1]
    assert exited["log_complete"]
    assert installation.log(spec) == b"before\nafter\n"


def test_a_link_in_place_of_the_log_is_not_written_through(installation: Installation, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    spec = installation.spec("echo words")
    logs = installation.layout.logs(spec["job_id"])
    logs.mkdir(parents=True)
    (logs / "container.log").symlink_to(outside)
    installation.run(spec)
    assert outside.read_bytes() == b"precious"
    assert installation.log(spec) == b"words\n"


@pytest.fixture
def small_storage(tmp_path: Path, installation: Installation) -> Iterator[Installation]:
    """The installation on a file system of 4 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=True, timeout=60)
    try:
        small = Installation(folder, installation.cluster_id)
        small.create()
        (folder / "wait").touch()
        yield small
    finally:
        installation.remove_containers()
        subprocess.run(["umount", "--lazy", folder], check=True, timeout=60)


def _fill(root: Path) -> Path:
    ballast = root / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 65536):
                pass
        except OSError:
            # Full, as wanted.
            pass
    return ballast


def test_on_a_full_storage_the_job_goes_on_and_its_log_is_completed_when_there_is_room(
    small_storage: Installation,
) -> None:
    spec = small_storage.spec("until [ -e /data/go ]; do sleep 0.05; done; seq 1 100000; echo done")
    attempt = run_attempt(spec, lambda: True, PLACE)
    next(event for event in attempt if event["event"] == "running")
    ballast = _fill(small_storage.root)
    # A full file system still renames.
    (small_storage.root / "wait").rename(small_storage.root / "go")
    notes = [next(event for event in attempt if event["event"] == "note")]
    assert notes[0]["reason"] == "storage_full"
    until(lambda: not small_storage.containers(spec)[0]["State"]["Running"], "the container's end")
    ballast.unlink()
    rest: list[Any] = list(attempt)
    assert [event["reason"] for event in rest if event["event"] == "note"][-1] is None
    assert (rest[-1]["event"], rest[-1]["exit_code"], rest[-1]["log_complete"]) == ("exited", 0, True)
    assert small_storage.log(spec) == b"".join(b"%d\n" % n for n in range(1, 100_001)) + b"done\n"


def test_a_log_that_finds_no_room_in_time_keeps_its_container(small_storage: Installation) -> None:
    spec = small_storage.spec("until [ -e /data/go ]; do sleep 0.05; done; seq 1 100000", log_wait_s=1.0)
    attempt = run_attempt(spec, lambda: True, PLACE)
    next(event for event in attempt if event["event"] == "running")
    ballast = _fill(small_storage.root)
    # A full file system still renames.
    (small_storage.root / "wait").rename(small_storage.root / "go")
    exited: Any = list(attempt)[-1]
    assert (exited["event"], exited["exit_code"], exited["log_complete"]) == ("exited", 0, False)
    assert len(small_storage.containers(spec)) == 1
    # With room again, whoever adopts it completes the log.
    ballast.unlink()
    again = small_storage.run({**spec, "mode": "adopt"})[-1]
    assert again["log_complete"]
    assert small_storage.log(spec) == b"".join(b"%d\n" % n for n in range(1, 100_001))


def test_storage_that_goes_away_is_waited_for(installation: Installation) -> None:
    spec = installation.spec("until [ -e /data/go ]; do sleep 0.05; done; echo words; sleep 1; echo more")
    attempt = run_attempt(spec, lambda: True, PLACE)
    next(event for event in attempt if event["event"] == "running")
    job = installation.layout.job(spec["job_id"])
    away = installation.layout.jobs / "away"
    job.rename(away)
    (installation.root / "go").touch()
    note = next(event for event in attempt if event["event"] == "note")
    assert note["reason"] == "storage_unavailable"
    away.rename(job)
    rest: list[Any] = list(attempt)
    assert rest[-1]["log_complete"]
    assert installation.log(spec) == b"words\nmore\n"
