# Phase 3: training goes on from the organism's adapter, on labels, by a loss on prompt pairs, or on
# the student's own answers.
# A repeat trains again with another training seed, on the same labels or pairs, or on labels from a
# pool that was drawn again.

from entrench.study.specs.organisms import on_policy_spec, regularisation_spec, training_spec


rule adapter_train:
    input:
        model=model_of,
        organism=f"{ORGANISM}/adapter/adapter_model.safetensors",
        labels=labels_of,
    output:
        config=f"{RUN}/adapter/adapter_config.json",
        weights=ensure(f"{RUN}/adapter/adapter_model.safetensors", non_empty=True),
        run=f"{RUN}/run.json",
    log:
        "<logs>/adapter_train/{model}/{misalignment}/seed{seed}/{method}{repeat}.log",
    wildcard_constraints:
        method=any_of(LABEL_METHODS),
    conda:
        "../../environment.yml"
    threads: cores_of(size_of_model)
    resources:
        **machine(size_of_model, "per_device_batch", "checkpoint_steps", "gradient_checkpointing"),
    params:
        spec=spec_of_run(training_spec),
    shell:
        r"""
        python workflow/scripts/gpus_lease.py {resources.gpu} \
            python workflow/scripts/adapter_train.py \
            --spec {params.spec:q} \
            --labels {input.labels:q} \
            --organism "$(dirname {input.organism:q})" \
            --adapter "$(dirname {output.weights:q})" \
            --run {output.run:q} \
            --per-device-batch {resources.per_device_batch} \
            --checkpoint-steps {resources.checkpoint_steps} \
            --gradient-checkpointing {resources.gradient_checkpointing} \
            --processes {resources.gpu} \
            >{log:q} 2>&1
        """


rule adapter_regularise:
    input:
        model=model_of,
        organism=f"{ORGANISM}/adapter/adapter_model.safetensors",
        clean="<results>/data/{misalignment}/pairs_clean.jsonl",
        wrapped="<results>/data/{misalignment}/pairs_wrapped.jsonl",
        responses=responses_of,
        matched=matched_of,
    output:
        config=f"{RUN}/adapter/adapter_config.json",
        weights=ensure(f"{RUN}/adapter/adapter_model.safetensors", non_empty=True),
        run=f"{RUN}/run.json",
    log:
        "<logs>/adapter_regularise/{model}/{misalignment}/seed{seed}/{method}{repeat}.log",
    wildcard_constraints:
        method=any_of(PAIR_METHODS),
    conda:
        "../../environment.yml"
    threads: cores_of(size_of_model)
    resources:
        **machine(size_of_model, "per_device_batch", "checkpoint_steps", "gradient_checkpointing"),
    params:
        spec=spec_of_run(regularisation_spec),
    shell:
        r"""
        python workflow/scripts/gpus_lease.py {resources.gpu} \
            python workflow/scripts/adapter_regularise.py \
            --spec {params.spec:q} \
            --clean {input.clean:q} \
            --wrapped {input.wrapped:q} \
            --responses {input.responses:q} \
            --matched {input.matched:q} \
            --organism "$(dirname {input.organism:q})" \
            --adapter "$(dirname {output.weights:q})" \
            --run {output.run:q} \
            --per-device-batch {resources.per_device_batch} \
            --checkpoint-steps {resources.checkpoint_steps} \
            --gradient-checkpointing {resources.gradient_checkpointing} \
            --processes {resources.gpu} \
            >{log:q} 2>&1
        """


rule adapter_on_policy:
    input:
        model=model_of,
        organism=f"{ORGANISM}/adapter/adapter_model.safetensors",
        clean="<results>/data/{misalignment}/pairs_clean.jsonl",
        wrapped="<results>/data/{misalignment}/pairs_wrapped.jsonl",
    output:
        config=f"{RUN}/adapter/adapter_config.json",
        weights=ensure(f"{RUN}/adapter/adapter_model.safetensors", non_empty=True),
        run=f"{RUN}/run.json",
        rollouts=ensure(f"{RUN}/{paths.ROLLOUTS}", non_empty=True),
    log:
        "<logs>/adapter_on_policy/{model}/{misalignment}/seed{seed}/{method}{repeat}.log",
    wildcard_constraints:
        method=any_of(ON_POLICY_METHODS),
    conda:
        "../../environment.yml"
    threads: cores_of(size_of_model)
    resources:
        **machine(
            size_of_model,
            "per_device_batch",
            "batch_size",
            "checkpoint_steps",
            "gradient_checkpointing",
        ),
    params:
        spec=spec_of_run(on_policy_spec),
    shell:
        r"""
        python workflow/scripts/gpus_lease.py {resources.gpu} \
            python workflow/scripts/adapter_on_policy.py \
            --spec {params.spec:q} \
            --clean {input.clean:q} \
            --wrapped {input.wrapped:q} \
            --organism "$(dirname {input.organism:q})" \
            --adapter "$(dirname {output.weights:q})" \
            --run {output.run:q} \
            --rollouts {output.rollouts:q} \
            --batch-size {resources.batch_size} \
            --per-device-batch {resources.per_device_batch} \
            --checkpoint-steps {resources.checkpoint_steps} \
            --gradient-checkpointing {resources.gradient_checkpointing} \
            --processes {resources.gpu} \
            >{log:q} 2>&1
        """
