"""What the warm start shares with its children: libraries, imported in one environment.

Standard library; imported by `warm_server`, which runs as a script, from beside it.
"""

import contextlib
import gc
import importlib
import os
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from entrench.execution.warm_child import Request, entries
else:  # a script finds what lies beside it
    from warm_child import Request, entries

NO_DEVICE = "PYTORCH_NVML_BASED_CUDA_CHECK"
# Variables that may differ between this process and a job: no library reads them while it is
# imported.
FREE = {
    *("PATH", "PWD", "OLDPWD", "SHLVL", "_", "CUDA_VISIBLE_DEVICES"),
    *("TMPDIR", "TMP", "TEMP", "TEMPDIR"),
}
FREE_PREFIXES = ("ENTRENCH_", "SNAKEMAKE_", "PYTEST_", "SLURM_")
# Jobs that load torch fix their number of threads themselves: `limit_threads` of
# `entrench.execution.command`.
LOADS_TORCH = "ENTRENCH_GPUS"
THREADS = {
    *("OMP_NUM_THREADS", "GOTO_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
    *("VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS"),
}


def difference(request: Request, environment: Mapping[str, str], python_path: Sequence[str]) -> str:
    """Why the libraries do not suit a job: the variables that have changed; empty if they suit.

    The libraries were imported in `environment`, with the folders `python_path`. The job's
    PYTHONPATH may name the folder of its script besides: Python searches that one first anyway.
    """
    theirs = {os.fsdecode(k): os.fsdecode(v) for k, v in request.environment.items()}
    own = os.path.realpath(request.script_folder)
    path = [entry for entry in entries(theirs.get("PYTHONPATH", "")) if entry != own]
    free = FREE | {"PYTHONPATH"} | (THREADS if LOADS_TORCH in theirs else set())
    names = {
        name
        for name in theirs.keys() | environment.keys()
        if theirs.get(name) != environment.get(name)
        and name not in free
        and not name.startswith(FREE_PREFIXES)
    }
    if path != [entry for entry in python_path if entry != own]:
        names.add("PYTHONPATH")
    return f"{', '.join(sorted(names))} changed since the sweep started" if names else ""


def preload(modules: Sequence[str]) -> str:
    """Import `modules`, each MODULE or MODULE:NAME,...; say why no child may be forked, if so.

    The result is empty where children may be forked. A module that is not installed is left out.
    What is loaded stays for the life of every child, so the garbage collector need not look at it,
    nor write into pages that children share.
    """
    gc.disable()
    # So torch asks for GPUs and takes hold of none. A child of a process that holds one cannot use
    # any.
    given = os.environ.get(NO_DEVICE)
    os.environ[NO_DEVICE] = "1"
    for module in modules:
        name, _, attributes = module.partition(":")
        with contextlib.suppress(ImportError):
            loaded = importlib.import_module(name)
            for attribute in filter(None, attributes.split(",")):
                getattr(loaded, attribute)
    if given is None:
        del os.environ[NO_DEVICE]
    else:
        os.environ[NO_DEVICE] = given
    # What a library would undo at its exit (torch: 175 operators) ends with the process anyway.
    # Python has no public list of it.
    registry = weakref.finalize._registry  # type: ignore[attr-defined]  # private
    for finalizer in registry:
        finalizer.atexit = False
    gc.collect()
    gc.freeze()
    if any("nvidia-uvm" in name for name in _open_files()):
        return "a library took hold of a GPU while it was imported"
    return threads()


def threads() -> str:
    """Why no child may be forked now; empty where there is one thread."""
    number = len(list(Path("/proc/self/task").iterdir()))
    return f"its libraries have started {number - 1} threads" if number > 1 else ""


def _open_files() -> list[str]:
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(entry.readlink()))
    return found
