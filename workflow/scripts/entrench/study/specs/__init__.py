"""Per rule: the settings that decide a job's result, as one JSON string.

Snakemake compares these strings to decide what to run again, so each holds what its job's result
depends on and nothing else: no machine facts, no other run, no key that another stage reads.
"""

from entrench.study.specs.data import (
    data_spec,
    fetch_spec,
    model_spec,
    reward_model_spec,
)
from entrench.study.specs.judging import (
    agreement_spec,
    injection_spec,
    judge_server,
    judges,
)
from entrench.study.specs.measurement import (
    completion_spec,
    delta_spec,
    judge_spec,
    risk_spec,
)
from entrench.study.specs.mechanism import (
    cross_spec,
    decomposition_spec,
    divergence_spec,
    divergence_table_spec,
    mechanism_spec,
    probe_analysis_spec,
    probe_judge_spec,
    probe_prompts_spec,
    probe_spec,
    probe_verdict_spec,
)
from entrench.study.specs.organisms import (
    induction_spec,
    label_spec,
    pool_spec,
    reads_rewards,
    reads_verdicts,
    regularisation_spec,
    reward_spec,
    training_spec,
    verdict_spec,
)
from entrench.study.specs.parts import (
    model_location,
    spec_text,
)
from entrench.study.specs.report import (
    CAPTIONS,
    judge_health_spec,
    report_spec,
)
from entrench.study.specs.tables import (
    PUBLISHED,
    comparison_spec,
    organisms_spec,
    partial_spec,
    power_spec,
    rates_spec,
    runs_spec,
    summary_spec,
)

__all__ = [
    "CAPTIONS",
    "PUBLISHED",
    "agreement_spec",
    "comparison_spec",
    "completion_spec",
    "cross_spec",
    "data_spec",
    "decomposition_spec",
    "delta_spec",
    "divergence_spec",
    "divergence_table_spec",
    "fetch_spec",
    "induction_spec",
    "injection_spec",
    "judge_health_spec",
    "judge_server",
    "judge_spec",
    "judges",
    "label_spec",
    "mechanism_spec",
    "model_location",
    "model_spec",
    "organisms_spec",
    "partial_spec",
    "pool_spec",
    "power_spec",
    "probe_analysis_spec",
    "probe_judge_spec",
    "probe_prompts_spec",
    "probe_spec",
    "probe_verdict_spec",
    "rates_spec",
    "reads_rewards",
    "reads_verdicts",
    "regularisation_spec",
    "report_spec",
    "reward_model_spec",
    "reward_spec",
    "risk_spec",
    "runs_spec",
    "spec_text",
    "summary_spec",
    "training_spec",
    "verdict_spec",
]
