"""The config: what is accepted, and that every fault names key, value and what is allowed."""

import copy
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import yaml
from demo_config import DEMO, ENDPOINT, changed
from workspace import ROOT

from entrench.errors import EntrenchError
from entrench.study.config import resolved_phase
from entrench.study.config.check import load_config
from entrench.study.sweep import Organism, Run, expand


def test_the_released_settings_are_the_published_ones():
    study = load_config(yaml.safe_load((ROOT / "config" / "config.yaml").read_text()))
    assert study.training.use == "released"
    released, history = (study.training.sets[name] for name in ("released", "history"))
    lora = {"rank": 32, "alpha": 64, "dropout": 0.05, "target_modules": "all-linear"}
    assert released.adapter.model_dump() == lora
    shared = {"learning_rate": 1e-5, "warmup_ratio": 0.03, "batch_size": 2 * 8}
    shared |= {"max_length": 1024, "loss_on": "sequence", "max_steps": None}
    shared |= {"schedule": "linear", "weight_decay": 0.0, "max_grad_norm": 1.0}
    for phase, epochs in (("induction", 2.0), ("labels", 2.0), ("pairs", 3.0)):
        settings = getattr(released, phase).model_dump()
        assert {name: settings[name] for name in shared} == shared
        assert settings["epochs"] == epochs
        older = getattr(history, phase)
        assert (older.learning_rate, older.epochs) == (1e-4, 5.0)
    assert (history.adapter.rank, history.adapter.alpha) == (64, 128)

    sampling = study.sampling
    samples, nucleus = sampling.sets["samples"], sampling.sets["nucleus"]
    assert (samples.temperature, samples.top_p, samples.max_new_tokens) == (0.7, 0.9, 256)
    assert (nucleus.temperature, nucleus.top_p) == (0.8, 0.9)
    assert (sampling.greedy.max_new_tokens, nucleus.max_new_tokens) == (256, 256)
    assert (sampling.beam.beams, sampling.beam.max_new_tokens) == (4, 256)
    views = {name: view.max_new_tokens for name, view in sampling.views.items()}
    assert views == {"chain_of_thought": 256, "json": 256}
    assert (sampling.refinement.temperature, sampling.refinement.top_p) == (0.6, 0.9)
    scored = sampling.self_score
    assert (scored.rubric, scored.max_new_tokens) == ("released", 512)
    assert (scored.lowest, scored.highest) == (1, 5)
    assert study.evaluation.headline == "greedy"
    greedy = {"temperature": 0.0, "top_p": 1.0, "n": 1, "max_new_tokens": 512}
    assert study.evaluation.decodings["greedy"].settings == greedy
    methods = study.methods
    for name in ("self_confidence", "self_rewarding", "diverse_decoding", "rejection_sampling"):
        assert methods[name].k == 4, name
    assert methods["diverse_decoding_released"].settings == {"set": "nucleus", "k": 1}
    assert (methods["bct"].temperature, methods["act"].weight) == (1.0, 1e-4)
    assert study.reward.hub == "Skywork/Skywork-Reward-V2-Llama-3.1-8B"
    assert study.risk_judge.model == study.label_judge.model == "gpt-4o"


