# Models the workflow makes itself, trained from scratch.


rule model_make:
    output:
        expand("<results>/models/{{model}}/{name}", name=paths.MODEL_FILES),
    log:
        "<logs>/model_make/{model}.log",
    wildcard_constraints:
        model=any_of(MADE_MODELS),
    conda:
        "../../environment.yml"
    resources:
        gpu=model_ask("gpu"),
        gpu_model=model_ask("gpu_model"),
        cpus_per_task=model_ask("cpus_per_task"),
        mem_mb=model_ask("mem_mb"),
        runtime=model_ask("runtime"),
    params:
        spec=spec(specs.model_spec, lambda wildcards: wildcards.model),
    shell:
        r"""
        python workflow/scripts/gpus_lease.py {resources.gpu} \
            python workflow/scripts/model_make.py \
            --spec {params.spec:q} \
            --files {output:q} \
            >{log:q} 2>&1
        """


rule reward_make:
    output:
        expand("<results>/models/reward/{name}", name=paths.REWARD_FILES),
    log:
        "<logs>/reward_make.log",
    conda:
        "../../environment.yml"
    resources:
        gpu=reward_ask("gpu"),
        gpu_model=reward_ask("gpu_model"),
        cpus_per_task=reward_ask("cpus_per_task"),
        mem_mb=reward_ask("mem_mb"),
        runtime=reward_ask("runtime"),
    params:
        spec=specs.spec_text(specs.reward_model_spec(CONFIG)),
    shell:
        r"""
        python workflow/scripts/gpus_lease.py {resources.gpu} \
            python workflow/scripts/reward_make.py \
            --spec {params.spec:q} \
            --files {output:q} \
            >{log:q} 2>&1
        """
