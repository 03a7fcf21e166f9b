"""Four faults of a cluster; `make bench-faults` plays all of them."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from faults import play

PLAYED = (
    "scancel of a running job",
    "requeue, as by preemption",
    "kill -9 of the head, jobs run on",
    "job over its time limit",
)


@pytest.fixture(scope="module")
def played(cluster, reference, tmp_path_factory):
    """Each fault in a folder of its own, all at once: most of the time is waiting for Slurm."""
    folders = {fault: tmp_path_factory.mktemp("faulty") / "sweep" for fault in PLAYED}
    with ThreadPoolExecutor() as pool:
        running = {
            fault: pool.submit(play, fault, cluster, reference, folder)
            for fault, folder in folders.items()
        }
    return {fault: (running[fault], folders[fault]) for fault in PLAYED}


@pytest.mark.parametrize("fault", PLAYED)
def test_after_a_fault_the_same_command_ends_in_the_same_bytes(fault, played):
    future, folder = played[fault]
    outcome = future.result()
    log = (folder / "head.log").read_text()
    assert outcome.lost == [], log[-4000:]
    assert outcome.doubled == []
    assert outcome.again == 0
    killed = outcome.head == -9
    assert killed == (fault == "kill -9 of the head, jobs run on")
    assert ("A killed run left 1 Slurm jobs" in log) == killed
    if killed:
        assert "LockException" in log
    assert outcome.amiss == ""
    if fault == "job over its time limit":
        assert outcome.asked == [("2000M", "1"), ("4000M", "2")]
