# Models the workflow makes itself, trained from scratch.


rule model_make:
    output:
        expand("<results>/models/{{model}}/{name}", name=MODEL_FILES),
    log:
        "<logs>/model_make/{model}.log",
    wildcard_constraints:
        model=any_of(MADE_MODELS),
    conda:
        "../../environment.yml"
    resources:
        gpu=model_resource("gpus"),
        mem_mb=model_resource("mem_mb"),
        runtime=model_resource("runtime_minutes"),
    params:
        spec=spec(specs.model_spec, lambda wildcards: wildcards.model),
    shell:
        r"""
        python workflow/scripts/model_make.py \
            --spec {params.spec:q} \
            --files {output:q} \
            >{log:q} 2>&1
        """


rule reward_make:
    output:
        expand("<results>/models/reward/{name}", name=REWARD_FILES),
    log:
        "<logs>/reward_make.log",
    conda:
        "../../environment.yml"
    resources:
        gpu=REWARD_SIZE.gpus,
        mem_mb=REWARD_SIZE.mem_mb,
        runtime=REWARD_SIZE.runtime_minutes,
    params:
        spec=specs.spec_text(specs.reward_model_spec(CONFIG)),
    shell:
        r"""
        python workflow/scripts/reward_make.py \
            --spec {params.spec:q} \
            --files {output:q} \
            >{log:q} 2>&1
        """
