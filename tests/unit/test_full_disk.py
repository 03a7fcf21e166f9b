"""A disk that is really full is told in one line, whichever library writes."""

import pytest
from small_disk import small_disk

from entrench.execution.command import _message

FULL = "the disk is full: free some space and run the same command again"


def test_every_library_that_writes_results_says_that_the_disk_is_full(tmp_path):
    import polars
    import torch
    from safetensors.torch import save_file

    numbers = torch.zeros(1_000_000)
    disk = tmp_path / "disk"
    writers = {
        "No space left on device": (
            lambda path: save_file({"weight": numbers}, path),
            lambda path: polars.DataFrame({"n": range(1_000_000)}).write_csv(path),
            lambda path: path.write_bytes(bytes(1_000_000)),
        ),
        "torch could not write a file whole": (lambda path: torch.save(numbers, path),),
    }
    with small_disk(disk, "100k"):
        for said, some in writers.items():
            for place, write in enumerate(some):
                path = disk / str(place)
                with pytest.raises(Exception) as caught:  # noqa: PT011 - each has its own
                    write(path)
                path.unlink(missing_ok=True)  # safetensors clears up itself
                assert _message(caught.value) in (f"{said}: {FULL}", f"{said} ({path}): {FULL}")
    assert _message(RuntimeError("another")) is None
