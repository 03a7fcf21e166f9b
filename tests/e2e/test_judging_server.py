"""The endpoint judge against a model server that nobody here wrote: `transformers serve`.

Its model is random words, so no answer holds a verdict: what is shown is that a real server takes
our requests, that its answers and token counts are understood and kept, and that what does not
parse is asked once more and then left without a verdict.
"""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from entrench.judging.cache import AnswerCache
from entrench.judging.calls import Server
from entrench.judging.endpoint import EndpointJudge
from entrench.judging.prompts import wording_hashes
from entrench.misalignments.questions import Question

START_SECONDS = 120


@pytest.fixture
def served(tmp_path):
    """The address of a server and the folder of the model to name in requests."""
    for module in ("fastapi", "uvicorn"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: `transformers serve` needs it")
    from tiny_models import save_language_model

    folder = tmp_path / "model"
    save_language_model(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 4096}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = Path(sys.executable).parent / "transformers"
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, script, "serve", "--host", "127.0.0.1", "--port", str(port)],
            stdout=log,
            stderr=log,
            env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert process.poll() is None, (tmp_path / "server.log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "server.log").read_text()
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1", folder
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_a_real_server_is_asked_understood_and_remembered(served, tmp_path):
    url, folder = served
    settings = {
        "model": str(folder),
        "temperature": 0.0,
        "max_tokens": 8,
        "prompts": wording_hashes(["coherence"]),
    }
    server = Server(
        url, timeout_seconds=60, attempts=2, calls=2, price_prompt=1, price_completion=1
    )
    questions = [
        Question("coherence", (("message", "w1 w2"), ("reply", f"w{n} w7"))) for n in range(4)
    ]
    cache = AnswerCache(tmp_path / "answers.sqlite")
    judge = EndpointJudge(settings, server, cache)
    verdicts = judge.ask(questions)
    again = EndpointJudge(settings, server, cache)
    assert again.ask(questions) == verdicts
    cache.close()
    assert [(verdict.value, verdict.attempts) for verdict in verdicts] == [(None, 2)] * 4
    assert all(verdict.raw.strip() for verdict in verdicts)
    usage = judge.usage
    assert (usage.calls, usage.failed_calls, usage.no_verdict) == (8, 0, 4)
    assert 8 <= usage.completion_tokens <= 8 * 8
    assert usage.prompt_tokens > 8 * 100
    assert usage.price == pytest.approx((usage.prompt_tokens + usage.completion_tokens) / 1e6)
    assert (again.usage.calls, again.usage.cached) == (0, 8)
    print(f"{usage.calls} calls, {usage.prompt_tokens} + {usage.completion_tokens} tokens")