def test_the_demo_is_12_organisms_and_120_runs():
    sweep = expand(load_config(DEMO))
    assert len(sweep.organisms) == 12
    assert (len(sweep.first.runs), len(sweep.runs)) == (120, 144)
    assert sweep.runs[0] == Run(Organism("tiny", "emergent_misalignment", 0), "act")
    assert sweep.runs[0].path == "organisms/tiny/emergent_misalignment/seed0/act"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("modles", {}, "modles: unknown key"),
        ("statistics", ..., "statistics: this key is missing"),
        (
            "training.sets.demo.adapter",
            {
                "rank": 16,
                "alpha": 32,
                "dropout": 0.05,
                "target_modules": "all-linear-and-experts",
            },
            "LoRA on experts has no dropout: set `dropout` to 0",
        ),
        ("training.sets.demo.adapter.rank", "16", 'training.sets.demo.adapter.rank: "16"'),
        ("training.sets.demo.adapter.rank", 0, "greater than or equal to 1"),
        ("training.use", "paper", "`use` is 'paper', allowed: demo"),
        ("training.sets.demo.labels.epochs", 2.0, "exactly one of `epochs` and `max_steps`"),
        ("evaluation.headline", "beam", "`headline` is 'beam', allowed: greedy, sampled"),
        ("evaluation.decodings.greedy.n", 4, "n must be 1 at temperature 0"),
        ("evaluation.decodings.greedy.misalignments", ["sycophancy"] * 2, "stands there twice"),
        ("evaluation.decodings.sampled.misalignments", ["sycophancy"], "which has `misalignments`"),
        ("sampling.self_score.sets", ["x"], "'x' is no sample set, allowed: nucleus, samples"),
        (
            "sampling.self_score.rubric",
            "released",
            "`lowest` is 0 and `highest` is 5: the",
        ),
        (
            "sampling.self_score",
            {
                "sets": ["samples"],
                "rubric": "released",
                "max_new_tokens": 8,
                "lowest": 1,
                "highest": 5,
            },
            "sampling.self_score.rubric: 'released' needs the released data (data.source: release)",
        ),
        ("data.rows.eval", ..., "`rows` gives the number of rows of each slot"),
        ("data.mirror", "somewhere", "`mirror` and `url` are for released data"),
        ("models.tiny.size_class", "8b", "models.tiny.size_class: '8b' is unknown, allowed: tiny"),
        ("models.tiny.hub", "a/b", "`hub` names the model where source is 'hub'"),
        ("methods.act.operator", "acts", "methods.act.operator: 'acts' is unknown, allowed: act"),
        ("methods.act.k", 4, "methods.act.k: operator 'act' has no such setting"),
        ("methods.act.weight", ..., "methods.act.weight: operator 'act' needs this setting"),
        ("methods.self_confidence.set", "s", "methods.self_confidence.set: 's' is not sampled"),
        ("methods.self_confidence.k", 9, "k: 9 is more than set 'samples' holds"),
        ("methods.self_rewarding.set", "nucleus", "'nucleus' is not self-scored"),
        (
            "methods.bct.window",
            "prompt_suffix",
            "  methods.bct.window: \"prompt_suffix\": Input should be 'response' or 'trailing'",
        ),
        ("methods.act.operator", ..., "methods.act.operator: this key is missing"),
        ("methods.act.kind", ..., "methods.act.kind: this key is missing"),
        ("methods.act.weight", 0, "methods.act.weight: 0: Input should be greater than 0"),
        ("sampling.views", {}, "multi_view needs a view: add one to sampling.views"),
        (
            "sampling.sets.beam",
            {"temperature": 1.0, "top_p": 1.0, "n": 1, "max_new_tokens": 8},
            "'beam' is the name of a part of every pool",
        ),
        ("data.rows.pairs_clean", 5, "as many pairs_wrapped as pairs_clean"),
        ("models.tiny.recipe", {"stepss": 3}, "models.tiny.recipe.stepss: unknown key"),
        ("models.tiny.recipe.steps", 3.5, "models.tiny.recipe.steps: 3.5"),
        ("models.tiny.recipe.steps", 0, "models.tiny.recipe.steps: 0"),
        ("models.tiny.recipe.heads", 5, "`hidden` must be a multiple of twice `heads`: 96 and 5"),
        ("models.tiny.recipe", {"heads": 7}, "a multiple of twice `heads`: 96 and 7"),
        ("models.tiny.recipe", {"hidden": 98}, "a multiple of twice `heads`: 98 and 4"),
        ("reward.recipe", {"heads": 7}, "a multiple of twice `heads`: 64 and 7"),
        ("models.tiny.recipe.steps", 10**7, "recipe.steps: 10000000: Input should be less than or"),
        ("data.rows.eval", 10**9, "data.rows.eval: 1000000000: Input should be less than or equal"),
        ("statistics.bootstrap", 10**9, "less than or equal to 100000"),
        ("statistics.level", 1 - 1e-16, "level: 0.9999999999999999: Input should be less than or"),
        ("sweep.0.seeds", [0, 2**31], "sweep.0.seeds.1: 2147483648: Input should be less than or"),
        ("sweep.0.seeds", [2**63], "sweep.0.seeds.0: a number of 64 bits: at most 63 are allowed"),
        ("sweep.0.seeds", [10**5000], "sweep.0.seeds.0: a number of 16610 bits"),
        ("evaluation.decodings.sampled.temperature", 1e308, "less than or equal to 10"),
        ("models.tiny.dtype", "float16", 'models.tiny.dtype: "float16"'),
        ("methods.adapter", {"operator": "multi_view", "kind": "control"}, "used by the path"),
        (
            "methods.again",
            {"operator": "multi_view", "kind": "consistency"},
            "methods.again.variant_of: this key is missing: 'multi_view' has operator",
        ),
        (
            "methods.again",
            {"operator": "multi_view", "kind": "consistency", "variant_of": "act"},
            "methods.again.variant_of: 'act' is no method of operator 'multi_view'",
        ),
        (
            "methods.again",
            {"operator": "multi_view", "kind": "consistency", "variant_of": "again"},
            "that is no variant itself, allowed: multi_view",
        ),
        ("methods.self_confidence.k", 1, "methods.self_confidence.k: 1 selects nothing"),
        ("sweep.0.models", ["big"], "sweep.0.models: 'big' is unknown, allowed: tiny"),
        ("sweep.0.methods", ["opct2"], "sweep.0.methods: 'opct2' is unknown, allowed: act"),
        ("sweep.0.misalignments", ["sycophant"], 'sweep.0.misalignments.0: "sycophant"'),
        ("sweep.0.seeds", [], "sweep.0.seeds"),
        ("sweep.0.exclude", [{}], "name at least one of model, misalignment, method, seed"),
        (
            "sweep.0.exclude",
            [{"seed": 7}],
            "{'seed': 7} matches no cell of this block that is left",
        ),
        ("pathvars.results", "/tmp", "relative to the working directory"),
        ("misalignments", {"sycophancy": {"training": {"induction": {"lr": 1}}}}, "induction.lr"),
        ("risk_judge.misaligned", 130.0, "risk_judge.misaligned: 130.0"),
        ("risk_judge.model", "gpt-4o", "`model` belongs to backend 'endpoint'"),
        ("risk_judge.backend", "endpoint", "`model` belongs to backend 'endpoint', which needs it"),
        ("risk_judge", ENDPOINT | {"max_tokens": ...}, "`max_tokens` belongs to"),
        ("risk_judge.server", {"base_url": "localhost:80"}, "risk_judge.server.base_url"),
        ("label_judge", {"backend": "endpoints"}, "'rules' or 'endpoint'"),
        ("judging", {"second": {"backend": "rules"}}, "judging.second.coherent: this key is miss"),
        ("judging", {"cache": ":memory:"}, 'judging.cache: ":memory:": give the path of a file'),
        ("judging", {"cache": " "}, 'judging.cache: " ": give the path of a file'),
        ("judging", {"cache": ""}, 'judging.cache: ""'),
        ("judging", {"cache": "~/a.sqlite"}, "judging.cache: \"~/a.sqlite\": '~' is not expanded"),
        ("data.mirror", "~/mirror", "data.mirror: \"~/mirror\": '~' is not expanded"),
        ("models.tiny.hub", "~/mine", "models.tiny.hub: \"~/mine\": '~' is not expanded"),
        (
            "models.tiny.revision",
            "main",
            "`revision` belongs to a model from the hub: leave it out",
        ),
        ("reward.revision", "main", "`revision` belongs to a model from the hub: leave it out"),
        (
            "evaluation.decodings.greedy.top_p",
            0.9,
            "top_p is 0.9 and must be 1 at temperature 0",
        ),
        ("sampling.refinement.temperature", 0.0, "top_p is 0.9 and must be 1 at temperature 0"),
    ],
)
def test_a_fault_is_named_with_key_value_and_what_is_allowed(path, value, message):
    with pytest.raises(EntrenchError) as caught:
        expand(load_config(changed(path, value)))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "name", ["risk.json", "risk.json.lease", "adapter.checkpoints", "scored_by", "pool", "seed1"]
)
def test_a_method_has_no_name_of_the_path_grammar(name):
    raw = copy.deepcopy(DEMO)
    raw["methods"][name] = {"operator": "multi_view", "kind": "control"}
    with pytest.raises(EntrenchError) as caught:
        load_config(raw)
    assert str(caught.value) == (
        "the config is not valid:\n"
        f"  methods.{name}: this name is used by the path grammar; choose another"
    )


