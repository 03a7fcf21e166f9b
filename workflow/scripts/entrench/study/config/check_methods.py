"""Faults of a config's methods: what they ask for, beside what is sampled, trained and there."""

from typing import Any

from entrench.data import released
from entrench.generation.parts import BEAM, REFINEMENT
from entrench.methods.shared.base import Sampled
from entrench.methods.shared.catalogue import METHODS
from entrench.study.config import Config, resolved_phase


def method_faults(config: Config) -> list[str]:
    """Faults that the methods themselves find in the config."""
    sampling = config.sampling
    sampled = Sampled(
        sizes={name: chosen.n for name, chosen in sampling.sets.items()},
        views=frozenset(sampling.views),
        self_scored=tuple(sampling.self_scored),
    )
    absent = {part for part in (BEAM, REFINEMENT) if getattr(sampling, part) is None}
    faults = []
    for name, entry in config.methods.items():
        method = METHODS[entry.operator]
        settings = method.parse(entry.settings)
        for key, message in method.faults(settings, sampled):
            faults.append(f"{f'methods.{name}.{key}'.rstrip('.')}: {message}")
        faults += [
            f"sampling.{part}: this key is missing: methods.{name} reads it: add it, or leave the "
            "method out"
            for part in sorted(absent & method.parts(settings, sampled.views))
        ]
    return faults


def variant_faults(config: Config) -> list[str]:
    """Methods that would count twice in means over methods, and variants of no fitting method.

    One consistency method stands for each operator. The other consistency methods of that operator
    are its variants.
    """
    faults = []
    leading: dict[str, str] = {}
    for name, method in config.methods.items():
        key = f"methods.{name}.variant_of"
        if method.variant_of is None:
            if method.kind != "consistency":
                continue
            if method.settings.get("k") == 1:
                faults.append(f"methods.{name}.k: 1 selects nothing: name a method in variant_of")
            elif method.operator in leading:
                other = leading[method.operator]
                faults.append(
                    f"{key}: this key is missing: {other!r} has operator {method.operator!r} too, "
                    "and means over methods would count it twice"
                )
            leading.setdefault(method.operator, name)
            continue
        fitting = sorted(
            other
            for other, its in config.methods.items()
            if (its.operator, its.kind, its.variant_of) == (method.operator, method.kind, None)
        )
        if method.variant_of not in fitting:
            faults.append(
                f"{key}: {method.variant_of!r} is no method of operator {method.operator!r} and "
                f"kind {method.kind!r} that is no variant itself, allowed: "
                f"{', '.join(fitting) or 'none'}"
            )
    return faults


def pair_faults(config: Config) -> list[str]:
    """Methods that train on prompt pairs, for misalignments whose data have no pairs."""
    faults = []
    pairing = {name for name, m in config.methods.items() if METHODS[m.operator].reads_pairs}
    alike = {name for name in pairing if _needs_equal_answers(config, name)}
    for index, block in enumerate(config.sweep):
        without = [name for name in block.misalignments if not _has_pairs(config, name)]
        names = [name for name in block.methods if name in pairing]
        if without and names:
            allowed = ", ".join(sorted(set(config.methods) - pairing))
            faults.append(
                f"sweep.{index}.methods: {names[0]!r} needs prompt pairs and {without[0]!r} has "
                f"none (slot pairs_clean is empty), allowed: {allowed}"
            )
        faults += [
            f"sweep.{index}.methods: {name!r} has `response: released` with `window: "
            f"{_settings(config, name).window}`, but the answers in the pairs of {about!r} differ: "
            "set its `response` to own or `window` to trailing"
            for name in names
            if name in alike
            for about in block.misalignments
            if _answers_differ(config, about)
        ]
    return faults


def matched_faults(config: Config) -> list[str]:
    """Methods that are to train on the tokens of a method that does not say how many."""
    faults = []
    on_policy = [name for name, m in config.methods.items() if METHODS[m.operator].on_policy]
    for name, entry in config.methods.items():
        if entry.tokens_of is None:
            continue
        key, operator = f"methods.{name}.tokens_of", METHODS[entry.operator]
        if not operator.reads_pairs or operator.on_policy:
            faults.append(
                f"{key}: operator {entry.operator!r} does not train on given pairs: take it out"
            )
        elif getattr(_settings(config, name), "window", None) == "trailing":
            faults.append(f"{key}: the window `trailing` has no number of tokens: take it out")
        if entry.tokens_of not in on_policy:
            faults.append(
                f"{key}: {entry.tokens_of!r} is no method on-policy, allowed: "
                f"{', '.join(sorted(on_policy)) or 'none'}"
            )
    return faults + [
        f"sweep.{index}.methods: {name!r} trains on as many tokens as {other!r}, which this block "
        "does not have: add it"
        for index, block in enumerate(config.sweep)
        for name in block.methods
        if name in config.methods
        and (other := config.methods[name].tokens_of) is not None
        and other not in block.methods
    ]


def _needs_equal_answers(config: Config, name: str) -> bool:
    """Whether training refuses a pair whose two answers in the data differ."""
    if METHODS[config.methods[name].operator].on_policy:
        return False
    settings = _settings(config, name)
    return not settings.own_answers and not settings.answers_may_differ


def _settings(config: Config, name: str) -> Any:
    entry = config.methods[name]
    return METHODS[entry.operator].parse(entry.settings)


def _has_pairs(config: Config, misalignment: str) -> bool:
    if config.data.source == "synthetic":
        return (config.data.rows or {}).get("pairs_clean", 0) > 0
    return released.files_of(misalignment).get("pairs_clean", {}).get("rows", 0) > 0


def _answers_differ(config: Config, misalignment: str) -> bool:
    if config.data.source == "synthetic":
        return False
    return released.files_of(misalignment)["pairs_wrapped"].get("answers_differ", False)


def on_policy_faults(config: Config) -> list[str]:
    """Answers that leave a prompt no room.

    Unknown names in a block are other faults.
    """
    faults = []
    for block in config.sweep:
        for name in block.methods:
            entry = config.methods.get(name)
            if entry is None or not METHODS[entry.operator].on_policy:
                continue
            drawn = METHODS[entry.operator].parse(entry.settings)
            for about in block.misalignments:
                longest = resolved_phase(config, about, "pairs", name).max_length
                if drawn.max_new_tokens >= longest:
                    faults.append(
                        f"methods.{name}.max_new_tokens: {drawn.max_new_tokens} leaves no room for "
                        f"a prompt: max_length of phase pairs on {about} is {longest}"
                    )
    return list(dict.fromkeys(faults))
