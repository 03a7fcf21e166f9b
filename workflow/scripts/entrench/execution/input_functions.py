"""One change to Snakemake 9.27: an error in an input function stops the plan, in one line.

Snakemake takes a rule whose input function raises for a rule that cannot make the file. Where the
file exists, Snakemake then goes on without the rule: it says "Nothing to be done" over results that
may be stale. It does so with its own kinds of errors. An `ApiError` is none of them: it ends
Snakemake, which prints its message and nothing more.
"""

from typing import Any

from snakemake.exceptions import WorkflowError
from snakemake.rules import Rule
from snakemake_interface_common.exceptions import ApiError

from entrench.errors import EntrenchError, first_line

apply = Rule.apply_input_function


def apply_or_stop(rule: Rule, function: Any, wildcards: Any, **settings: Any) -> Any:
    """As Snakemake's `Rule.apply_input_function`; an error of the function is an `ApiError`.

    Functions of params are called this way too. Snakemake tells the errors of resources by itself:
    it asks for them as they are (`raw_exceptions`).
    """
    if settings.get("raw_exceptions"):
        return apply(rule, function, wildcards, **settings)
    try:
        return apply(rule, function, wildcards, **settings, raw_exceptions=True)
    except (EntrenchError, WorkflowError) as error:
        raise ApiError(str(error)) from error
    except Exception as error:
        what = f"rule {rule.name}: a function of its inputs or params fails"
        raise ApiError(f"{what}: {first_line(error)}") from error


def change() -> None:
    """Make the change in this process. Call it before Snakemake plans: in the Snakefile."""
    Rule.apply_input_function = apply_or_stop
