# Phase 2: a label method selects from the pool. These rules load no model. Labels of a repeat are
# its own only where its pool was drawn again (`redraw`).

from entrench.study.specs.organisms import label_spec, verdict_spec


rule labels_judge:
    input:
        prompts="<results>/data/{misalignment}/consistency.jsonl",
        candidates=read_draws("candidates.jsonl"),
    output:
        verdicts=f"{RUN}/verdicts.jsonl",
        usage=ensure(f"{RUN}/verdict_usage.json", non_empty=True),
    log:
        "<logs>/labels_judge/{model}/{misalignment}/seed{seed}/{method}{repeat}.log",
    wildcard_constraints:
        method=any_of(VERDICT_METHODS),
        repeat=f"|{any_of(map(paths.repeat, REDRAWN))}",
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        judge_calls=judge_calls("label_judge"),
        server=server_of("label_judge"),
        cache=CONFIG.judging.cache,
    params:
        spec=spec_of_run(verdict_spec),
    shell:
        r"""
        python workflow/scripts/labels_judge.py \
            --spec {params.spec:q} \
            --prompts {input.prompts:q} \
            --candidates {input.candidates:q} \
            --verdicts {output.verdicts:q} \
            --usage {output.usage:q} \
            --server {resources.server:q} \
            --calls {resources.judge_calls} \
            --cache {resources.cache:q} \
            >{log:q} 2>&1
        """


rule labels_select:
    input:
        prompts="<results>/data/{misalignment}/consistency.jsonl",
        candidates=read_draws("candidates.jsonl"),
        rewards=rewards_for_labels,
        verdicts=verdicts_for_labels,
    output:
        labels=ensure(f"{RUN}/labels.jsonl", non_empty=True),
    log:
        "<logs>/labels_select/{model}/{misalignment}/seed{seed}/{method}{repeat}.log",
    wildcard_constraints:
        method=any_of(LABEL_METHODS),
        repeat=f"|{any_of(map(paths.repeat, REDRAWN))}",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        spec=spec_of_run(label_spec),
    shell:
        r"""
        python workflow/scripts/labels_select.py \
            --spec {params.spec:q} \
            --prompts {input.prompts:q} \
            --candidates {input.candidates:q} \
            --rewards {input.rewards:q} \
            --verdicts "{input.verdicts}" \
            --labels {output.labels:q} \
            >{log:q} 2>&1
        """
