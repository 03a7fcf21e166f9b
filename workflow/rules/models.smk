# The models that the workflow makes itself: they are trained from scratch.

from entrench.study.specs.data import model_spec, reward_model_spec
from entrench.study.specs.parts import spec_text


rule model_make:
    output:
        expand("<results>/models/{{model}}/{name}", name=paths.MODEL_FILES),
    log:
        "<logs>/model_make/{model}.log",
    wildcard_constraints:
        model=any_of(MADE_MODELS),
    conda:
        "../../environment.yml"
    threads: cores_of(size_of_model)
    resources:
        **machine(size_of_model),
    params:
        spec=spec(model_spec, lambda wildcards: wildcards.model),
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
    threads: cores_of(size_of_reward)
    resources:
        **machine(size_of_reward),
    params:
        spec=spec_text(reward_model_spec(CONFIG)),
    shell:
        r"""
        python workflow/scripts/gpus_lease.py {resources.gpu} \
            python workflow/scripts/reward_make.py \
            --spec {params.spec:q} \
            --files {output:q} \
            >{log:q} 2>&1
        """
