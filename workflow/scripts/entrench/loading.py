"""Models, tokenizers and adapters from disk or hub: safetensors only, no remote code.

Imports torch and transformers inside its functions; peft only where there is an adapter.
"""

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from entrench.errors import EntrenchError
from entrench.imports import without_collection

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Head = Literal["causal_lm", "sequence_classifier"]

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
CLASSES = {
    "causal_lm": "AutoModelForCausalLM",
    "sequence_classifier": "AutoModelForSequenceClassification",
}
DTYPES = ("float32", "bfloat16", "float16")


def load_tokenizer(model: str, revision: str | None) -> "PreTrainedTokenizerBase":
    """The tokenizer of a model folder or hub id; `EntrenchError` where there is none to read."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(model, revision=revision, trust_remote_code=False)
    except Exception as error:
        raise _unreadable("the tokenizer", model, revision, error) from error


def load_model(model: str, revision: str | None, dtype: str, head: Head) -> "PreTrainedModel":
    """The model in evaluation mode, on the accelerator where there is one.

    A folder or hub repository that lacks a weight is refused: transformers would initialise it at
    random with no more than a warning.
    """
    with without_collection():
        import torch
        import transformers

    if dtype not in DTYPES:
        raise EntrenchError(f"dtype {dtype!r}: allowed are {', '.join(DTYPES)}")
    transformers.utils.logging.disable_progress_bar()
    try:
        with without_collection():  # this imports the model's own classes
            loaded, info = getattr(transformers, CLASSES[head]).from_pretrained(
                model,
                revision=revision,
                dtype=getattr(torch, dtype),
                device_map="auto" if torch.cuda.is_available() else None,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except Exception as error:
        raise _unreadable("the model", model, revision, error) from error
    if missing := sorted(info["missing_keys"]):
        raise EntrenchError(
            f"{model}: {len(missing)} weights of a {head} model are missing there, "
            f"{missing[0]!r} for one: name a model of this kind, or make this one anew"
        )
    return loaded.eval()


def load_adapter(model: "PreTrainedModel", adapter: str) -> "nn.Module":
    """The model with the LoRA adapter of folder `adapter` for inference.

    In float32 the adapter is merged into the weights, which is faster. In 16-bit formats it stays
    apart: a small update is lost in the rounding of the sum.
    """
    for name in ADAPTER_FILES:
        if not (Path(adapter) / name).is_file():
            raise EntrenchError(f"{Path(adapter) / name}: no such file: let the workflow make it")
    with without_collection():
        from peft import PeftModel

    try:
        with warnings.catch_warnings():
            # peft only warns when the file lacks weights of an adapter.
            warnings.filterwarnings("error", message=".*missing adapter keys.*")
            adapted = PeftModel.from_pretrained(model, adapter)
    except Exception as error:
        raise EntrenchError(
            f"{_broken_file(Path(adapter))}: not a LoRA adapter of this model "
            f"({_first_line(error)}): delete {adapter} and run the same command again"
        ) from error
    if str(model.dtype) == "torch.float32":
        adapted = adapted.merge_and_unload()
    return adapted.eval()


def _unreadable(what: str, model: str, revision: str | None, error: Exception) -> EntrenchError:
    folder = Path(model)
    if folder.is_dir():
        return EntrenchError(
            f"{_broken_file(folder)}: {what} cannot be read ({_first_line(error)}): "
            "make or download this model anew"
        )
    if model.startswith(("/", ".")):
        return EntrenchError(f"{model}: no such folder: let the workflow make it, or mend the path")
    at = f" at revision {revision}" if revision else ""
    return EntrenchError(
        f"{model}{at}: {what} cannot be loaded from the hub ({_first_line(error)}): check the "
        "name, the revision, the network, your access (HF_TOKEN), and that it has safetensors"
    )


def _broken_file(folder: Path) -> Path:
    """The first file of the folder that is no valid JSON or safetensors, else the folder."""
    from safetensors import SafetensorError, safe_open

    for path in sorted(folder.iterdir()):
        try:
            if path.suffix == ".json":
                json.loads(path.read_bytes())
            elif path.suffix == ".safetensors":
                with safe_open(path, "pt"):
                    pass
        except (ValueError, SafetensorError):
            return path
    return folder


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
