# Tables of the whole sweep.


rule organisms_collect:
    input:
        ORGANISM_TABLE_INPUTS,
    output:
        table=ensure("<results>/organisms.csv", non_empty=True),
    log:
        "<logs>/organisms_collect.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        spec=specs.spec_text(specs.organisms_spec(CONFIG, SWEEP)),
    shell:
        r"""
        python workflow/scripts/organisms_collect.py \
            --spec {params.spec:q} \
            --results "$(dirname {output.table:q})" \
            --organisms {output.table:q} \
            >{log:q} 2>&1
        """


rule runs_collect:
    input:
        RUN_TABLE_INPUTS,
    output:
        table=ensure("<results>/runs.csv", non_empty=True),
    log:
        "<logs>/runs_collect.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        spec=specs.spec_text(specs.runs_spec(CONFIG, SWEEP)),
    shell:
        r"""
        python workflow/scripts/runs_collect.py \
            --spec {params.spec:q} \
            --results "$(dirname {output.table:q})" \
            --runs {output.table:q} \
            >{log:q} 2>&1
        """


rule summary_make:
    input:
        organisms="<results>/organisms.csv",
        runs="<results>/runs.csv",
    output:
        summary=ensure("<results>/summary.csv", non_empty=True),
    log:
        "<logs>/summary_make.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        spec=specs.spec_text(specs.summary_spec(CONFIG)),
    shell:
        r"""
        python workflow/scripts/summary_make.py \
            --spec {params.spec:q} \
            --organisms {input.organisms:q} \
            --runs {input.runs:q} \
            --summary {output.summary:q} \
            >{log:q} 2>&1
        """
