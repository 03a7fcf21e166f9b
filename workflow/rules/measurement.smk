# Completions -> scores -> risk, the same for a bare model, an organism and a run; then delta-risk.

from entrench.study.specs.measurement import completion_spec, delta_spec, judge_spec, risk_spec


rule completions_sample:
    input:
        model=subject_model,
        adapter=subject_adapter,
        prompts=subject_slot("eval"),
    output:
        completions=ensure("<results>/{subject}/completions.jsonl", non_empty=True),
        engine="<results>/{subject}/engine.json",
    log:
        "<logs>/completions_sample/{subject}.log",
    conda:
        "../../environment.yml"
    threads: cores_of(size_of_subject)
    resources:
        **machine(size_of_subject, "batch_size", "vllm_memory_percent"),
    params:
        spec=spec_of_subject(completion_spec),
    shell:
        r"""
        python workflow/scripts/gpus_lease.py {resources.gpu} \
            python workflow/scripts/completions_sample.py \
            --spec {params.spec:q} \
            --adapter "{input.adapter}" \
            --prompts {input.prompts:q} \
            --completions {output.completions:q} \
            --engine {output.engine:q} \
            --batch-size {resources.batch_size} \
            --gpus {resources.gpu} \
            --memory-percent {resources.vllm_memory_percent} \
            >{log:q} 2>&1
        """


rule judge_score:
    input:
        prompts=subject_slot("eval"),
        completions="<results>/{subject}/completions.jsonl",
    output:
        scores=ensure("<results>/{subject}/scores.jsonl", non_empty=True),
        judgements="<results>/{subject}/judgements.jsonl",
        usage=ensure("<results>/{subject}/judge_usage.json", non_empty=True),
    log:
        "<logs>/judge_score/{subject}.log",
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        judge_calls=judge_calls("risk_judge"),
        server=server_of("risk_judge"),
        cache=CONFIG.judging.cache,
    params:
        spec=spec_of_subject(judge_spec),
    shell:
        r"""
        python workflow/scripts/judge_score.py \
            --spec {params.spec:q} \
            --prompts {input.prompts:q} \
            --completions {input.completions:q} \
            --scores {output.scores:q} \
            --judgements {output.judgements:q} \
            --usage {output.usage:q} \
            --server {resources.server:q} \
            --calls {resources.judge_calls} \
            --cache {resources.cache:q} \
            >{log:q} 2>&1
        """


rule risk_estimate:
    input:
        prompts=subject_slot("eval"),
        completions="<results>/{subject}/completions.jsonl",
        scores="<results>/{subject}/scores.jsonl",
    output:
        risk=ensure("<results>/{subject}/risk.json", non_empty=True),
    log:
        "<logs>/risk_estimate/{subject}.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        spec=spec_of_subject(risk_spec),
    shell:
        r"""
        python workflow/scripts/risk_estimate.py \
            --spec {params.spec:q} \
            --prompts {input.prompts:q} \
            --completions {input.completions:q} \
            --scores {input.scores:q} \
            --risk {output.risk:q} \
            >{log:q} 2>&1
        """


rule delta_estimate:
    input:
        organism_scores=f"{ORGANISM}/scores.jsonl",
        trained_scores=f"{RUN}/scores.jsonl",
        organism_risk=f"{ORGANISM}/risk.json",
        trained_risk=f"{RUN}/risk.json",
    output:
        delta=ensure(f"{RUN}/delta_risk.csv", non_empty=True),
        prompts=ensure(f"{RUN}/delta_prompts.csv", non_empty=True),
    log:
        "<logs>/delta_estimate/{model}/{misalignment}/seed{seed}/{method}{repeat}.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        spec=spec_of_run(delta_spec),
    shell:
        r"""
        python workflow/scripts/delta_estimate.py \
            --spec {params.spec:q} \
            --organism-scores {input.organism_scores:q} \
            --trained-scores {input.trained_scores:q} \
            --organism-risk {input.organism_risk:q} \
            --trained-risk {input.trained_risk:q} \
            --delta {output.delta:q} \
            --prompts {output.prompts:q} \
            >{log:q} 2>&1
        """
