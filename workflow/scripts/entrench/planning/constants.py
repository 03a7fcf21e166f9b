"""The constants of a plan, and what a config must hold for one."""

from entrench.errors import EntrenchError
from entrench.study.config import Config
from entrench.study.config.planning import Planning, SyntheticCosts


def constants(config: Config) -> Planning:
    """The section `planning` of the config.

    Raises:
        EntrenchError: the config has no such section.
    """
    if config.planning is None:
        raise EntrenchError(
            "planning: this key is missing: the plan needs its constants; config/config.yaml and "
            "config/demo.yaml have a section to copy"
        )
    return config.planning


def synthetic_constants(config: Config) -> SyntheticCosts:
    """The constants of the miniature world.

    Raises:
        EntrenchError: the config has none.
    """
    found = constants(config).synthetic
    if found is None:
        raise EntrenchError("planning.synthetic: this key is missing: synthetic data needs it")
    return found


def require_constants(config: Config) -> None:
    """Refuse a config that lacks a constant of the plan.

    Raises:
        EntrenchError: every missing key, one a line.
    """
    plan = constants(config)
    missing = [
        f"  planning.{key}.{name}: this key is missing: the plan needs it"
        for key, given, wanted in (
            ("device_of", plan.device_of.keys(), config.size_classes),
            ("models", plan.models.keys(), config.models),
        )
        for name in sorted(wanted.keys() - given)
    ]
    if missing:
        raise EntrenchError("the config is not complete:\n" + "\n".join(missing))
