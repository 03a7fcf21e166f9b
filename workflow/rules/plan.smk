# What the sweep will cost. The plan is made again when the results have changed.


rule plan_make:
    output:
        table=ensure("<results>/plan.csv", non_empty=True),
        page=ensure("<results>/plan.md", non_empty=True),
    log:
        "<logs>/plan_make.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        spec=plan_params,
    shell:
        r"""
        python workflow/scripts/plan_make.py \
            --spec {params.spec:q} \
            --table {output.table:q} \
            --page {output.page:q} \
            2>{log:q}
        """
