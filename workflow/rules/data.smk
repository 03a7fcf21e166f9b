# The rows of every slot: made (synthetic) or read from the released files, verified.


rule data_prepare:
    input:
        remake_unfinished,
    output:
        expand("<results>/data/{{misalignment}}/{slot}.jsonl", slot=SLOTS),
    log:
        "<logs>/data_prepare/{misalignment}.log",
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        mirror=CONFIG.data.mirror or "",
    params:
        spec=spec(specs.data_spec, lambda wildcards: wildcards.misalignment),
    shell:
        r"""
        python workflow/scripts/data_prepare.py \
            --spec {params.spec:q} \
            --mirror "{resources.mirror}" \
            --slots {output:q} \
            >{log:q} 2>&1
        """
