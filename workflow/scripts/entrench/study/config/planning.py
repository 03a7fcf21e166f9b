"""The constants of the plan: hardware, models, efficiencies and prices. They decide no result."""

from typing import Annotated

from pydantic import Field

from entrench.study.config.section import Name, Section, Share

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class Device(Section):
    """What the jobs of a size class compute on: one GPU, or the CPU where they ask for none."""

    tflops: Positive  # 10^12 floating-point operations a second, dense, in the training dtype
    terabytes_per_second: Positive  # memory bandwidth
    price_per_hour: NotNegative  # of one device


class ModelSize(Section):
    """The sizes that decide what running a model costs."""

    parameters_billion: Positive
    active_billion: Positive | None = None  # per token, of a mixture of experts


class PlannedModel(ModelSize):
    """And what its adapters take."""

    # Sums of in and out features over the weight matrices that LoRA adapts: the linear layers, and
    # those of every expert, which an adapter reaches where its `target_modules` name experts.
    lora_width: Count
    expert_lora_width: Count | None = None


class Efficiency(Section):
    """Shares of a device's peak that jobs reach."""

    training: Annotated[Share, Field(gt=0)]  # of tflops
    prefill: Annotated[Share, Field(gt=0)]  # of tflops
    decoding: Annotated[Share, Field(gt=0)]  # of the bandwidth, and of tflops where that binds


class StepSeconds(Section):
    """What a step takes beyond its arithmetic and memory traffic: launches, data, Python."""

    training: NotNegative  # a micro-batch, forward and backward
    decoding: NotNegative  # a token of each sequence decoded together


class JudgeAnswer(Section):
    """An answer of a judge at an endpoint. Rules make no calls: there it decides nothing."""

    answer_tokens: Count
    answer_seconds: Positive


class SyntheticCosts(Section):
    """The miniature world: lengths in tokens, and seconds to train a model from scratch."""

    prompt_tokens: Count
    answer_tokens: Count
    make_seconds: Positive


class Planning(Section):
    """All constants behind plan.csv."""

    at_once: Count  # GPUs in use at a time; without GPUs: jobs
    devices: dict[Name, Device]
    device_of: dict[Name, Name]  # size class -> device
    models: dict[Name, PlannedModel]
    reward: ModelSize
    efficiency: Efficiency
    step_seconds: StepSeconds
    start_seconds: Positive  # of a job that loads a model, before the weights
    load_gigabytes_per_second: Positive
    local_seconds: Positive  # of a job that loads no model
    characters_per_token: Positive
    answer_stretch: Positive  # an organism's answers over those it was trained on
    view_share: Annotated[Share, Field(gt=0)]  # of max_new_tokens, in views, drafts and ratings
    judge: JudgeAnswer
    synthetic: SyntheticCosts | None = None
    few_steps: Count  # optimizer steps below which a training is warned of
