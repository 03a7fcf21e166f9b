"""Fixtures that several test folders share."""

import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from shared_plans import Checkout
from workspace import Workspace, environment
from xdist.scheduler import LoadFileScheduling

from entrench.execution.warm_start import LIBRARIES, PLACE, WarmStart

# A shell ignores Ctrl-C for what it starts in the background, and `nohup` ignores the end of a
# terminal. The sweeps and jobs of tests would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Few tests that take long: begun last, they would keep one worker busy while the others are done.
BEGUN_FIRST = (
    "test_demo.py",
    "test_faults.py",
    "test_slurm_sweep.py",
    "test_workflow_vllm.py",
    "test_processes.py",
    "test_golden_specs.py",
    "test_warm_start_torch.py",
    "test_training_faults.py",
    "test_rehearsal.py",
)


def pytest_configure(config: pytest.Config) -> None:
    """Files are begun in the order of their tests; xdist would begin with those of most tests."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first."""
    items.sort(key=lambda item: item.path.name not in BEGUN_FIRST)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """How `-n` shares tests out: a file's to one worker, and so all tests on the one cluster."""

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "cluster" if nodeid.startswith("tests/slurm/") else super()._split_scope(nodeid)

    return ByFile(config, log)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all workers of this call."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Checkout:
    """A checkout without results, for planning; tests leave it as it is."""
    return Checkout(tmp_path_factory.mktemp("checkout"), shared)


@pytest.fixture(scope="session")
def warm() -> Iterator[None]:
    """The jobs of all sweeps start warm, from one server."""
    if sys.platform != "linux" or PLACE in os.environ:
        yield
        return
    python = str(Path(sys.executable).with_name("python"))
    server = WarmStart(python, environment(), LIBRARIES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PLACE, str(server.folder))
        yield
    server.end()


@pytest.fixture(scope="session")
def micro(shared: Path, warm: None) -> Workspace:  # noqa: ARG001
    """A checkout in which the micro sweep ran to its end; tests leave its results as they are."""
    with (shared / "micro.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        workspace = Workspace(shared / "micro")
        if not (shared / "micro.done").exists():
            workspace.sweep()
            (shared / "micro.done").touch()
    return workspace


@pytest.fixture
def released() -> Path:
    """The paper's released data where a copy lies beside the project, else a skip."""
    folder = Path(__file__).parents[2] / "shared" / "data" / "consistency-misalignment"
    if not folder.is_dir():
        pytest.skip("no copy of the released data beside this checkout")
    return folder