def test_every_fault_stands_there_once():
    raw = changed("methods.self_confidence.k", 9)
    raw["sampling"]["views"] = {}
    with pytest.raises(EntrenchError) as caught:
        load_config(raw)
    assert str(caught.value) == (
        "the config is not valid:\n"
        "  methods.self_confidence.k: 9 is more than set 'samples' holds "
        "(sampling.sets.samples.n = 8)\n"
        "  methods.multi_view: multi_view needs a view: add one to sampling.views"
    )


def test_released_answers_that_differ_within_a_pair_are_refused_before_anything_runs():
    raw = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    raw["methods"]["bct"]["response"] = "released"
    with pytest.raises(EntrenchError) as caught:
        load_config(raw)
    assert (
        "sweep.2.methods: 'bct' has `response: released` with `window: response`, but the answers "
        "in the pairs of 'sycophancy' differ: set its `response` to own or `window` to trailing"
    ) in str(caught.value)
    assert "emergent_misalignment" not in str(caught.value)
    raw["methods"]["bct"]["window"] = "trailing"
    load_config(raw)


def test_adapters_of_experts_are_refused_on_several_gpus():
    raw = changed("training.sets.demo.adapter.target_modules", "all-linear-and-experts")
    load_config(raw)  # no GPU
    raw["size_classes"]["tiny"]["gpus"] = 1
    load_config(raw)
    raw["size_classes"]["tiny"]["gpus"] = 2
    with pytest.raises(EntrenchError) as caught:
        load_config(raw)
    assert str(caught.value) == (
        "the config is not valid:\n  size_classes.tiny.gpus: 2: LoRA on experts "
        "(training.sets.demo.adapter.target_modules) trains in one process: set 1, or "
        "target_modules to all-linear"
    )
    raw["training"]["sets"]["demo"]["adapter"]["target_modules"] = "all-linear"
    load_config(raw)


