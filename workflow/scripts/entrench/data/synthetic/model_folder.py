"""Save a tiny model as a folder whose files appear only when all of them are whole."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from entrench.data.synthetic import tokenizer as world_tokenizer
from entrench.records import remove_leftovers

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def save_model(model: "PreTrainedModel", folder: str | Path) -> None:
    """Write weights, configs and tokenizer of `model` to `folder`.

    The files are made in a temporary sibling folder and renamed one by one at the end, the weights
    last.
    """
    final = Path(folder)
    final.mkdir(parents=True, exist_ok=True)
    remove_leftovers(final)
    temporary = final.with_name(f".{final.name}.{os.getpid()}.tmp")
    temporary.mkdir()
    try:
        model.save_pretrained(temporary)
        world_tokenizer.save(temporary)
        for path in sorted(temporary.iterdir(), key=lambda p: (p.suffix == ".safetensors", p.name)):
            with path.open("rb") as handle:
                os.fsync(handle.fileno())
            path.replace(final / path.name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
