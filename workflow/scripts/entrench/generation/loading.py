"""Models, tokenizers and adapters from disk or hub: safetensors only, no remote code.

torch and transformers are imported inside the functions, peft only where there is an adapter.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from entrench.errors import EntrenchError, first_line
from entrench.execution import devices
from entrench.execution.heavy_imports import without_collection
from entrench.records import parse_json

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import nn
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

Head = Literal["causal_lm", "sequence_classifier"]

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
CLASSES = {
    "causal_lm": "AutoModelForCausalLM",
    "sequence_classifier": "AutoModelForSequenceClassification",
}
# The config keys that hold the number of experts. vLLM looks for the same names.
EXPERT_COUNTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
DTYPES = ("float32", "bfloat16", "float16")


def load_tokenizer(model: str, revision: str | None) -> "PreTrainedTokenizerBase":
    """The tokenizer of a model folder or hub id; an `EntrenchError` where it cannot be read."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(model, revision=revision, trust_remote_code=False)
    except Exception as error:
        raise _unreadable("the tokenizer", model, revision, error) from error


def load_model(
    model: str,
    revision: str | None,
    dtype: str,
    head: Head,
    *,
    shards: int = 1,
    spread: bool = False,
) -> "PreTrainedModel":
    """The model in evaluation mode, on the GPU where there is one.

    shards: the number of processes that have joined. Above 1 each process keeps only its part of
        every weight (FSDP). A layer is whole while it computes.
    spread: with several GPUs, the layers are spread over them, for inference.

    Otherwise the whole model is on one GPU. A GPU that is too small is an error.

    MXFP4 weights (GPT-OSS) become weights of `dtype`: training needs plain weights, and all phases
    must compute with the same numbers.

    Raises:
        EntrenchError: the model cannot be read, does not fit into the memory, or lacks a weight.
            transformers would only warn and set such a weight at random.
    """
    with without_collection():
        import torch
        import transformers

    if dtype not in DTYPES:
        raise EntrenchError(f"dtype {dtype!r}: allowed are {', '.join(DTYPES)}")
    transformers.utils.logging.disable_progress_bar()
    if shards > 1:
        from transformers.distributed import DistributedConfig

        placement = {"distributed_config": DistributedConfig(fsdp_size=shards)}
    else:
        placement = {"device_map": _placement(spread)}
    try:
        with without_collection():  # this imports the model's own classes
            loaded, info = getattr(transformers, CLASSES[head]).from_pretrained(
                model,
                revision=revision,
                dtype=getattr(torch, dtype),
                **_architecture_options(model, revision),
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                **placement,
            )
    except torch.OutOfMemoryError:
        raise _too_large(model) from None
    except Exception as error:
        raise _unreadable("the model", model, revision, error) from error
    if {"cpu", "disk"} & set(getattr(loaded, "hf_device_map", {}).values()):
        raise _too_large(model)
    if missing := sorted(info["missing_keys"]):
        raise EntrenchError(
            f"{model}: {len(missing)} weights of a {head} model are missing there, "
            f"for example {missing[0]!r}: name a model of this kind, or make this one again"
        )
    if dtype != "bfloat16":
        # MXFP4 weights come as bfloat16, whatever dtype is asked for.
        left = [p for p in loaded.parameters() if p.dtype == torch.bfloat16]
        if left and shards > 1:
            raise EntrenchError(
                f"{model}: {len(left)} of its weights come as bfloat16 and cannot be made {dtype} "
                "once they are shared out: set `dtype: bfloat16`, or `gpus: 1` for its size class"
            )
        for parameter in left:
            parameter.data = parameter.data.to(getattr(torch, dtype))
    return loaded.eval()


def _placement(spread: bool) -> str | dict[str, int] | None:
    """The `device_map` of transformers for a model that is not sharded."""
    if not devices.on_gpu():
        return None
    import torch

    # "auto" silently leaves weights that do not fit in the CPU's memory; `load_model` refuses that.
    return "auto" if spread and torch.cuda.device_count() > 1 else {"": 0}


def _architecture_options(model: str, revision: str | None) -> dict[str, Any]:
    """The options that transformers needs to compute an architecture as it was trained."""
    from transformers import AutoConfig, Mxfp4Config

    config = AutoConfig.from_pretrained(model, revision=revision, trust_remote_code=False)
    options: dict[str, Any] = {}
    if getattr(config.get_text_config(), "attn_logit_softcapping", None) is not None:
        # Gemma 2: the default attention silently leaves the soft cap out.
        options["attn_implementation"] = "eager"
    if _quantization(config) == "mxfp4":
        options["quantization_config"] = Mxfp4Config(dequantize=True)
    return options


