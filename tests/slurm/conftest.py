"""A real Slurm for the tests of this folder, and what an undisturbed sweep gives."""

from collections.abc import Iterator

import pytest
from faults import sweep_undisturbed
from pretend_site import Cluster, missing
from workspace import Workspace


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Four nodes of four pretend GPUs each; a skip where none can be brought up."""
    if reason := missing():
        pytest.skip(reason)
    with Cluster(tmp_path_factory.mktemp("cluster")) as site:
        yield site


@pytest.fixture(scope="session")
def reference(micro: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The sweep that the faults happen to, undisturbed and without a cluster."""
    workspace = Workspace(tmp_path_factory.mktemp("reference")).take(micro)
    sweep_undisturbed(workspace)
    return workspace
