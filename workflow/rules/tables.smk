# Tables of the whole sweep, of a part of it, and of the runs that are complete so far.

from entrench.study.specs.tables import organisms_spec, runs_spec, summary_spec


rule organisms_collect:
    input:
        organism_table_inputs,
    output:
        table=report(
            ensure("<results>/{part}organisms.csv", non_empty=True),
            caption="../report/organisms.rst",
            category="Tables",
            labels={"table": "organisms", "part": "{part}"},
        ),
    log:
        "<logs>/{part}organisms_collect.log",
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        results=CONFIG.pathvars.results,
    params:
        spec=spec_of_part(organisms_spec),
    shell:
        r"""
        python workflow/scripts/organisms_collect.py \
            --spec {params.spec:q} \
            --results {resources.results:q} \
            --organisms {output.table:q} \
            >{log:q} 2>&1
        """


rule runs_collect:
    input:
        run_table_inputs,
    output:
        runs=report(
            ensure("<results>/{part}runs.csv", non_empty=True),
            caption="../report/runs.rst",
            category="Tables",
            labels={"table": "runs", "part": "{part}"},
        ),
        detail=report(
            ensure("<results>/{part}runs_detail.csv", non_empty=True),
            caption="../report/runs_detail.rst",
            category="Tables",
            labels={"table": "runs_detail", "part": "{part}"},
        ),
    log:
        "<logs>/{part}runs_collect.log",
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        results=CONFIG.pathvars.results,
    params:
        spec=spec_of_part(runs_spec),
    shell:
        r"""
        python workflow/scripts/runs_collect.py \
            --spec {params.spec:q} \
            --results {resources.results:q} \
            --runs {output.runs:q} \
            --detail {output.detail:q} \
            >{log:q} 2>&1
        """


rule summary_make:
    input:
        organisms="<results>/{part}organisms.csv",
        runs="<results>/{part}runs_detail.csv",
        prompts=prompt_deltas,
    output:
        summary=report(
            ensure("<results>/{part}summary.csv", non_empty=True),
            caption="../report/summary.rst",
            category="Tables",
            labels={"table": "summary", "part": "{part}"},
        ),
        detail=report(
            ensure("<results>/{part}detail.csv", non_empty=True),
            caption="../report/detail.rst",
            category="Tables",
            labels={"table": "detail", "part": "{part}"},
        ),
        variance=report(
            "<results>/{part}variance.csv",
            caption="../report/variance.rst",
            category="Tables",
            labels={"table": "variance", "part": "{part}"},
        ),
        contrasts=report(
            ensure("<results>/{part}contrasts.csv", non_empty=True),
            caption="../report/contrasts.rst",
            category="Tables",
            labels={"table": "contrasts", "part": "{part}"},
        ),
    log:
        "<logs>/{part}summary_make.log",
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        results=CONFIG.pathvars.results,
    params:
        spec=spec_of_part(summary_spec),
    shell:
        r"""
        python workflow/scripts/summary_make.py \
            --spec {params.spec:q} \
            --organisms {input.organisms:q} \
            --runs {input.runs:q} \
            --results {resources.results:q} \
            --summary {output.summary:q} \
            --detail {output.detail:q} \
            --variance {output.variance:q} \
            --contrasts {output.contrasts:q} \
            >{log:q} 2>&1
        """


rule partial_make:
    output:
        organisms="<results>/partial/organisms.csv",
        runs="<results>/partial/runs.csv",
        runs_detail="<results>/partial/runs_detail.csv",
        summary="<results>/partial/summary.csv",
        detail="<results>/partial/detail.csv",
        missing="<results>/partial/missing.csv",
    log:
        "<logs>/partial_make.log",
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        results=CONFIG.pathvars.results,
    params:
        spec=partial_params,
    shell:
        r"""
        python workflow/scripts/partial_make.py \
            --spec {params.spec:q} \
            --results {resources.results:q} \
            --tables "$(dirname {output.summary:q})" \
            >{log:q} 2>&1
        """
