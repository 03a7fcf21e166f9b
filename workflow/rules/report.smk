# The report: one page from tables and figures, of the sweep, a part of it or its complete runs.


rule report_make:
    input:
        tables=report_tables,
        figures=report_figures,
    output:
        page=ensure("<results>/{part}report.html", non_empty=True),
    log:
        "<logs>/{part}report_make.log",
    wildcard_constraints:
        part=WITH_PARTIAL,
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        results=CONFIG.pathvars.results,
    params:
        spec=report_params,
    shell:
        r"""
        python workflow/scripts/report_make.py \
            --spec {params.spec:q} \
            --results {resources.results:q} \
            --tables {input.tables:q} \
            --figures {input.figures:q} \
            --report {output.page:q} \
            >{log:q} 2>&1
        """
