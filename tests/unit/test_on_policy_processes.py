"""An on-policy training in two processes that is killed again and again ends as one that is not."""

import json
import os
import socket
import subprocess
import sys
import traceback
from dataclasses import asdict, replace
from pathlib import Path

import killed_training
import pytest
from tiny_training import SETTINGS, gone_on_from, pairs

from entrench import records

TESTS = Path(__file__).parents[1]
SCRIPTS = TESTS.parent / "workflow" / "scripts"
# With dropout each process draws random numbers of its own, and a checkpoint has to keep both.
TRAINING = replace(SETTINGS, batch_size=4, max_steps=6, max_length=64, dropout=0.2)
OPCT = {"operator": "opct", "prompts_per_step": 4, "rollouts": 2, "temperature": 1.0}
OPCT |= {"max_new_tokens": 5, "sampler_lag": 1}

pytestmark = pytest.mark.usefixtures("one_thread")


def by_torchrun(arguments, killed, log):
    """The exit code of the command of a job: its processes import their libraries anew."""
    environment = os.environ | killed
    environment |= {"PYTHONPATH": f"{SCRIPTS}:{TESTS}", "OMP_NUM_THREADS": "1"}
    with log.open("w") as said:
        script = [sys.executable, TESTS / "killed_training.py", *arguments]
        return subprocess.run(
            script, env=environment, timeout=300, stdout=said, stderr=subprocess.STDOUT
        ).returncode


def forked(arguments, killed, log):
    """The same by copies of this process, which need not import; 0, or how the first one failed."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        group = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(free.getsockname()[1])}
    group |= {"WORLD_SIZE": "2"} | killed
    children = []
    for rank in ("0", "1"):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with log.open("a") as said:
                    os.dup2(said.fileno(), 1)
                    os.dup2(said.fileno(), 2)
                sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
                os.environ |= group | {"RANK": rank, "LOCAL_RANK": rank}
                killed_training.main(arguments)
                status = 0
            except Exception:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        children.append(child)
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    return next(filter(None, ends), 0)


@pytest.fixture(params=[forked, pytest.param(by_torchrun, marks=pytest.mark.release)])
def train(request, model, organism, tmp_path):
    """Runs one command in two processes, with a blow or without: exit code and what it said."""
    for name in ("clean", "wrapped"):
        rows = [
            {"id": p.id, "messages": getattr(p, name), "response": None, "meta": {}}
            for p in pairs(10)
        ]
        records.write_jsonl(tmp_path / f"{name}.jsonl", "data", rows)
    spec = {"threads": 1, "chat": "template", "revision": None, "model": model.path}
    spec |= {"training": asdict(TRAINING), "objective": OPCT}

    def run(folder, killed=None):
        folder.mkdir(exist_ok=True)
        arguments = {
            "spec": json.dumps(spec),
            "clean": tmp_path / "clean.jsonl",
            "wrapped": tmp_path / "wrapped.jsonl",
            "organism": organism,
            "adapter": folder / "adapter",
            "run": folder / "run.json",
            "rollouts": folder / "rollouts.jsonl",
            "per-device-batch": 4,
            "checkpoint-steps": 1,
            "processes": 2,
        }
        words = [word for key, value in arguments.items() for word in (f"--{key}", str(value))]
        log = tmp_path / f"{folder.name}-{killed}.log"
        status = request.param(words, {"KILLED": killed} if killed else {}, log)
        return status, log.read_text()

    return run


def written(folder):
    """What a training leaves: its adapter and its answers as bytes, and its figures."""
    names = ("adapter/adapter_model.safetensors", "rollouts.jsonl")
    figures = records.read_json(folder / "run.json")["training"]
    return [(folder / name).read_bytes() for name in names], figures


def test_killed_between_drawing_and_update_two_processes_go_on_to_the_same_bytes(train, tmp_path):
    """Answers of two steps are drawn at once, before steps 0, 2 and 4 by the student of these."""
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    assert train(whole)[0] == 0
    reached = []
    # Step 1 finds its answers on the disk, step 2 has drawn its own and draws them again.
    for blow in ("all 1", "one 2", "told 3"):
        status, said = train(cut, blow)
        assert status != 0, said
        reached += gone_on_from(said)
        assert not (cut / "rollouts.jsonl").exists()
        assert not (cut / "adapter").exists()
    assert "stopped by SIGTERM" in said
    status, said = train(cut)
    assert status == 0, said
    assert reached + gone_on_from(said) == [1, 2, 4]
    bytes_of_cut, figures_of_cut = written(cut)
    bytes_of_whole, figures_of_whole = written(whole)
    assert figures_of_cut == figures_of_whole
    assert bytes_of_cut == bytes_of_whole
    assert sorted(path.name for path in cut.iterdir()) == ["adapter", "rollouts.jsonl", "run.json"]