def test_adapters_that_vllm_cannot_serve_are_refused_before_they_are_trained():
    raw = changed("training.sets.demo.adapter.rank", 1024)
    raw["training"]["sets"]["demo"]["adapter"]["target_modules"] = "all-linear-and-experts"
    for engine in ("transformers", "auto"):  # auto falls back where there is no GPU
        load_config(raw | {"engine": engine})
    with pytest.raises(EntrenchError) as caught:
        load_config(raw | {"engine": "vllm"})
    adapter = "training.sets.demo.adapter"
    assert str(caught.value) == (
        f"the config is not valid:\n  {adapter}.rank: 1024: vLLM serves at most 512: lower it, or "
        "set `engine: transformers`\n  size_classes.tiny.gpus: 0: vLLM serves LoRA on experts "
        f"({adapter}.target_modules) on GPUs alone: set 1, or `engine: transformers`"
    )
    raw["training"]["sets"]["demo"]["adapter"]["rank"] = 512
    raw["size_classes"]["tiny"]["gpus"] = 1
    load_config(raw | {"engine": "vllm"})


def test_of_what_is_not_swept_vllm_need_not_serve_the_adapters():
    raw = changed("training.sets.demo.adapter.rank", 1024) | {"engine": "vllm"}
    for block in raw["sweep"]:
        block["enabled"] = False
    load_config(raw)


