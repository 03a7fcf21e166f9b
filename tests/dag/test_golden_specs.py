"""What decides each job is what it was: a refactoring makes nobody's results anew."""

import json

import pytest
from planned_specs import GOLDEN, PLANS, dump


@pytest.mark.parametrize("name", PLANS)
def test_every_spec_is_the_one_that_was_dumped(checkout, name):
    kept = json.loads((GOLDEN / f"{name}.json").read_text())
    found = dump(checkout, name)
    assert sorted(found) == sorted(kept)
    assert {rule: found[rule] for rule in found if found[rule] != kept[rule]} == {}
