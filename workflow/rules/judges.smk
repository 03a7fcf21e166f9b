# How far the judges can be trusted. The first two rules run on request alone: no result needs them.

from entrench.study.specs.judging import agreement_spec, injection_spec, judges

ENDPOINTS = [name for name, judge in judges(CONFIG).items() if judge.server]
# A misalignment without a judge prompt is scored by rules, whatever the judge.
COMPARED = [name for name in SWEEP.misalignments if CONFIG.judging.second and by_name()[name].judge]


rule judges_compare:
    input:
        prompts="<results>/data/{misalignment}/eval.jsonl",
        completions=lambda wildcards: judged_files(wildcards, "completions.jsonl"),
        scores=lambda wildcards: judged_files(wildcards, "scores.jsonl"),
    output:
        agreement=ensure("<results>/judges/{misalignment}/agreement.csv", non_empty=True),
        confusion=ensure("<results>/judges/{misalignment}/confusion.csv", non_empty=True),
        usage=ensure("<results>/judges/{misalignment}/judge_usage.json", non_empty=True),
    log:
        "<logs>/judges_compare/{misalignment}.log",
    wildcard_constraints:
        misalignment=any_of(COMPARED),
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        judge_calls=judge_calls("second"),
        server=server_of("second"),
        cache=CONFIG.judging.cache,
    params:
        spec=spec(agreement_spec, lambda wildcards: wildcards.misalignment),
    shell:
        r"""
        python workflow/scripts/judges_compare.py \
            --spec {params.spec:q} \
            --prompts {input.prompts:q} \
            --completions {input.completions:q} \
            --scores {input.scores:q} \
            --agreement {output.agreement:q} \
            --confusion {output.confusion:q} \
            --usage {output.usage:q} \
            --server {resources.server:q} \
            --calls {resources.judge_calls} \
            --cache {resources.cache:q} \
            >{log:q} 2>&1
        """


rule judges_attack:
    output:
        attempts=ensure("<results>/judges/{judge}/injections.csv", non_empty=True),
        usage=ensure("<results>/judges/{judge}/judge_usage.json", non_empty=True),
    log:
        "<logs>/judges_attack/{judge}.log",
    wildcard_constraints:
        judge=any_of(ENDPOINTS),
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        judge_calls=lambda wildcards: judge_calls(wildcards.judge),
        server=lambda wildcards: server_of(wildcards.judge)(wildcards),
        cache=CONFIG.judging.cache,
    params:
        spec=spec(injection_spec, lambda wildcards: wildcards.judge),
    shell:
        r"""
        python workflow/scripts/judges_attack.py \
            --spec {params.spec:q} \
            --attempts {output.attempts:q} \
            --usage {output.usage:q} \
            --server {resources.server:q} \
            --calls {resources.judge_calls} \
            --cache {resources.cache:q} \
            >{log:q} 2>&1
        """


rule judges_collect:
    input:
        organisms="<results>/{part}organisms.csv",
        runs="<results>/{part}runs_detail.csv",
    output:
        health=report(
            "<results>/{part}judge_health.csv",
            caption="../report/judge_health.rst",
            category="Tables",
            labels={"table": "judge_health", "part": "{part}"},
        ),
    log:
        "<logs>/{part}judges_collect.log",
    wildcard_constraints:
        part=WITH_PARTIAL,
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        results=CONFIG.pathvars.results,
    params:
        spec=judge_health_params,
    shell:
        r"""
        python workflow/scripts/judges_collect.py \
            --spec {params.spec:q} \
            --runs {input.runs:q} \
            --organisms {input.organisms:q} \
            --judges {resources.results:q}/judges \
            --health {output.health:q} \
            >{log:q} 2>&1
        """
