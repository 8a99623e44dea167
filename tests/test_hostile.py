"""Bad files: each is refused in one line, in seconds, with bounded memory, and the parent lives on."""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper

from hostile import FILES, SPECIAL, bomb, good, make_special, model_bytes
from nets import node
from neural_golf.base.errors import GolfError
from neural_golf.referee import sandbox as sandbox_module
from neural_golf.referee.cli import verdict_table
from neural_golf.referee.exits import NoVerdict
from neural_golf.referee.rules import LIMITS, Limits, Refused
from neural_golf.referee.sandbox import PATIENCE, Answer, Sandbox
from neural_golf.referee.verdict import verify, verify_many

SECONDS = 10  # for one file, on a busy machine
PEAK = 1 << 20  # KiB of resident memory: 1 GiB, a third of the address space it may ask for
IMAGES = np.random.default_rng(3).integers(0, 256, (40, 1, 28, 28), np.uint8)
LABELS = np.zeros(40, np.uint8)


def said(classes: np.ndarray) -> str:
    """Classes as the child sends them."""
    return base64.b64encode(classes.astype(np.uint16).tobytes()).decode()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(IMAGES) as made:
        yield made


def judged(sandbox: Sandbox, path: Path) -> Answer:
    """The answer about a file, which must be a refusal in one line, soon, in bounded memory."""
    parent = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    answer = sandbox.judge(path)
    assert time.monotonic() - start < SECONDS
    assert answer.peak_kib < PEAK
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - parent < 100 << 10
    assert answer.refused is not None
    assert answer.refused.isascii() and answer.refused.isprintable() and len(answer.refused) < 1000
    return answer