def test_reading_a_config_imports_no_engine():
    heavy = "{'torch', 'vllm', 'transformers'}"
    code = f"import sys, entrench.study.config.check; print({heavy} & {{*sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow" / "scripts")},
    )
    assert done.stdout == "set()\n"


def test_the_bench_measures_the_models_of_the_demo():
    bench = yaml.safe_load((ROOT / "bench" / "seeds.yaml").read_text())
    assert all(model == DEMO["models"]["tiny"] for model in bench["models"].values())
    over = copy.deepcopy(DEMO)
    over["models"] |= bench["models"]
    over["planning"]["models"] |= bench["planning"]["models"]
    assert len(expand(load_config(over | {"sweep": bench["sweep"]})).organisms) == 12


def test_the_bench_of_methods_on_policy_is_a_sweep_of_the_demos_organisms():
    bench = yaml.safe_load((ROOT / "bench" / "on_policy.yaml").read_text())
    over = copy.deepcopy(DEMO) | {"sweep": bench["sweep"]}
    over["methods"] |= bench["methods"]
    sweep = expand(load_config(over))
    assert set(sweep.organisms) <= set(expand(load_config(DEMO)).organisms)
    assert len(sweep.runs) == 132


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"max_new_tokens": 500}, "methods.opct.max_new_tokens: 500 leaves no room for a prompt"),
        ({"discount": 2.0}, "methods.opct.discount: 2.0"),
        ({"temperature": 0.0}, "methods.opct.temperature: 0.0"),
    ],
)
def test_answers_that_cannot_be_drawn_are_refused(changes, fault):
    bench = yaml.safe_load((ROOT / "bench" / "on_policy.yaml").read_text())
    over = copy.deepcopy(DEMO) | {"sweep": bench["sweep"]}
    over["methods"] |= bench["methods"]
    over["methods"]["opct"] |= changes
    with pytest.raises(EntrenchError) as refused:
        load_config(over)
    assert fault in str(refused.value)


@pytest.mark.parametrize("key", ["models", "methods"])
def test_a_block_on_policy_with_an_unknown_name_is_refused_in_its_own_line(key):
    bench = yaml.safe_load((ROOT / "bench" / "on_policy.yaml").read_text())
    over = copy.deepcopy(DEMO) | {"sweep": bench["sweep"]}
    over["methods"] |= bench["methods"]
    over["sweep"][0][key] = [*over["sweep"][0][key], "nobody"]
    with pytest.raises(EntrenchError, match=rf"sweep\.0\.{key}: 'nobody' is unknown"):
        load_config(over)


def test_the_bench_repeats_the_runs_of_the_demo_on_other_organisms():
    bench = yaml.safe_load((ROOT / "bench" / "other_seeds.yaml").read_text())["sweep"]
    again = expand(load_config(DEMO | {"sweep": bench}))
    seeds = {0: 4, 1: 5, 2: 6}
    wanted = {
        replace(run, organism=replace(run.organism, seed=seeds[run.organism.seed]))
        for run in expand(load_config(DEMO)).runs
    }
    assert set(again.runs) == wanted


