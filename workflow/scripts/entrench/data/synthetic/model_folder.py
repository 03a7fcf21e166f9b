"""Save a tiny model in a folder. Its files appear only once all of them are whole."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from entrench.data.synthetic import tokenizer as world_tokenizer
from entrench.records import remove_leftovers

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def save_model(model: "PreTrainedModel", folder: str | Path) -> None:
    """Write the weights, configs and tokenizer of `model` to `folder`.

    The files are written to a temporary folder beside it. At the end they are moved one by one, the
    weights last.
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