@pytest.mark.parametrize("name", FILES)
def test_refuses_the_bad_file(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    build, reason = FILES[name]
    path = tmp_path / "bad.onnx"
    path.write_bytes(build())
    answer = judged(sandbox, path)
    assert any(part in (answer.refused or "") for part in reason.split("|")), answer.refused
    assert "the referee failed" not in (answer.refused or "")


@pytest.mark.parametrize("name", SPECIAL)
def test_refuses_what_is_no_file(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    answer = judged(sandbox, make_special(name, tmp_path))
    assert SPECIAL[name] in (answer.refused or "")


def test_a_fork_imports_nothing_more(tmp_path: Path) -> None:
    """What a fork would import, every fork would, and from a disk that its limits may not reach."""
    (tmp_path / "good.onnx").write_bytes(good())
    code = f"""
import os, sys
from neural_golf.referee import child
images = child.TestImages(child.np.zeros((2, 1, 28, 28), child.np.uint8))
before = set(sys.modules)
answer = child.judge(os.open({str(tmp_path / "good.onnx")!r}, os.O_RDONLY), images, child.Limits())
assert "classes" in answer, answer
sys.exit(f"imported: {{sorted(set(sys.modules) - before)}}" if set(sys.modules) - before else 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_accepts_a_good_file_after_all_that(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "good.onnx").write_bytes(good())
    assert sandbox.judge(tmp_path / "good.onnx").refused is None


def test_a_file_at_the_size_limit_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    path = tmp_path / "good.onnx"
    path.write_bytes(good())
    size = path.stat().st_size
    assert verify(path, IMAGES, LABELS, limits=Limits(file_bytes=size)).verdict == "PASS"
    assert (
        f"the limit is {size - 1}" in verify(path, IMAGES, LABELS, limits=Limits(file_bytes=size - 1)).reason
    )


# The limits of the child


def slow() -> bytes:
    """Allowed operators, small memory, and 9e8 multiply-adds per node and image."""
    body = [
        node("Tile", "x times", "a0"),
        *[node("Conv", f"a{i} k", f"a{i + 1}", auto_pad="SAME_UPPER") for i in range(60)],
        node("Identity", "a60", "g"),
    ]
    made = bomb(*body, times=[1, 1, 72, 72])
    made.graph.initializer.append(numpy_helper.from_array(np.full((1, 1, 15, 15), 1 / 225, np.float32), "k"))
    data: bytes = made.SerializeToString()
    return data


def test_processor_time_is_limited(tmp_path: Path) -> None:
    (tmp_path / "slow.onnx").write_bytes(slow())
    found = verify(tmp_path / "slow.onnx", IMAGES, LABELS, limits=Limits(cpu_seconds=1))
    assert found.reason == "it needs more than 1 seconds of processor time"
    assert found.verdict == "REFUSED"


# No verdict: what says something of this machine says nothing of the file


def test_who_waits_too_long_has_no_verdict_and_the_next_file_is_judged(tmp_path: Path) -> None:
    (tmp_path / "slow.onnx").write_bytes(slow())
    (tmp_path / "good.onnx").write_bytes(good())
    with Sandbox(IMAGES, patience=0.2) as made:
        assert made.judge(tmp_path / "good.onnx").refused is None
        first = made._process
        with pytest.raises(NoVerdict) as caught:
            made.judge(tmp_path / "slow.onnx")
        said = "in 4 seconds the file did not get its 20 seconds of processor time; this machine is too busy"
        assert str(caught.value) == f"verify: no verdict: {said}"
        assert first is not None and first.returncode == -signal.SIGKILL
        assert made.judge(tmp_path / "good.onnx").refused is None


def test_the_load_of_the_machine_does_not_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that gets a tenth of a processor, as on a machine that is busy, has the verdict of an idle one."""
    (tmp_path / "slow.onnx").write_bytes(slow())
    assert PATIENCE * LIMITS.cpu_seconds >= 600
    with Sandbox(IMAGES, Limits(cpu_seconds=1)) as made:
        answers = []
        judging = threading.Thread(target=lambda: answers.append(made.judge(tmp_path / "slow.onnx")))
        judging.start()
        begin = time.monotonic()
        while judging.is_alive() and time.monotonic() - begin < 60:
            for pid in tree(made._process.pid) if made._process else []:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
                    time.sleep(0.09)
                    os.kill(pid, signal.SIGCONT)
            time.sleep(0.01)
        judging.join()
    assert [answer.refused for answer in answers] == ["it needs more than 1 seconds of processor time"]


# A test that runs in the background or under nohup has been told to ignore two signals.
HEARD = (
    "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL); "
    "signal.signal(signal.SIGINT, signal.default_int_handler)"
)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_child_that_is_killed_from_outside_gives_no_verdict(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by the system where memory is short. A file that has used up its processor time is refused all the same."""
    (tmp_path / "good.onnx").write_bytes(good())
    kill = f"child.os.kill(child.os.getpid(), {int(number)})"
    dies = sandbox_module._BOOT.replace(
        "child.main(",
        f"{HEARD}\nchild.judge = lambda *_: [{kill}, signal.pause()]\nchild.main(",
    )
    monkeypatch.setattr(sandbox_module, "_BOOT", dies)
    with pytest.raises(NoVerdict, match=rf"the child process was ended from outside \({number.name}\)"):
        verify(tmp_path / "good.onnx", IMAGES, LABELS)


def test_a_kill_by_the_limit_of_processor_time_is_a_refusal() -> None:
    for seconds, kind in ((0.5, NoVerdict), (20.0, Refused)):
        assert type(sandbox_module._signalled(signal.SIGKILL, seconds, Limits())) is kind


def test_a_sandbox_that_is_ended_gives_no_verdict(tmp_path: Path) -> None:
    (tmp_path / "slow.onnx").write_bytes(slow())
    (tmp_path / "good.onnx").write_bytes(good())
    with Sandbox(IMAGES) as made:
        assert made.judge(tmp_path / "good.onnx").refused is None  # it has started, however long that took
        killer = threading.Timer(1, made.kill)
        killer.start()
        with pytest.raises(NoVerdict, match=r"ended from outside|Connection reset"):
            made.judge(tmp_path / "slow.onnx")
        killer.join()


def test_a_machine_that_has_nothing_left_gives_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "good.onnx").write_bytes(good())

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for what in ("tempfile.TemporaryFile", "subprocess.Popen", "os.pipe", "os.open"):
        with monkeypatch.context() as patch:
            patch.setattr(f"{sandbox_module.__name__}.{what}", full)
            with pytest.raises(NoVerdict, match=r"no verdict: .*No space left on device"):
                verify(tmp_path / "good.onnx", IMAGES, LABELS)


def test_one_file_without_a_verdict_and_no_file_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nobody waits for the files that are still at work."""
    (tmp_path / "slow.onnx").write_bytes(slow())
    (tmp_path / "odd.onnx").write_bytes(b"odd")
    judge = Sandbox.judge

    def sometimes(self: Sandbox, path: Path, probes: bool = True) -> Answer:
        if path.stem == "odd":
            time.sleep(1)
            raise NoVerdict("no verdict")
        return judge(self, path, probes)

    monkeypatch.setattr(Sandbox, "judge", sometimes)
    begin = time.monotonic()
    with pytest.raises(NoVerdict):
        verify_many([tmp_path / "odd.onnx", *[tmp_path / "slow.onnx"] * 3], IMAGES, LABELS, jobs=2)
    assert time.monotonic() - begin < 10  # the slow ones alone take 20 and more


# Nothing outlives the parent

JUDGES = f"""
{HEARD}
import sys, numpy as np
from neural_golf.referee.verdict import verify_many
print(0, flush=True)
verify_many(sys.argv[1:], np.zeros((40, 1, 28, 28), np.uint8), np.zeros(40, np.uint8), jobs=2)
"""


def children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in task.read_text().split()]
    return found


def tree(pid: int) -> list[int]:
    """A process and all that come from it."""
    return [pid, *(below for child in children(pid) for below in tree(child))]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("when", ["at work", "at the start"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_judge_and_its_children(number: signal.Signals, when: str, tmp_path: Path) -> None:
    (tmp_path / "slow.onnx").write_bytes(slow())
    command = [sys.executable, "-c", JUDGES, *[str(tmp_path / "slow.onnx")] * 2]
    judge = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert judge.stdout is not None and judge.stdout.readline() == b"0\n"
    begin = time.monotonic()
    wanted = 5 if when == "at work" else 2  # the judge, two children, and their two forks
    while len(tree(judge.pid)) < wanted:
        assert time.monotonic() - begin < 30
        time.sleep(0.01)
    everything = tree(judge.pid)
    judge.send_signal(number)
    assert judge.wait(10) in (-number, 1)  # 1: KeyboardInterrupt is shown
    begin = time.monotonic()
    while any(map(alive, everything)):
        assert time.monotonic() - begin < 5, "something is left that has seconds to compute"
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("lost", ["the socket", "the signal"])
def test_either_of_the_two_lifelines_is_enough(lost: str, tmp_path: Path) -> None:
    """Without the parent-death signal, as on other systems; or with a child that cannot listen."""
    (tmp_path / "slow.onnx").write_bytes(slow())
    cut = "sandbox._BOOT = sandbox._BOOT.replace('die_with(ask', 'from neural_golf.referee import lifeline; {}; die_with(ask')"
    how = {
        "the signal": "lifeline._PARENT_DEATH_SIGNAL = 0",
        "the socket": "lifeline.Forks.wait = lambda self, pid: lifeline.os.wait4(pid, 0)[1:]",
    }[lost]
    code = f"from neural_golf.referee import sandbox\n{cut.format(how)}\n{JUDGES}"
    judge = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "slow.onnx")], stdout=subprocess.PIPE
    )
    assert judge.stdout is not None and judge.stdout.readline() == b"0\n"
    begin = time.monotonic()
    while len(tree(judge.pid)) < 3:
        assert time.monotonic() - begin < 30
        time.sleep(0.01)
    everything = tree(judge.pid)
    judge.kill()
    judge.wait()
    begin = time.monotonic()
    while any(map(alive, everything)):
        assert time.monotonic() - begin < 5
        time.sleep(0.01)


def test_a_process_whose_parent_is_gone_already_ends_at_once() -> None:
    code = "from neural_golf.referee.lifeline import die_with; die_with(1); print('still here')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (1, "")


def test_memory_is_limited(tmp_path: Path) -> None:
    """250 MB of pixels: within the default limit, over a small one."""
    data = model_bytes(lambda: bomb(node("Tile", "x times", "g"), times=[1, 1, 280, 280]))()
    (tmp_path / "big.onnx").write_bytes(data)
    with Sandbox(IMAGES[:1], Limits(memory_bytes=400 << 20)) as made:
        answer = made.judge(tmp_path / "big.onnx")
    assert "bad_alloc" in str(answer.refused) or "memory" in str(answer.refused)
    assert answer.peak_kib < 400 << 10
    with Sandbox(IMAGES[:1]) as made:
        assert made.judge(tmp_path / "big.onnx").refused is None


IN_CHILD = """
import json, os, resource, sys
sys.path[:0] = json.loads(sys.argv[1])
from neural_golf.referee import child
from neural_golf.referee.rules import LIMITS
missing = child.limit(LIMITS)
names = ["AS", "CPU", "FSIZE", "NOFILE", "CORE", "NPROC"]
print(json.dumps({
    "missing": missing,
    "limits": {n: resource.getrlimit(getattr(resource, "RLIMIT_" + n)) for n in names},
}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="these are Linux's limits")
def test_the_limits_are_really_set() -> None:
    asked = [sys.executable, "-I", "-S", "-c", IN_CHILD, json.dumps(sandbox_module._import_roots())]
    found = json.loads(subprocess.run(asked, check=True, capture_output=True).stdout)
    assert found == {
        "missing": [],
        "limits": {
            "AS": [3 << 30, 3 << 30],
            "CPU": [20, 21],
            "FSIZE": [0, 0],
            "NOFILE": [64, 64],
            "CORE": [0, 0],
            "NPROC": [0, 0],
        },
    }


def test_a_system_without_the_limits_says_which_protection_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from neural_golf.referee import child

    monkeypatch.setattr(child.sys, "platform", "darwin")
    monkeypatch.setattr(child.resource, "setrlimit", lambda *_: None)
    monkeypatch.delattr(child.resource, "RLIMIT_NPROC")
    assert child.limit(Limits()) == ["RLIMIT_AS", "RLIMIT_NPROC"]
    assert child.isolate() == ["network"]

    monkeypatch.setattr(Sandbox, "judge", lambda *_: Answer(refused="x", missing=["RLIMIT_AS"]))
    found = verify(tmp_path, IMAGES, LABELS)
    assert found.missing == ("RLIMIT_AS",)
    assert "not protected  RLIMIT_AS" in verdict_table(found)


def test_a_system_that_cannot_fork_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(os, "fork")
    with pytest.raises(GolfError, match="cannot fork"):
        verify(tmp_path, IMAGES, LABELS)


def test_the_child_starts_without_environment_folder_or_extra_descriptors(tmp_path: Path) -> None:
    (tmp_path / "good.onnx").write_bytes(good())
    leak = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(leak, True)
    try:
        with Sandbox(IMAGES) as made:
            made.judge(tmp_path / "good.onnx")
            assert made._process is not None
            process = Path(f"/proc/{made._process.pid}")
            if not process.exists():
                pytest.skip("needs /proc")
            assert (process / "environ").read_bytes() == b""
            assert str((process / "cwd").readlink()).endswith(" (deleted)")
            assert len(list((process / "task").iterdir())) == 1  # no threads beside a fork
            held = {str(entry.readlink()) for entry in (process / "fd").iterdir()}
            kinds = {name.split(":")[0] if ":" in name else name for name in held}
            assert kinds <= {"/dev/null", "pipe", "socket"} | {n for n in kinds if "(deleted)" in n}
            assert len(list((process / "fd").iterdir())) <= 6
    finally:
        os.close(leak)


def test_the_child_finds_the_package_in_an_editable_or_path_install(tmp_path: Path) -> None:
    """From another folder, with a hostile module of the same name beside the file."""
    (tmp_path / "good.onnx").write_bytes(good())
    for name in ("onnxruntime", "json", "neural_golf"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken over')")
    root = str(Path(sandbox_module.__file__).parents[2])
    code = f"""
import sys; sys.path[:] = [p for p in sys.path if p]; sys.path.insert(0, {root!r})
import numpy as np
from neural_golf.referee.verdict import verify, verify_many
print(verify("good.onnx", np.zeros((2, 1, 28, 28), np.uint8), np.zeros(2, np.uint8)).verdict)
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert run.stdout == "PASS\n", run.stderr


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"not JSON",
        b"[]",
        b'{"refused": 1}',
        b'{"refused": "two\\nlines"}',
        b'{"correct": 10000}',
        b'{"classes": "AAAA", "coarse": "AAAA"}',
        b'{"count": {"parameters": -1}}',
        b'{"drawing": ["click n0 href \\"https://example.org\\""]}',
        b'{"drawing": ["n0([\\"<script>\\"])"]}',
        b'{"drawing": ["image --> n0\\nclick n0"]}',
        *(
            json.dumps({"classes": said(LABELS), "probes": probes}).encode()
            for probes in (
                {"strange": [said(1 - LABELS)]},
                {"strange": said(1 - LABELS)},
                {"wide": [said(np.tile(LABELS, 2))]},
            )
        ),
        b"x" * (9 << 20),
    ],
    ids=lambda text: ascii(text[:40]),
)
def test_a_child_that_lies_is_refused(text: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a hostile file makes the child say, the parent validates it."""
    (tmp_path / "good.onnx").write_bytes(good())
    said = tmp_path / "said"
    said.write_bytes(text)
    lie = f"child.json.dumps = lambda *_: open({str(said)!r}).read()\nchild.main("
    assert "child.main(" in sandbox_module._BOOT
    lie = sandbox_module._BOOT.replace("child.main(", lie)
    monkeypatch.setattr(sandbox_module, "_BOOT", lie)
    found = verify(tmp_path / "good.onnx", IMAGES, LABELS)
    assert found.verdict == "REFUSED"
    assert "the child process gave an answer that" in found.reason


def test_a_child_that_dies_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "good.onnx").write_bytes(good())
    dies = sandbox_module._BOOT.replace(
        "child.main(", "child.judge = lambda *_: child.os.kill(child.os.getpid(), 11)\nchild.main("
    )
    monkeypatch.setattr(sandbox_module, "_BOOT", dies)
    found = verify(tmp_path / "good.onnx", IMAGES, LABELS)
    assert found.reason == "onnxruntime crashed on it (SIGSEGV)"


def test_a_child_that_died_between_two_files_is_started_again(tmp_path: Path) -> None:
    (tmp_path / "good.onnx").write_bytes(good())
    with Sandbox(IMAGES) as made:
        assert made.judge(tmp_path / "good.onnx").refused is None
        first = made._process
        assert first is not None
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        assert made.judge(tmp_path / "good.onnx").refused is None


def test_a_sandbox_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "good.onnx").write_bytes(good())
    monkeypatch.setattr(sandbox_module, "_BOOT", "raise SystemExit('no onnxruntime here')")
    with pytest.raises(NoVerdict, match="no verdict: the sandbox does not start: no onnxruntime here"):
        verify(tmp_path / "good.onnx", IMAGES, LABELS)


CALLS_HOME = """
import json, socket, sys
sys.path[:0] = json.loads(sys.argv[1])
from neural_golf.referee import child
address = ("127.0.0.1", int(sys.argv[2]))
socket.create_connection(address, 2).close()  # it works before
missing = child.isolate()
try:
    socket.create_connection(address, 2)
    called = True
except OSError:
    called = False
print(json.dumps([missing, called]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has network namespaces")
def test_the_child_has_no_network_or_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        roots = json.dumps(sandbox_module._import_roots())
        asked = [sys.executable, "-I", "-S", "-c", CALLS_HOME, roots, port]
        missing, called = json.loads(subprocess.run(asked, capture_output=True, check=True).stdout)
    assert called == ("network" in missing)


AS_NOBODY = """
import json, os, sys
sys.path[:0] = json.loads(sys.argv[1])
from neural_golf.referee import child
from neural_golf.referee.rules import LIMITS
descriptor = os.open(sys.argv[2], os.O_RDONLY)
images = child.TestImages(child.np.zeros((2, 1, 28, 28), child.np.uint8))
os.setgid(65534)
os.setuid(65534)
missing = child.limit(LIMITS)
try:
    os.fork()
    missing.append("it may fork")
except OSError:
    pass
print(json.dumps([missing, child.judge(descriptor, images, LIMITS)]))
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, to become another")
def test_needs_no_thread_and_no_process_of_its_own(tmp_path: Path) -> None:
    """RLIMIT_NPROC binds everybody but root, so this becomes nobody first."""
    path = tmp_path / "good.onnx"
    path.write_bytes(good())
    roots = json.dumps(sandbox_module._import_roots())
    asked = [sys.executable, "-I", "-S", "-c", AS_NOBODY, roots, str(path)]
    run = subprocess.run(asked, capture_output=True, text=True, check=True)
    missing, answer = json.loads(run.stdout)
    assert missing == []
    assert "refused" not in answer and answer["classes"]


def descriptors() -> set[str]:
    folder = Path("/proc/self/fd")
    return {entry.name for entry in folder.iterdir()} if folder.exists() else set()


def test_leaves_no_child_no_descriptor_and_no_file_behind(tmp_path: Path) -> None:
    (tmp_path / "good.onnx").write_bytes(good())
    (tmp_path / "bad.onnx").write_bytes(b"bad")
    before = descriptors()
    with Sandbox(IMAGES) as made:
        for name in ("good.onnx", "bad.onnx", "absent.onnx"):
            made.judge(tmp_path / name)
        process = made._process
    assert descriptors() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.onnx", "good.onnx"]
    assert process is not None and process.returncode is not None
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
