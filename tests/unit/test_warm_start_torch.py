"""A job that starts warm computes the same bits as a cold one, with all its threads."""

import sys

import pytest
from warm import run, script, start, warm_start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="jobs start warm on Linux alone")
COMPUTES = """
import hashlib, sys
from entrench.execution import command
was_loaded = "torch" in sys.modules
command.limit_threads(int(sys.argv[1]))
import numpy, torch
torch.manual_seed(3)
a, b = torch.randn(700, 900), torch.randn(900, 700)
layer = torch.nn.Linear(700, 700)
layer(torch.nn.functional.softmax(a @ b, 1)).square().sum().backward()
drawn = numpy.random.default_rng(3).normal(size=(900, 900))
parts = (layer.weight.grad.numpy(), torch.randn(5).numpy(), drawn @ drawn, numpy.linalg.inv(drawn))
print(hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest())
print(torch.get_num_threads(), torch.initial_seed())
print(was_loaded, file=sys.stderr)
"""
LIGHT = "import sys; print('torch' in sys.modules)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Scripts beside the package of this checkout."""
    folder = tmp_path_factory.mktemp("jobs")
    script(folder, COMPUTES)
    script(folder, LIGHT, "light")
    package = folder / "workflow/scripts/entrench"
    package.symlink_to(sys.modules["entrench"].__path__[0])
    return folder


def test_threads_jobs_side_by_side_and_the_first_moments(folder):
    job = ("workflow/scripts/job.py",)
    cold = {
        threads: run(None, folder, *job, threads, OMP_NUM_THREADS=threads) for threads in ("1", "2")
    }
    assert cold["2"][1].split()[1] == "2"
    loads = {"ENTRENCH_GPUS": "0"}
    with warm_start("torch", "numpy", ready=False) as server:
        # It is importing: what loads torch waits for it, what does not goes ahead.
        first = start(server, folder, *job, "2", OMP_NUM_THREADS="2", **loads)
        assert run(server, folder, "workflow/scripts/light.py") == (0, "False\n", "")
        output, said = first.communicate(timeout=120)
        assert said == "True\n"
        assert output == cold["2"][1]
        # Each is forked while the others compute.
        jobs = [
            (threads, start(server, folder, *job, threads, OMP_NUM_THREADS=threads, **loads))
            for threads in ("1", "2", "2", "1")
        ]
        for threads, started in jobs:
            output, said = started.communicate(timeout=120)
            assert said == "True\n"
            assert output == cold[threads][1]
        assert run(server, folder, "workflow/scripts/light.py") == (0, "True\n", "")
