"""What a dry run plans over the pool of a smaller sweep: what is missing, and nothing else."""

import json

from workspace import MICRO

from entrench.records import write_text

ORGANISM = "results/micro/organisms/tiny/spurious_correlation/seed0"


def test_a_method_added_later_plans_the_missing_draw_and_its_own_jobs(smaller):
    labels = [f"{ORGANISM}/{name}/labels.jsonl" for name in ("rejection_sampling", "multi_view")]
    assert smaller.plan(labels[0]) == {}
    assert smaller.plan(*labels) == {"pool_extend": 1, "labels_judge": 1, "labels_select": 1}
    # All that the planned methods lack is one draw, so that the organism is loaded once.
    jobs = {job.rule: job for job in smaller.dry_run(labels, MICRO).jobs}
    further = f"{ORGANISM}/pool/chain_of_thought+json+responses@pairs_clean"
    assert f"{further}/candidates.jsonl" in jobs["labels_judge"].inputs
    assert "--parts chain_of_thought+json+responses@pairs_clean" in jobs["pool_extend"].command
    bct = f"{ORGANISM}/bct/adapter/adapter_model.safetensors"
    assert smaller.plan(bct) == {"pool_extend": 1, "adapter_regularise": 1}


def test_rewards_of_a_further_draw_are_scored_where_a_method_reads_them(smaller):
    def add(config):
        config["methods"]["diverse_decoding"] = {
            **{"operator": "diverse_decoding", "kind": "consistency"},
            **{"set": "samples", "k": 2},
        }
        config["sweep"][0]["methods"] = ["rejection_sampling", "diverse_decoding"]

    name = smaller.derive("more.yaml", add)
    assert smaller.plan(f"{ORGANISM}/diverse_decoding/labels.jsonl", config=name) == {
        "pool_extend": 1,
        "reward_extend": 1,
        "labels_select": 1,
    }


def test_a_pool_of_every_part_lacks_nothing(smaller):
    write_text(smaller.folder / ORGANISM / "pool_engine.json", '{"engine": "transformers"}')
    for name in ("candidates.jsonl", "rewards.jsonl", "rejection_sampling/labels.jsonl"):
        write_text(smaller.folder / ORGANISM / name, "{}")
    target = f"{ORGANISM}/multi_view/labels.jsonl"
    assert smaller.plan(target) == {"labels_judge": 1, "labels_select": 1}


def test_the_samples_of_every_set_are_scored_under_another_organism(smaller):
    """The cross-size KL reads the sets of the config, whichever methods read them."""
    write_text(smaller.folder / ORGANISM / "pool_engine.json", json.dumps({"parts": ["greedy"]}))
    target = f"{ORGANISM}/scored_by/tiny/label_kl.csv"

    def no_set(config):
        config["sweep"][0]["methods"] = ["multi_view"]

    found = smaller.plan(target, config=smaller.derive("views.yaml", no_set))
    assert found == {"pool_extend": 1, "labels_cross": 1}
