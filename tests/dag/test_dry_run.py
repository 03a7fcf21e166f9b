"""The jobs of a target, looked up in a dry run of many, are those that Snakemake plans for it."""

from shared_plans import DEMO, FAMILY
from workspace import Workspace


def test_a_target_among_many_plans_what_it_plans_alone(checkout):
    run = f"{FAMILY}/self_rewarding/delta_risk.csv"
    alone = Workspace.plan(checkout, run, config=DEMO)
    assert sum(alone.values()) == 13
    assert checkout.plan(run, config=DEMO) == alone