def test_overrides_of_a_method_come_before_those_of_a_misalignment():
    raw = changed("methods.act.training", {"max_steps": 7, "learning_rate": 0.5})
    raw["misalignments"] = {
        "sycophancy": {"training": {"pairs": {"epochs": 2.0, "max_length": 99}}}
    }
    config = load_config(raw)
    phase = resolved_phase(config, "sycophancy", "pairs", "act")
    assert (phase.max_steps, phase.epochs) == (7, None)
    assert (phase.learning_rate, phase.max_length) == (0.5, 99)
    others = resolved_phase(config, "sycophancy", "pairs", "bct")
    assert (others.max_steps, others.epochs, others.max_length) == (None, 2.0, 99)
    assert others.learning_rate == config.training.sets["demo"].pairs.learning_rate


@pytest.mark.parametrize(
    ("method", "training", "fault"),
    [
        ("act", {"learning_rate": -1.0}, "methods.act.training.learning_rate: -1.0: "),
        ("act", {"lr": 1.0}, "methods.act.training.lr: unknown key"),
        ("act", {"epochs": 1.0, "max_steps": 2}, "methods.act.training: set exactly one"),
        ("act", {"loss_on": "sequence"}, "methods.act.training.loss_on: operator 'act' does not"),
        ("opct", {"batch_size": 4}, "methods.opct.training.batch_size: operator 'opct' does not"),
    ],
)
def test_overrides_that_no_training_reads_are_refused(method, training, fault):
    with pytest.raises(EntrenchError) as refused:
        load_config(changed(f"methods.{method}.training", training))
    assert fault in str(refused.value)


@pytest.mark.parametrize(
    ("method", "other", "fault"),
    [
        ("bct_sft", "act", "methods.bct_sft.tokens_of: 'act' is no method on-policy, allowed: op"),
        ("opct", "opct", "methods.opct.tokens_of: operator 'opct' does not train on given pairs"),
        ("multi_view", "opct", "methods.multi_view.tokens_of: operator 'multi_view' does not"),
        ("bct", "opct", "'bct' trains on as many tokens as 'opct', which this block does not have"),
    ],
)
def test_tokens_of_a_method_that_does_not_give_them_are_refused(method, other, fault):
    with pytest.raises(EntrenchError) as refused:
        load_config(changed(f"methods.{method}.tokens_of", other))
    assert fault in str(refused.value)


def test_tokens_of_a_window_that_padding_decides_are_refused():
    raw = changed("methods.bct_sft.tokens_of", "opct")
    raw["methods"]["attct"] |= {"window": "trailing", "tokens_of": "opct"}
    with pytest.raises(EntrenchError, match=r"methods\.attct\.tokens_of: the window `trailing`"):
        load_config(raw)


def test_rows_beside_released_data_are_refused():
    config = changed("data", {"source": "release", "rows": {"eval": 3}})
    with pytest.raises(EntrenchError, match="`rows` is for synthetic data"):
        load_config(config)


def test_a_run_that_stands_in_two_blocks_is_refused():
    config = changed("sweep", [DEMO["sweep"][0], DEMO["sweep"][0] | {"methods": ["act"]}])
    with pytest.raises(EntrenchError, match=r"sweep\.1: .*/act stands in sweep\.0 already"):
        expand(load_config(config))


def test_an_exclusion_with_a_method_spares_the_organism_and_one_without_takes_it():
    def size(exclusion):
        block = DEMO["sweep"][0] | {"exclude": [exclusion]}
        sweep = expand(load_config(changed("sweep", [block])))
        return len(sweep.organisms), len(sweep.runs)

    assert size({"misalignment": "sycophancy", "method": "act"}) == (12, 105)
    assert size({"misalignment": "sycophancy"}) == (9, 81)


def test_overrides_of_a_misalignment_replace_single_keys_of_its_phase():
    overrides = {"spurious_correlation": {"training": {"induction": {"epochs": 3.0}}}}
    config = load_config(changed("misalignments", overrides))
    phase = resolved_phase(config, "spurious_correlation", "induction")
    assert (phase.epochs, phase.max_steps) == (3.0, None)
    other = resolved_phase(config, "sycophancy", "induction")
    assert (other.epochs, other.max_steps) != (3.0, None)
