"""Whatever a user changes in a valid config is refused by name, or changes what is planned."""

import copy
import datetime
import json
from functools import cache
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from entrench.errors import EntrenchError
from entrench.planning.constants import require_constants
from entrench.planning.plan import plan_rows
from entrench.planning.report import as_markdown
from entrench.study.config.check import load_config
from entrench.study.specs.data import data_spec, model_spec, reward_model_spec
from entrench.study.specs.judging import agreement_spec, judge_server, judges
from entrench.study.specs.measurement import completion_spec, delta_spec, judge_spec, risk_spec
from entrench.study.specs.mechanism import probe_prompts_spec, probe_spec
from entrench.study.specs.organisms import (
    induction_spec,
    label_spec,
    pool_spec,
    regularisation_spec,
    reward_spec,
    training_spec,
    verdict_spec,
)
from entrench.study.specs.tables import (
    comparison_spec,
    organisms_spec,
    power_spec,
    runs_spec,
    summary_spec,
)
from entrench.study.sweep import Subject, expand

ROOT = Path(__file__).parents[2]
# What decides nothing in one base has its effect in the other: the demo is judged by rules, which
# make no calls, and its decoding is bound by arithmetic, which faster memory does not hasten.
NO_EFFECT = {
    "demo": (
        ("planning", "judge"),
        ("planning", "devices", "core", "terabytes_per_second"),
        ("planning", "step_seconds", "decoding"),
    ),
    "study": (),
}


def demo() -> dict:
    return yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())


def study() -> dict:
    """config.yaml cut down to what its first organisms use: nothing in it is idle."""
    raw = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    raw = json.loads(json.dumps(raw))  # what two keys share by an anchor changes for one of them
    second = raw["risk_judge"] | {"model": "another"}
    raw["judging"] = {"cache": "answers.sqlite", "calls": 12, "second": second, "sample": 50}
    raw = json.loads(json.dumps(raw))
    used = {"self_confidence", "diverse_decoding", "multi_view", "self_rewarding", "bct", "act"}
    models = {"llama-3.1-8b", "llama-3.1-8b-instruct"}
    raw["methods"] = {name: raw["methods"][name] for name in sorted(used)}
    raw["models"] = {name: raw["models"][name] for name in sorted(models)}
    raw["training"]["sets"].pop("history")
    raw["size_classes"] = {"8b": raw["size_classes"]["8b"]}
    raw["planning"]["device_of"] = {"8b": "h100-80gb"}
    raw["planning"]["models"] = {name: raw["planning"]["models"][name] for name in sorted(models)}
    block = {"misalignments": ["sycophancy", "spurious_correlation"], "seeds": [40, 41]}
    raw["sweep"] = [
        block | {"name": "all", "models": sorted(models), "methods": sorted(used)},
    ]
    raw["evaluation"]["decodings"]["sampled"]["misalignments"] = ["sycophancy"]
    raw["sweep"][0]["exclude"] = [{"model": "llama-3.1-8b", "method": "act", "seed": 40}]
    return raw


BASES = {"demo": demo, "study": study}
SUBJECT_SPECS = (completion_spec, judge_spec, risk_spec, probe_spec)


def meaning(raw: dict) -> dict:
    """Everything that planning and jobs take from a config."""
    config = load_config(raw)
    sweep = expand(config)
    found: dict = {
        "pathvars": config.pathvars,
        "from": (config.data.url, config.data.mirror),
        "machines": {
            name: config.size_classes[model.size_class] for name, model in config.models.items()
        },
        "reward machine": config.size_classes[config.reward.size_class],
        "plan": planned(config, sweep),
        "tables": [
            organisms_spec(config, sweep),
            runs_spec(config, sweep),
            summary_spec(config, sweep),
            comparison_spec(config, sweep),
            power_spec(config, sweep),
        ],
        "mechanism": (config.mechanism.enabled, config.mechanism.divergence),
        "probed": [probe_prompts_spec(config, name) for name in sweep.misalignments],
        "data": [data_spec(config, name) for name in sweep.misalignments],
        "agreement": [agreement_spec(config, name) for name in sweep.misalignments],
        "judges": {name: reached(judge) for name, judge in judges(config).items()},
        "judging": (config.judging.cache, config.judging.calls),
    }
    found["models"] = [
        model_spec(config, name)
        for name in sweep.models
        if config.models[name].source == "synthetic"
    ]
    if config.reward.source == "synthetic":
        found["reward model"] = reward_model_spec(config)
    subjects = set()
    for organism in sweep.organisms:
        about = organism.model, organism.misalignment
        subjects |= {Subject(*about, None, None), Subject(*about, organism.seed, None)}
        found[organism] = [
            builder(config, organism) for builder in (induction_spec, pool_spec, reward_spec)
        ]
    for run in sweep.runs:
        subjects.add(Subject(*organism_key(run), run.organism.seed, run.method))
        found[run] = [verdict_spec(config, run), delta_spec(config, run)]
        if config.methods[run.method].operator in ("bct", "act"):
            found[run].append(regularisation_spec(config, run))
        else:
            found[run] += [label_spec(config, run), training_spec(config, run)]
    for subject in subjects:
        found[subject] = [builder(config, subject) for builder in SUBJECT_SPECS]
    return found


