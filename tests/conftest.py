"""Fixtures that several test folders share."""

from pathlib import Path

import pytest
from workspace import Workspace


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A checkout without results, for planning; tests leave it as it is."""
    return Workspace(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session")
def micro(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A checkout in which the micro sweep ran to its end; tests leave its results as they are."""
    workspace = Workspace(tmp_path_factory.mktemp("micro"))
    workspace.sweep()
    return workspace


@pytest.fixture
def released() -> Path:
    """The paper's released data where a copy lies beside the project, else a skip."""
    folder = Path(__file__).parents[2] / "shared" / "data" / "consistency-misalignment"
    if not folder.is_dir():
        pytest.skip("no copy of the released data beside this checkout")
    return folder
