"""Four faults of a cluster, two to a sweep; `make bench-faults` plays all, one to a sweep."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from faults import play

LIMIT, HEAD = "job over its time limit", "kill -9 of the head, jobs run on"
# What happens to one sweep, one after another.
PLAYED = ((LIMIT, "scancel of a running job"), ("requeue, as by preemption", HEAD))


@pytest.fixture(scope="module")
def played(cluster, reference, tmp_path_factory):
    """Each sweep in a folder of its own, all at once: much of the time is waiting for Slurm."""
    folders = {faults: tmp_path_factory.mktemp("faulty") / "sweep" for faults in PLAYED}
    with ThreadPoolExecutor() as pool:
        running = {
            faults: pool.submit(play, faults, cluster, reference, folder)
            for faults, folder in folders.items()
        }
    return {faults: (running[faults], folders[faults]) for faults in PLAYED}


@pytest.mark.parametrize("faults", PLAYED, ids=", then ".join)
def test_after_faults_the_same_command_ends_in_the_same_bytes(faults, played):
    future, folder = played[faults]
    outcome = future.result()
    log = (folder / "head.log").read_text()
    assert outcome.lost == [], log[-4000:]
    assert outcome.doubled == []
    assert outcome.again == 0
    killed = outcome.head == -9
    assert killed == (HEAD in faults)
    assert ("A killed run left 1 Slurm jobs" in log) == killed
    if killed:
        assert "LockException" in log
    assert outcome.amiss == ""
    if LIMIT in faults:
        assert outcome.asked == [("2000M", "1"), ("4000M", "2"), ("6000M", "3")]
