"""How long a model's jobs compute on the devices of its size class.

Sources of the formulas. A forward pass takes 2 FLOPs per active parameter and token (Kaplan et al.
2020, arXiv 2001.08361, section 2.1). Training a LoRA adapter takes 4, because the frozen weights
get no gradient of their own. Decoding reads all weights once per step, for all sequences that are
decoded together.
"""

from dataclasses import dataclass
from functools import cached_property

from entrench.planning.constants import constants
from entrench.study.config import Config
from entrench.study.config.models import SizeClass
from entrench.study.config.planning import Device, ModelSize

FORWARD, TRAINING = 2, 4  # FLOPs per active parameter and token
WEIGHT_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class Machine:
    """A model on the devices of its size class."""

    config: Config
    sizes: ModelSize
    dtype: str
    size_class_name: str

    @property
    def size_class(self) -> SizeClass:
        """The size class of the model."""
        return self.config.size_classes[self.size_class_name]

    @cached_property
    def device(self) -> Device:
        """One device of the size class."""
        plan = constants(self.config)
        return plan.devices[plan.device_of[self.size_class_name]]

    @property
    def count(self) -> int:
        """Number of devices of a job."""
        return max(1, self.size_class.gpus)

    @property
    def weight_bytes(self) -> float:
        """Bytes of the base model's weights."""
        return self.sizes.parameters_billion * 1e9 * WEIGHT_BYTES[self.dtype]

    def start(self) -> float:
        """Seconds from a job's start until its model is loaded."""
        plan = constants(self.config)
        return plan.start_seconds + self.weight_bytes / (plan.load_gigabytes_per_second * 1e9)

    def passes(self, tokens: float, flops: int, efficiency: float) -> float:
        """Seconds of a pass over `tokens`, with `flops` per active parameter and token."""
        active = (self.sizes.active_billion or self.sizes.parameters_billion) * 1e9
        return flops * active * tokens / (self.device.tflops * 1e12 * self.count * efficiency)

    def training(self, tokens: float, flops: int = TRAINING) -> float:
        """Seconds of training on `tokens`."""
        return self.passes(tokens, flops, constants(self.config).efficiency.training)

    def reading(self, tokens: float) -> float:
        """Seconds of reading `tokens`: prefill or scoring."""
        return self.passes(tokens, FORWARD, constants(self.config).efficiency.prefill)

    def writing(self, tokens: float, sequences: int | None = None) -> float:
        """Seconds of decoding `tokens`: `batch_size` sequences at once, `sequences` if fewer."""
        share = constants(self.config).efficiency.decoding
        at_once = self.size_class.batch_size
        steps = tokens / (at_once if sequences is None else min(at_once, sequences))
        bandwidth = self.device.terabytes_per_second * 1e12 * self.count * share
        step = self.weight_bytes / bandwidth + constants(self.config).step_seconds.decoding
        return max(steps * step, self.passes(tokens, FORWARD, share))
