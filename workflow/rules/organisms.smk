# Phase 1, and the pool of candidates that every label method of an organism reads.

from entrench.study.specs.organisms import induction_spec, pool_spec, reward_spec


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
    threads: cores_of(size_of_model)
    resources:
        **machine(size_of_model, "per_device_batch", "checkpoint_steps", "gradient_checkpointing"),
    params:
        spec=spec_of_organism(induction_spec),
    shell:
        r"""
        python workflow/scripts/gpus_lease.py {resources.gpu} \
            python workflow/scripts/adapter_induce.py \
            --spec {params.spec:q} \
            --data {input.rows:q} \
            --adapter "$(dirname {output.weights:q})" \
            --run {output.run:q} \
            --per-device-batch {resources.per_device_batch} \
            --checkpoint-steps {resources.checkpoint_steps} \
            --gradient-checkpointing {resources.gradient_checkpointing} \
            --processes {resources.gpu} \
            >{log:q} 2>&1
        """


rule pool_sample:
    input:
        model=model_of,
        adapter=f"{ORGANISM}/adapter/adapter_model.safetensors",
        consistency="<results>/data/{misalignment}/consistency.jsonl",
        clean="<results>/data/{misalignment}/pairs_clean.jsonl",
        rubric=rubric_of_organism,
        drawn=[],
    output:
        candidates=ensure(f"{ORGANISM}/candidates.jsonl", non_empty=True),
        responses=f"{ORGANISM}/responses.jsonl",
        engine=f"{ORGANISM}/pool_engine.json",
    log:
        "<logs>/pool_sample/{model}/{misalignment}/seed{seed}.log",
    conda:
        "../../environment.yml"
    threads: cores_of(size_of_model)
    resources:
        **machine(size_of_model, "batch_size", "vllm_memory_percent"),
        parts=parts_of_first_draw,
    params:
        spec=spec_of_organism(pool_spec),
    shell:
        r"""
        python workflow/scripts/gpus_lease.py {resources.gpu} \
            python workflow/scripts/pool_sample.py \
            --spec {params.spec:q} \
            --parts {resources.parts:q} \
            --drawn {input.drawn:q} \
            --adapter {input.adapter:q} \
            --consistency {input.consistency:q} \
            --clean {input.clean:q} \
            --rubric "{input.rubric}" \
            --candidates {output.candidates:q} \
            --responses {output.responses:q} \
            --engine {output.engine:q} \
            --batch-size {resources.batch_size} \
            --gpus {resources.gpu} \
            --memory-percent {resources.vllm_memory_percent} \
            >{log:q} 2>&1
        """


use rule pool_sample as pool_extend with:
    input:
        model=model_of,
        adapter=f"{ORGANISM}/adapter/adapter_model.safetensors",
        consistency="<results>/data/{misalignment}/consistency.jsonl",
        clean="<results>/data/{misalignment}/pairs_clean.jsonl",
        rubric=rubric_of_organism,
        drawn=earlier_draws,
    output:
        candidates=f"{FURTHER_DRAW}candidates.jsonl",
        responses=f"{FURTHER_DRAW}responses.jsonl",
        engine=f"{FURTHER_DRAW}pool_engine.json",
    log:
        "<logs>/pool_extend/{model}/{misalignment}/seed{seed}/pool{pool}/{parts}.log",
    resources:
        **machine(size_of_model, "batch_size", "vllm_memory_percent"),
        parts=lambda wildcards: wildcards.parts,
    params:
        spec=spec_of_pool(pool_spec),


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
    threads: cores_of(size_of_reward)
    resources:
        **machine(size_of_reward, "batch_size", "vllm_memory_percent"),
    params:
        spec=spec_of_organism(reward_spec),
    shell:
        r"""
        python workflow/scripts/gpus_lease.py {resources.gpu} \
            python workflow/scripts/reward_score.py \
            --spec {params.spec:q} \
            --prompts {input.prompts:q} \
            --candidates {input.candidates:q} \
            --rewards {output.rewards:q} \
            --batch-size {resources.batch_size} \
            --gpus {resources.gpu} \
            --memory-percent {resources.vllm_memory_percent} \
            >{log:q} 2>&1
        """


use rule reward_score as reward_extend with:
    input:
        model=reward_model_of,
        prompts="<results>/data/{misalignment}/consistency.jsonl",
        candidates=f"{FURTHER_DRAW}candidates.jsonl",
    output:
        rewards=ensure(f"{FURTHER_DRAW}rewards.jsonl", non_empty=True),
    log:
        "<logs>/reward_extend/{model}/{misalignment}/seed{seed}/pool{pool}/{parts}.log",
