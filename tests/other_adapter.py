"""One loaded vLLM engine with several adapters: a load takes half a minute, a test a second."""

from dataclasses import replace

from entrench.generation.engine_vllm import VllmEngine


def with_adapter(engine: VllmEngine, adapter: str | None, number: int = 1) -> VllmEngine:
    """The same load with another adapter, which has room in it, or with none.

    Each adapter of a load has a number of its own; 1 is the adapter that it was loaded with.
    """
    other = object.__new__(VllmEngine)
    other.__dict__ |= engine.__dict__
    other.settings = replace(engine.settings, adapter=adapter)
    other.reader = replace(engine.reader, settings=other.settings)
    other.lora_number = number
    return other
