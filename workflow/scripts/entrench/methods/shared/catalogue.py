"""All methods: the `METHOD` of every file of `entrench.methods`, by the name of the file."""

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

import entrench.methods
from entrench.errors import EntrenchError
from entrench.methods.shared.base import Method
from entrench.methods.shared.labels import BestOfK, LabelMethod
from entrench.methods.shared.on_policy import OnPolicyLoss, OnPolicyMethod
from entrench.methods.shared.pairs import PairMethod, PairSettings


def _found() -> dict[str, Method]:
    files = pkgutil.iter_modules(entrench.methods.__path__)
    names = sorted(file.name for file in files if not file.ispkg)
    return {name: _method_of(import_module(f"entrench.methods.{name}")) for name in names}


def _method_of(module: ModuleType) -> Method:
    method = getattr(module, "METHOD", None)
    if not isinstance(method, Method):
        raise EntrenchError(
            f"{module.__file__}: the file defines no METHOD: end it with a line such as "
            "`METHOD = MyMethod()`, or move what methods share to methods/shared/"
        )
    if missing := sorted(getattr(method.Settings, "__abstractmethods__", ())):
        raise EntrenchError(
            f"{module.__file__}: {method.Settings.__name__} does not define {', '.join(missing)}: "
            "define it as the other files of the room do"
        )
    return method


METHODS: Mapping[str, Method] = _found()
LABEL_METHODS = {name: of for name, of in METHODS.items() if isinstance(of, LabelMethod)}
PAIR_METHODS = {name: of for name, of in METHODS.items() if isinstance(of, PairMethod)}
ON_POLICY_METHODS = {name: of for name, of in METHODS.items() if isinstance(of, OnPolicyMethod)}
# Methods that choose by a score. The organism's own scores come before external rewards.
SELECTORS: Mapping[str, BestOfK] = dict(
    sorted(
        ((name, of) for name, of in METHODS.items() if isinstance(of, BestOfK)),
        key=lambda pair: (pair[1].reads_rewards, pair[0]),
    )
)


def on_policy_objective(spec: Mapping[str, Any]) -> OnPolicyLoss:
    """As `pair_objective`, for methods on-policy."""
    return _objective(spec, ON_POLICY_METHODS)


def pair_objective(spec: Mapping[str, Any]) -> PairSettings:
    """The pair method's settings that a spec describes: `{"operator": name, ...its settings}`.

    Raises `EntrenchError` for an unknown operator, and for settings that it does not have.
    """
    return _objective(spec, PAIR_METHODS)


def _objective(spec: Mapping[str, Any], methods: Mapping[str, Method]) -> Any:
    fields = dict(spec)
    operator = fields.pop("operator", None)
    if operator not in methods:
        raise EntrenchError(
            f"objective: operator is {operator!r}, allowed: {', '.join(sorted(methods))}"
        )
    method = methods[operator]
    if unknown := sorted(fields.keys() - method.declared.keys()):
        raise EntrenchError(f"{operator}: got an unexpected setting {unknown[0]!r}")
    return method.parse(fields)
