"""What the mechanism's targets plan, in literal numbers of jobs."""

from shared_plans import DEMO, STUDY
from shared_plans import FAMILY as ORGANISM
from workspace import LABEL_RUN

PROBE = {
    "probe_choose": 1,
    "probe_sample": 1,
    "probe_reward": 1,
    "probe_judge": 1,
    "probe_compare": 1,
}


def test_label_risk_plans_no_training_on_labels(checkout):
    plan = checkout.plan(f"{ORGANISM}/self_rewarding/label_risk.csv", config=DEMO)
    assert plan == PROBE | {
        "data_prepare": 1,
        "model_make": 1,
        "reward_make": 1,
        "adapter_induce": 1,
        "completions_sample": 1,
        "judge_score": 1,
        "label_risk_estimate": 1,
    }


def test_the_decomposition_of_one_run(checkout):
    plan = checkout.plan(f"{ORGANISM}/self_rewarding/decomposition.csv", config=DEMO)
    own = {"model_make": 1, "reward_make": 1, "decomposition_estimate": 1}
    assert plan == PROBE | LABEL_RUN | own


def test_a_trained_model_can_be_probed(checkout):
    plan = checkout.plan(f"{ORGANISM}/act/eta.csv", config=DEMO)
    assert {name: plan[name] for name in PROBE} == PROBE
    assert plan["adapter_regularise"] == plan["probe_analyse"] == 1


def test_realised_kl_of_one_run_judges_nothing(checkout):
    plan = checkout.plan(f"{ORGANISM}/bct/divergence.jsonl", config=DEMO)
    assert plan == {
        "data_prepare": 1,
        "model_make": 1,
        "adapter_induce": 1,
        "pool_sample": 1,
        "adapter_regularise": 1,
        "probe_choose": 1,
        "divergence_measure": 1,
    }


def test_label_samples_of_one_size_under_another(checkout):
    target = "results/organisms/llama-3.1-8b/sycophancy/seed40/scored_by/llama-3.1-70b/label_kl.csv"
    assert checkout.plan(target, config=STUDY) == {
        "data_fetch": 6,
        "data_prepare": 1,
        "adapter_induce": 2,
        "pool_sample": 1,
        "labels_cross": 1,
    }


def test_the_study_probes_each_organism_with_labels_once(checkout):
    plan = checkout.plan("mechanism", config=STUDY)
    assert {name: plan[name] for name in PROBE} == {
        **dict.fromkeys(PROBE, 89),
        "probe_choose": 4,
    }
    assert plan["probe_analyse"] == 89
    assert plan["decomposition_estimate"] == 442
    assert plan["figures_draw"] == 5
    assert "divergence_measure" not in plan


def test_realised_kl_is_part_of_it_where_the_config_says_so(checkout):
    def with_divergence(config):
        config["mechanism"]["divergence"] = True

    config = checkout.derive("divergence.yaml", with_divergence, config=DEMO)
    plan = checkout.plan("mechanism", config=config)
    assert plan["divergence_measure"] == 120
    assert plan["figures_draw"] == 6
    figure = checkout.plan("results/demo/figures/realised_kl.pdf", config=DEMO)
    assert figure["divergence_measure"] == 120  # by its path it is there either way
    assert "probe_sample" not in figure


def test_a_plain_run_makes_it_only_where_it_is_enabled(checkout):
    def off(config):
        config["mechanism"]["enabled"] = False

    config = checkout.derive("off.yaml", off, config=DEMO)
    assert "probe_sample" not in checkout.plan(config=config)
    report = "results/demo/report.html"
    assert "probe_sample" not in checkout.plan(report, config=config)
    assert checkout.plan(report, config=DEMO)["probe_sample"] == 12
    assert checkout.plan(config=DEMO)["probe_sample"] == 12


def test_a_part_of_the_study_has_its_own_mechanism(checkout):
    part = "results/parts/llama-3.1-70b/figures/selection_vs_shift.pdf"
    plan = checkout.plan(part, config=STUDY)
    assert plan["probe_sample"] == 3
    assert plan["decomposition_estimate"] == 13
    assert plan["mechanism_collect"] == plan["figures_draw"] == plan["runs_collect"] == 1
