"""The number of compute threads of loaded libraries: they read the environment only once."""

import ctypes
import sys
from pathlib import Path

SETTERS = ("scipy_openblas_set_num_threads64_", "scipy_openblas_set_num_threads")


def tell_loaded(threads: int) -> None:
    """Have torch, and the OpenBLAS of numpy and scipy, compute with so many threads from now on.

    A library that is not loaded, as in a job that starts cold, is left alone.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)
    maps = Path("/proc/self/maps")
    lines = maps.read_text().splitlines() if maps.exists() else []
    for path in {line.split()[-1] for line in lines if "openblas" in line}:
        library = ctypes.CDLL(path)
        for name in SETTERS:
            if hasattr(library, name):
                getattr(library, name)(threads)