def _quantization(config: "PreTrainedConfig") -> str | None:
    found = getattr(config, "quantization_config", None) or {}
    return found.get("quant_method")


def has_experts(model: str, revision: str | None) -> bool:
    """Whether the model is a mixture of experts, by its config. No weight is read."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(model, revision=revision, trust_remote_code=False)
    except Exception as error:
        raise _unreadable("the model", model, revision, error) from error
    text = config.get_text_config()
    return any(getattr(text, key, None) for key in EXPERT_COUNTS)


def load_adapter(model: "PreTrainedModel", adapter: str) -> "nn.Module":
    """The model with the LoRA adapter in the folder `adapter`, for inference.

    In float32 the adapter is merged into the weights, which is faster. In 16-bit formats it is not
    merged, because the rounding of the sum would lose a small update.
    """
    adapted = load_adapters(model, {"default": adapter})
    if str(model.dtype) == "torch.float32":
        adapted = adapted.merge_and_unload()
    return adapted.eval()


def load_adapters(model: "PreTrainedModel", adapters: Mapping[str, str]) -> "PeftModel":
    """The model with several LoRA adapters (name -> folder). The first one is active.

    No adapter is merged: `set_adapter(name)` switches between them, on one copy of the base model.

    Raises:
        EntrenchError: an adapter lacks a file or a weight, or is not of this model.
    """
    for adapter in adapters.values():
        check_adapter(adapter)
    with without_collection():
        from peft import PeftModel

    (first, folder), *others = adapters.items()
    with _refused_if_not_whole(folder):
        adapted = PeftModel.from_pretrained(model, folder, adapter_name=first)
    for name, adapter in others:
        with _refused_if_not_whole(adapter):
            adapted.load_adapter(adapter, adapter_name=name)
    return adapted.eval()


@contextmanager
def _refused_if_not_whole(adapter: str) -> Iterator[None]:
    """Turn an error inside the block into an `EntrenchError` about the folder `adapter`."""
    try:
        with warnings.catch_warnings():
            # peft only warns where the file lacks weights of an adapter.
            warnings.filterwarnings("error", message=".*missing adapter keys.*")
            yield
    except Exception as error:
        raise _no_adapter(Path(adapter), Path(adapter), first_line(error)) from error


def check_adapter(adapter: str) -> None:
    """Refuse a folder that lacks a file of a LoRA adapter, or holds a broken one."""
    for name in ADAPTER_FILES:
        if not (Path(adapter) / name).is_file():
            raise EntrenchError(f"{Path(adapter) / name}: no such file: let the workflow make it")
    if (broken := _broken_file(Path(adapter))) != Path(adapter):
        raise _no_adapter(Path(adapter), broken, "the file is damaged")


def check_folder(model: str) -> None:
    """Refuse a model folder with a damaged file. A hub id is not checked."""
    folder = Path(model)
    if folder.is_dir() and (broken := _broken_file(folder)) != folder:
        raise EntrenchError(f"{broken}: the file is damaged: make or download this model again")


def _no_adapter(folder: Path, where: Path, why: str) -> EntrenchError:
    return EntrenchError(
        f"{where}: not a LoRA adapter of this model ({why}): delete {folder} and run the same "
        "command again"
    )


def _too_large(model: str) -> EntrenchError:
    return EntrenchError(
        f"{model}: its weights do not fit into the memory of the GPUs: raise `gpus` of its size "
        "class, give the job larger ones, or end what else runs on them"
    )


def _unreadable(what: str, model: str, revision: str | None, error: Exception) -> EntrenchError:
    folder = Path(model)
    if folder.is_dir():
        return EntrenchError(
            f"{_broken_file(folder)}: {what} cannot be read ({first_line(error)}): "
            "make or download this model again"
        )
    if model.startswith(("/", ".")):
        return EntrenchError(f"{model}: no such folder: let the workflow make it, or mend the path")
    at = f" at revision {revision}" if revision else ""
    return EntrenchError(
        f"{model}{at}: {what} cannot be loaded from the hub ({first_line(error)}): check the "
        "name, the revision, the network, your access (HF_TOKEN), and that it has safetensors"
    )


def _broken_file(folder: Path) -> Path:
    """The first file of the folder that is no valid JSON or safetensors, else the folder."""
    from safetensors import SafetensorError, safe_open

    for path in sorted(folder.iterdir()):
        try:
            if path.suffix == ".json":
                parse_json(path.read_bytes())
            elif path.suffix == ".safetensors":
                with safe_open(path, "pt"):
                    pass
        except (ValueError, SafetensorError):
            return path
    return folder
