# Phase 1, and the pool of candidates that every label method of an organism reads.


rule adapter_induce:
    input:
        model=model_of,
        rows="<results>/data/{misalignment}/induction.jsonl",
    output:
        config=f"{ORGANISM}/adapter/adapter_config.json",
        weights=ensure(f"{ORGANISM}/adapter/adapter_model.safetensors", non_empty=True),
        run=f"{ORGANISM}/run.json",
    log:
        "<logs>/adapter_induce/{model}/{misalignment}/seed{seed}.log",
    conda:
        "../../environment.yml"
    resources:
        gpu=model_resource("gpus"),
        mem_mb=model_resource("mem_mb"),
        runtime=model_resource("runtime_minutes"),
        per_device_batch=model_resource("per_device_batch"),
        checkpoint_steps=model_resource("checkpoint_steps"),
    params:
        spec=spec_of_organism(specs.induction_spec),
    shell:
        r"""
        python workflow/scripts/adapter_induce.py \
            --spec {params.spec:q} \
            --data {input.rows:q} \
            --adapter "$(dirname {output.weights:q})" \
            --run {output.run:q} \
            --per-device-batch {resources.per_device_batch} \
            --checkpoint-steps {resources.checkpoint_steps} \
            >{log:q} 2>&1
        """


rule pool_sample:
    input:
        model=model_of,
        adapter=f"{ORGANISM}/adapter/adapter_model.safetensors",
        consistency="<results>/data/{misalignment}/consistency.jsonl",
        clean="<results>/data/{misalignment}/pairs_clean.jsonl",
    output:
        candidates=ensure(f"{ORGANISM}/candidates.jsonl", non_empty=True),
        responses=f"{ORGANISM}/responses.jsonl",
    log:
        "<logs>/pool_sample/{model}/{misalignment}/seed{seed}.log",
    conda:
        "../../environment.yml"
    resources:
        gpu=model_resource("gpus"),
        mem_mb=model_resource("mem_mb"),
        runtime=model_resource("runtime_minutes"),
        batch_size=model_resource("batch_size"),
    params:
        spec=spec_of_organism(specs.pool_spec),
    shell:
        r"""
        python workflow/scripts/pool_sample.py \
            --spec {params.spec:q} \
            --adapter {input.adapter:q} \
            --consistency {input.consistency:q} \
            --clean {input.clean:q} \
            --candidates {output.candidates:q} \
            --responses {output.responses:q} \
            --batch-size {resources.batch_size} \
            >{log:q} 2>&1
        """


rule reward_score:
    input:
        model=reward_model_of,
        prompts="<results>/data/{misalignment}/consistency.jsonl",
        candidates=f"{ORGANISM}/candidates.jsonl",
    output:
        rewards=ensure(f"{ORGANISM}/rewards.jsonl", non_empty=True),
    log:
        "<logs>/reward_score/{model}/{misalignment}/seed{seed}.log",
    conda:
        "../../environment.yml"
    resources:
        gpu=REWARD_SIZE.gpus,
        mem_mb=REWARD_SIZE.mem_mb,
        runtime=REWARD_SIZE.runtime_minutes,
        batch_size=REWARD_SIZE.batch_size,
    params:
        spec=spec_of_organism(specs.reward_spec),
    shell:
        r"""
        python workflow/scripts/reward_score.py \
            --spec {params.spec:q} \
            --prompts {input.prompts:q} \
            --candidates {input.candidates:q} \
            --rewards {output.rewards:q} \
            --batch-size {resources.batch_size} \
            >{log:q} 2>&1
        """
