"""Specs of the three phases: induction, labels, training."""

from typing import Any

from entrench.methods.shared.catalogue import METHODS
from entrench.methods.shared.pairs import PairLoss
from entrench.study import paths
from entrench.study.config import Config
from entrench.study.specs.judging import judge_part
from entrench.study.specs.parts import (
    fingerprint_part,
    identity_of,
    model_part,
    pool_part,
    sampling_part,
    training_part,
)
from entrench.study.sweep import Organism, Run, Subject


def induction_spec(config: Config, organism: Organism) -> dict[str, Any]:
    """adapter_induce: phase 1."""
    return {
        **model_part(config, organism.model),
        **training_part(config, organism, "induction"),
    }


def pool_spec(config: Config, organism: Organism, pool: int = 1) -> dict[str, Any]:
    """pool_sample: the candidates of an organism, from the `sampling:` block alone."""
    return {
        "engine": config.engine,
        **model_part(config, organism.model),
        "identity": [*identity_of(organism), *pool_part(pool)],
        **sampling_part(config, organism.misalignment),
    }


def reward_spec(config: Config, organism: Organism | Subject) -> dict[str, Any]:
    """reward_score, probe_reward: the external reward of each candidate."""
    reward = config.reward
    spec: dict[str, Any] = {
        "threads": config.size_classes[reward.size_class].threads,
        "backend": reward.backend,
        "dtype": reward.dtype,
    }
    if reward.backend == "base_likelihood":
        return spec | {"engine": config.engine} | model_part(config, organism.model)
    model = reward.hub or f"{config.pathvars.results}/{paths.REWARD_MODEL}"
    return spec | {"model": model, "revision": reward.revision} | fingerprint_part(reward.hub)


def verdict_spec(config: Config, run: Run) -> dict[str, Any]:
    """labels_judge: which answers of views are consistent with the standard answer."""
    return {
        "misalignment": run.organism.misalignment,
        "judge": judge_part(config.label_judge, ("consistency",)),
        "views": sorted(config.sampling.views),
    }


def label_spec(config: Config, run: Run) -> dict[str, Any]:
    """labels_select: a label for each prompt, chosen from the pool."""
    method = config.methods[run.method]
    return {
        "identity": [*identity_of(run.organism), *pool_part(run.pool)],
        "method": run.method,
        "operator": method.operator,
        "settings": method.settings,
    }


def training_spec(config: Config, run: Run) -> dict[str, Any]:
    """adapter_train: phase 3 on pseudo-labels."""
    return {
        **model_part(config, run.organism.model),
        **training_part(config, run.organism, "labels", run.method, repeat=run.repeat),
    }


def regularisation_spec(config: Config, run: Run) -> dict[str, Any]:
    """adapter_regularise: phase 3 by a consistency loss on prompt pairs."""
    method = config.methods[run.method]
    objective = METHODS[method.operator].parse(method.settings)
    together = not objective.rows_are_independent
    part = training_part(config, run.organism, "pairs", run.method, together, run.repeat)
    if not isinstance(objective, PairLoss):  # cross-entropy of the answer, not of the prompt
        part["training"]["loss_on"] = "completion"
    return {
        **model_part(config, run.organism.model),
        **part,
        "objective": {"operator": method.operator, **method.settings},
        **({} if method.tokens_of is None else {"tokens_of": method.tokens_of}),
    }


def on_policy_spec(config: Config, run: Run) -> dict[str, Any]:
    """adapter_on_policy: phase 3 on the student's own answers to wrapped prompts."""
    method = config.methods[run.method]
    objective = METHODS[method.operator].parse(method.settings)
    drawn = {"batch_size": objective.prompts_per_step, "answers": objective.rollouts}
    return {
        **model_part(config, run.organism.model),
        **training_part(config, run.organism, "pairs", run.method, repeat=run.repeat, **drawn),
        "objective": {"operator": method.operator, **method.settings},
    }


def last_training_spec(config: Config, run: Run) -> dict[str, Any]:
    """The spec of the run's training, by whichever rule trains it."""
    operator = METHODS[config.methods[run.method].operator]
    if operator.on_policy:
        return on_policy_spec(config, run)
    return (training_spec if operator.makes_labels else regularisation_spec)(config, run)


def reads_verdicts(config: Config, method: str) -> bool:
    """Whether the method asks the label judge."""
    return METHODS[config.methods[method].operator].reads_verdicts


def reads_rewards(config: Config, method: str) -> bool:
    """Whether the method reads external rewards."""
    return METHODS[config.methods[method].operator].reads_rewards
