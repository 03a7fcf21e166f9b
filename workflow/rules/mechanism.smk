# Why a delta-risk has its sign, from the probes; and the KL between models.

from entrench.study.specs.mechanism import (
    decomposition_spec,
    divergence_spec,
    divergence_table_spec,
    mechanism_spec,
)


rule label_risk_estimate:
    input:
        prompts="<results>/data/{misalignment}/probe.jsonl",
        probe=f"{ORGANISM}/probe.jsonl",
        refined=f"{ORGANISM}/probe_refined.jsonl",
        probe_scores=f"{ORGANISM}/probe_scores.jsonl",
        rewards=f"{ORGANISM}/probe_rewards.jsonl",
        verdicts=f"{ORGANISM}/probe_verdicts.jsonl",
        organism_scores=f"{ORGANISM}/scores.jsonl",
        trained_scores=[],
    output:
        table=ensure(f"{METHOD}/label_risk.csv", non_empty=True),
    log:
        "<logs>/label_risk_estimate/{model}/{misalignment}/seed{seed}/{method}.log",
    wildcard_constraints:
        method=any_of(LABEL_METHODS),
    localrule: True
    conda:
        "../../environment.yml"
    params:
        spec=spec_of_run(decomposition_spec),
    shell:
        r"""
        python workflow/scripts/decomposition_estimate.py \
            --spec {params.spec:q} \
            --prompts {input.prompts:q} \
            --probe {input.probe:q} \
            --refined {input.refined:q} \
            --probe-scores {input.probe_scores:q} \
            --rewards {input.rewards:q} \
            --verdicts {input.verdicts:q} \
            --organism-scores {input.organism_scores:q} \
            --trained-scores "{input.trained_scores}" \
            --table {output.table:q} \
            >{log:q} 2>&1
        """


use rule label_risk_estimate as decomposition_estimate with:
    input:
        prompts="<results>/data/{misalignment}/probe.jsonl",
        probe=f"{ORGANISM}/probe.jsonl",
        refined=f"{ORGANISM}/probe_refined.jsonl",
        probe_scores=f"{ORGANISM}/probe_scores.jsonl",
        rewards=f"{ORGANISM}/probe_rewards.jsonl",
        verdicts=f"{ORGANISM}/probe_verdicts.jsonl",
        organism_scores=f"{ORGANISM}/scores.jsonl",
        trained_scores=f"{METHOD}/scores.jsonl",
    output:
        table=ensure(f"{METHOD}/decomposition.csv", non_empty=True),
    log:
        "<logs>/decomposition_estimate/{model}/{misalignment}/seed{seed}/{method}.log",
    localrule: True


rule divergence_measure:
    input:
        model=model_of,
        organism=f"{ORGANISM}/adapter/adapter_model.safetensors",
        trained=f"{METHOD}/adapter/adapter_model.safetensors",
        prompts="<results>/data/{misalignment}/probe.jsonl",
    output:
        divergence=ensure(f"{METHOD}/divergence.jsonl", non_empty=True),
    log:
        "<logs>/divergence_measure/{model}/{misalignment}/seed{seed}/{method}.log",
    conda:
        "../../environment.yml"
    threads: cores_of(size_of_model)
    resources:
        **machine(size_of_model, "batch_size"),
    params:
        spec=spec_of_run(divergence_spec),
    shell:
        r"""
        python workflow/scripts/gpus_lease.py {resources.gpu} \
            python workflow/scripts/divergence_measure.py \
            --spec {params.spec:q} \
            --organism "$(dirname {input.organism:q})" \
            --trained "$(dirname {input.trained:q})" \
            --prompts {input.prompts:q} \
            --divergence {output.divergence:q} \
            --batch-size {resources.batch_size} \
            >{log:q} 2>&1
        """


rule labels_cross:
    input:
        model=lambda wildcards: model_files(wildcards.other),
        adapter=adapter_of_other,
        prompts="<results>/data/{misalignment}/consistency.jsonl",
        candidates=sampled_draws,
    output:
        cross=ensure(f"{ORGANISM}/scored_by/{{other}}/cross.jsonl", non_empty=True),
        table=ensure(f"{ORGANISM}/scored_by/{{other}}/label_kl.csv", non_empty=True),
        engine=f"{ORGANISM}/scored_by/{{other}}/engine.json",
    log:
        "<logs>/labels_cross/{model}/{misalignment}/seed{seed}/{other}.log",
    conda:
        "../../environment.yml"
    threads: cores_of(size_of_other)
    resources:
        **machine(size_of_other, "batch_size", "vllm_memory_percent"),
    params:
        spec=cross_params,
    shell:
        r"""
        python workflow/scripts/gpus_lease.py {resources.gpu} \
            python workflow/scripts/labels_cross.py \
            --spec {params.spec:q} \
            --adapter {input.adapter:q} \
            --prompts {input.prompts:q} \
            --candidates {input.candidates:q} \
            --cross {output.cross:q} \
            --table {output.table:q} \
            --engine {output.engine:q} \
            --batch-size {resources.batch_size} \
            --gpus {resources.gpu} \
            --memory-percent {resources.vllm_memory_percent} \
            >{log:q} 2>&1
        """


rule mechanism_collect:
    input:
        mechanism_table_inputs,
        runs="<results>/{part}runs_detail.csv",
        organisms="<results>/{part}organisms.csv",
    output:
        decomposition=report(
            "<results>/{part}decomposition.csv",
            caption="../report/decomposition.rst",
            category="Tables",
            labels={"table": "decomposition", "part": "{part}"},
        ),
        eta=report(
            "<results>/{part}eta.csv",
            caption="../report/eta.rst",
            category="Tables",
            labels={"table": "eta", "part": "{part}"},
        ),
        bins="<results>/{part}eta_bins.csv",
        stability=report(
            "<results>/{part}stability.csv",
            caption="../report/stability.rst",
            category="Tables",
            labels={"table": "stability", "part": "{part}"},
        ),
        k_scaling="<results>/{part}k_scaling.csv",
        teacher_flips=report(
            "<results>/{part}teacher_flips.csv",
            caption="../report/teacher_flips.rst",
            category="Tables",
            labels={"table": "teacher_flips", "part": "{part}"},
        ),
        prediction=report(
            "<results>/{part}prediction.csv",
            caption="../report/prediction.rst",
            category="Tables",
            labels={"table": "prediction", "part": "{part}"},
        ),
    log:
        "<logs>/{part}mechanism_collect.log",
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        results=CONFIG.pathvars.results,
    params:
        spec=spec_of_part(mechanism_spec),
    shell:
        r"""
        python workflow/scripts/mechanism_collect.py \
            --spec {params.spec:q} \
            --results {resources.results:q} \
            --runs {input.runs:q} \
            --organisms {input.organisms:q} \
            --tables "$(dirname {output.eta:q})" \
            >{log:q} 2>&1
        """


rule divergence_collect:
    input:
        divergence_table_inputs,
        runs="<results>/{part}runs_detail.csv",
        organisms="<results>/{part}organisms.csv",
    output:
        table=ensure("<results>/{part}divergence.csv", non_empty=True),
    log:
        "<logs>/{part}divergence_collect.log",
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        results=CONFIG.pathvars.results,
    params:
        spec=spec_of_part(divergence_table_spec),
    shell:
        r"""
        python workflow/scripts/divergence_collect.py \
            --spec {params.spec:q} \
            --results {resources.results:q} \
            --runs {input.runs:q} \
            --organisms {input.organisms:q} \
            --table {output.table:q} \
            >{log:q} 2>&1
        """