def reached(judge) -> tuple:
    """What the jobs of a judge get besides their spec."""
    return judge_server(judge), judge.server and judge.server.concurrency


def planned(config, sweep):
    if config.planning is None:
        return None
    require_constants(config)
    rows = plan_rows(config, sweep)
    return rows, as_markdown(config, sweep, rows)


def organism_key(run) -> tuple[str, str]:
    return run.organism.model, run.organism.misalignment


@cache
def original(base: str) -> dict:
    return meaning(BASES[base]())


def paths(value, path=()) -> list[tuple]:
    """Every key of every mapping and every place of every list."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, inner in items:
        found.append((*path, key))
        if isinstance(inner, dict | list):
            found += paths(inner, (*path, key))
    return found


def holder(raw, path):
    for key in path[:-1]:
        raw = raw[key]
    return raw


ODD_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 10**20),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["act", "tiny", "sycophancy", "greedy", "1", "1e-5", "..", "a b", "{x}", "\0"]),
    st.lists(st.integers(0, 3), max_size=2),
    st.dictionaries(st.text(max_size=4), st.integers(0, 3), max_size=2),
    st.just(datetime.date(2026, 1, 1)),
)


@st.composite
def mutations(draw):
    """A base, and it with one change at a random place: (base, path, mutated)."""
    base = draw(st.sampled_from(sorted(BASES)))
    raw = BASES[base]()
    idle = NO_EFFECT[base]
    places = [path for path in paths(raw) if not any(path[: len(key)] == key for key in idle)]
    path = draw(st.sampled_from(places))
    mutated = copy.deepcopy(raw)
    section, key = holder(mutated, path), path[-1]
    kind = draw(
        st.sampled_from(["delete", "rename", "replace", "nudge", "retype", "swap", "repeat"])
    )
    value = section[key]
    if kind == "delete":
        del section[key]
    elif kind == "rename" and isinstance(section, dict):
        new = draw(st.sampled_from([f"{key}x", key.upper(), 7]))
        section[new] = section.pop(key)
        path = (*path, str(new))
    elif kind == "nudge" and isinstance(value, int | float):
        section[key] = value + draw(st.sampled_from([1, -1, 0.5])) if value else 3
    elif kind == "retype":
        section[key] = draw(st.sampled_from([str(value), [value], {"value": value}]))
    elif kind == "swap":
        other = draw(st.sampled_from(places))
        section[key] = copy.deepcopy(holder(raw, other)[other[-1]])
    elif kind == "repeat" and isinstance(section, list):
        section.append(copy.deepcopy(value))
    else:
        section[key] = draw(ODD_VALUES)
    return base, path, mutated


def in_order(value):
    """The same with lists in one order: no list of the config means an order."""
    if isinstance(value, dict):
        return {key: in_order(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return sorted((in_order(inner) for inner in value), key=lambda one: json.dumps(one))
    return value


def examples(number):
    return settings(max_examples=number, deadline=None, suppress_health_check=list(HealthCheck))


@examples(100)
@given(mutations())
def test_a_change_is_refused_by_name_or_changes_what_is_planned(mutation):
    refused_or_planned(*mutation)


@pytest.mark.release
@examples(400)
@given(mutations())
def test_so_it_is_with_more_changes(mutation):
    refused_or_planned(*mutation)


def refused_or_planned(base, path, mutated):
    note(f"{base}: {'.'.join(map(str, path))}")
    refusal = None
    try:
        found = meaning(mutated)
    except EntrenchError as error:
        refusal = str(error)
    if refusal is not None:
        assert any(key in refusal for key in path if isinstance(key, str)), refusal
    elif found == original(base):
        same = [load_config(raw).model_dump() for raw in (mutated, BASES[base]())]
        assert in_order(same[0]) == in_order(same[1])
