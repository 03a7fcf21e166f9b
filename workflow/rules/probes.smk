# Probes: candidates as in the pool, on evaluation prompts, with rewards, scores and verdicts. And
# answers to both prompts of the pairs, which methods on pairs train on.

from entrench.study.specs.mechanism import (
    flips_spec,
    pair_answers_spec,
    pair_judge_spec,
    pair_prompts_spec,
    probe_analysis_spec,
    probe_judge_spec,
    probe_prompts_spec,
    probe_spec,
    probe_verdict_spec,
)
from entrench.study.specs.organisms import reward_spec

PROBED = "<results>/{subject}/probe"


rule probe_choose:
    input:
        prompts="<results>/data/{misalignment}/eval.jsonl",
    output:
        chosen=ensure("<results>/data/{misalignment}/probe.jsonl", non_empty=True),
    log:
        "<logs>/probe_choose/{misalignment}.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        spec=spec(probe_prompts_spec, lambda wildcards: wildcards.misalignment),
    shell:
        r"""
        python workflow/scripts/probe_choose.py \
            --spec {params.spec:q} \
            --prompts {input.prompts:q} \
            --chosen {output.chosen:q} \
            >{log:q} 2>&1
        """


rule probe_sample:
    input:
        model=subject_model,
        adapter=subject_adapter,
        prompts=subject_slot("probe"),
        rubric=rubric_of_subject,
    output:
        probe=ensure(f"{PROBED}.jsonl", non_empty=True),
        refined=f"{PROBED}_refined.jsonl",
        engine=f"{PROBED}_engine.json",
    log:
        "<logs>/probe_sample/{subject}.log",
    conda:
        "../../environment.yml"
    threads: cores_of(size_of_subject)
    resources:
        **machine(size_of_subject, "batch_size", "vllm_memory_percent"),
    params:
        spec=spec_of_subject(probe_spec),
    shell:
        r"""
        python workflow/scripts/gpus_lease.py {resources.gpu} \
            python workflow/scripts/probe_sample.py \
            --spec {params.spec:q} \
            --adapter "{input.adapter}" \
            --prompts {input.prompts:q} \
            --rubric "{input.rubric}" \
            --probe {output.probe:q} \
            --refined {output.refined:q} \
            --engine {output.engine:q} \
            --batch-size {resources.batch_size} \
            --gpus {resources.gpu} \
            --memory-percent {resources.vllm_memory_percent} \
            >{log:q} 2>&1
        """


use rule reward_score as probe_reward with:
    input:
        model=reward_model_of,
        prompts=subject_slot("probe"),
        candidates=f"{PROBED}.jsonl",
    output:
        rewards=ensure(f"{PROBED}_rewards.jsonl", non_empty=True),
    log:
        "<logs>/probe_reward/{subject}.log",
    params:
        spec=spec_of_subject(reward_spec),


use rule judge_score as probe_judge with:
    input:
        prompts=subject_slot("probe"),
        completions=f"{PROBED}.jsonl",
    output:
        scores=ensure(f"{PROBED}_scores.jsonl", non_empty=True),
        judgements=f"{PROBED}_judgements.jsonl",
        usage=ensure(f"{PROBED}_judge_usage.json", non_empty=True),
    log:
        "<logs>/probe_judge/{subject}.log",
    localrule: True
    params:
        spec=spec_of_subject(probe_judge_spec),


use rule labels_judge as probe_compare with:
    input:
        prompts=subject_slot("probe"),
        candidates=f"{PROBED}.jsonl",
    output:
        verdicts=f"{PROBED}_verdicts.jsonl",
        usage=ensure(f"{PROBED}_verdict_usage.json", non_empty=True),
    log:
        "<logs>/probe_compare/{subject}.log",
    localrule: True
    params:
        spec=spec_of_subject(probe_verdict_spec),


rule probe_analyse:
    input:
        probe=f"{PROBED}.jsonl",
        rewards=f"{PROBED}_rewards.jsonl",
        scores=f"{PROBED}_scores.jsonl",
        verdicts=f"{PROBED}_verdicts.jsonl",
    output:
        eta=ensure("<results>/{subject}/eta.csv", non_empty=True),
        bins=ensure("<results>/{subject}/eta_bins.csv", non_empty=True),
        stability=ensure("<results>/{subject}/stability.csv", non_empty=True),
    log:
        "<logs>/probe_analyse/{subject}.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        spec=spec_of_subject(probe_analysis_spec),
    shell:
        r"""
        python workflow/scripts/probe_analyse.py \
            --spec {params.spec:q} \
            --probe {input.probe:q} \
            --rewards {input.rewards:q} \
            --scores {input.scores:q} \
            --verdicts {input.verdicts:q} \
            --eta {output.eta:q} \
            --bins {output.bins:q} \
            --stability {output.stability:q} \
            >{log:q} 2>&1
        """


rule pairs_choose:
    input:
        clean="<results>/data/{misalignment}/pairs_clean.jsonl",
        wrapped="<results>/data/{misalignment}/pairs_wrapped.jsonl",
    output:
        asked=ensure("<results>/data/{misalignment}/pairs_asked.jsonl", non_empty=True),
        judged=ensure("<results>/data/{misalignment}/pairs_judged.jsonl", non_empty=True),
    log:
        "<logs>/pairs_choose/{misalignment}.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        spec=spec(pair_prompts_spec, lambda wildcards: wildcards.misalignment),
    shell:
        r"""
        python workflow/scripts/pairs_choose.py \
            --spec {params.spec:q} \
            --clean {input.clean:q} \
            --wrapped {input.wrapped:q} \
            --asked {output.asked:q} \
            --judged {output.judged:q} \
            >{log:q} 2>&1
        """


use rule completions_sample as pairs_sample with:
    input:
        model=subject_model,
        adapter=subject_adapter,
        prompts=subject_slot("pairs_asked"),
    output:
        completions=ensure("<results>/{subject}/pairs.jsonl", non_empty=True),
        engine="<results>/{subject}/pairs_engine.json",
    log:
        "<logs>/pairs_sample/{subject}.log",
    params:
        spec=spec_of_subject(pair_answers_spec),


use rule judge_score as pairs_judge with:
    input:
        prompts=subject_slot("pairs_judged"),
        completions="<results>/{subject}/pairs.jsonl",
    output:
        scores=ensure("<results>/{subject}/pairs_scores.jsonl", non_empty=True),
        judgements="<results>/{subject}/pairs_judgements.jsonl",
        usage=ensure("<results>/{subject}/pairs_judge_usage.json", non_empty=True),
    log:
        "<logs>/pairs_judge/{subject}.log",
    localrule: True
    params:
        spec=spec_of_subject(pair_judge_spec),


rule flips_estimate:
    input:
        scores="<results>/{subject}/pairs_scores.jsonl",
    output:
        table=ensure("<results>/{subject}/teacher_flips.csv", non_empty=True),
    log:
        "<logs>/flips_estimate/{subject}.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        spec=spec_of_subject(flips_spec),
    shell:
        r"""
        python workflow/scripts/flips_estimate.py \
            --spec {params.spec:q} \
            --scores {input.scores:q} \
            --table {output.table:q} \
            >{log:q} 2>&1
        """
