"""The list of rules: the files of each rule, its log, and the model that its jobs load.

Each rule of `workflow/rules/` that makes files has one row here, in the order of the work. The
plan, the head, `make report`, bench and tests read this list. A test compares it with the rules.
Imports nothing heavy.
"""

from dataclasses import dataclass
from typing import Literal

from entrench.study import paths
from entrench.study.config import MECHANISM_TABLES, SLOTS

# The kinds of cost that `entrench.planning.cost` estimates.
CostKind = Literal["making", "training", "inference", "judging", "local"]
Loaded = Literal["model", "reward model"]
Work = Literal["sampling", "training", "analysis"]


@dataclass(frozen=True)
class Place:
    """Where the jobs of a rule write: patterns of their folder and of their log.

    `folder` lies below `<results>` and ends in a slash, `log` lies below `<logs>`.
    """

    folder: str
    log: str


@dataclass(frozen=True)
class Stage:
    """One rule.

    `loads` is the model that a job loads, and torch with it; None where it loads neither. `cost` is
    None where the plan of a sweep does not count the rule. A `light` rule may run beside a sweep at
    work: it takes minutes at most, and only light rules read its files. A rule that `reports` is
    light, loads no model and asks no judge: it makes tables, figures and reports from files that
    exist.
    """

    name: str
    place: Place
    files: tuple[str, ...]
    cost: CostKind | None
    loads: Loaded | None = None
    light: bool = False
    reports: bool = False

    @property
    def work(self) -> Work:
        """What its jobs spend their CPU on, imports aside.

        Sampling is all that a trained model computes: answers, scores, distances. Analysis is the
        work of jobs that load no model: data, judging, tables, figures.
        """
        if self.cost in ("making", "training"):
            return "training"
        return "sampling" if self.loads else "analysis"

    @property
    def outputs(self) -> tuple[str, ...]:
        """Patterns of the files below `<results>`, as in the rule."""
        return tuple(self.place.folder + file for file in self.files)

    @property
    def log(self) -> str:
        """Pattern of the log below `<logs>`."""
        return self.place.log.replace("{rule}", self.name)


STUDY = Place("", "{rule}.log")
PART = Place("{part}", "{part}{rule}.log")
RELEASE = Place(f"{paths.RELEASE}/", "{rule}/{released}.log")
MISALIGNMENT = Place(f"{paths.DATA}/", "{rule}/{misalignment}.log")
MODEL = Place(f"{paths.MODEL}/", "{rule}/{model}.log")
REWARD_MODEL = Place(f"{paths.REWARD_MODEL}/", "{rule}.log")
ORGANISM = Place(f"{paths.ORGANISM}/", "{rule}/{model}/{misalignment}/seed{seed}.log")
FURTHER_DRAW = Place(
    f"{paths.ORGANISM}/{paths.FURTHER_DRAW}",
    "{rule}/{model}/{misalignment}/seed{seed}/pool{pool}/{parts}.log",
)
METHOD = Place(f"{paths.METHOD}/", "{rule}/{model}/{misalignment}/seed{seed}/{method}.log")
RUN = Place(f"{paths.RUN}/", "{rule}/{model}/{misalignment}/seed{seed}/{method}{repeat}.log")
SCORED_BY = Place(f"{paths.SCORED_BY}/", "{rule}/{model}/{misalignment}/seed{seed}/{other}.log")
SUBJECT = Place("{subject}/", "{rule}/{subject}.log")
JUDGED = Place(f"{paths.JUDGES}/{{misalignment}}/", "{rule}/{misalignment}.log")
JUDGE = Place(f"{paths.JUDGES}/{{judge}}/", "{rule}/{judge}.log")
PARTIAL = Place(paths.PARTIAL, "{rule}.log")
FIGURES = Place("{part}figures/", "{part}{rule}/{figure}.log")


def _table(name: str, *tables: str) -> Stage:
    """A rule that makes tables of the sweep or of a part of it."""
    files = tuple(f"{table}.csv" for table in tables)
    return Stage(name, PART, files, "local", light=True, reports=True)


STAGES = {
    stage.name: stage
    for stage in (
        Stage("data_fetch", RELEASE, ("{released}",), "local"),
        Stage("data_prepare", MISALIGNMENT, tuple(f"{slot}.jsonl" for slot in SLOTS), "local"),
        Stage("model_make", MODEL, paths.MODEL_FILES, "making", "model"),
        Stage("reward_make", REWARD_MODEL, paths.REWARD_FILES, "making", "reward model"),
        Stage("adapter_induce", ORGANISM, paths.ADAPTER_FILES, "training", "model"),
        Stage(
            "pool_sample",
            ORGANISM,
            ("candidates.jsonl", "responses.jsonl", "pool_engine.json"),
            "inference",
            "model",
        ),
        Stage(
            "pool_extend",
            FURTHER_DRAW,
            ("candidates.jsonl", "responses.jsonl", "pool_engine.json"),
            "inference",
            "model",
        ),
        Stage("reward_score", ORGANISM, ("rewards.jsonl",), "inference", "reward model"),
        Stage("reward_extend", FURTHER_DRAW, ("rewards.jsonl",), "inference", "reward model"),
        Stage("labels_judge", RUN, ("verdicts.jsonl", "verdict_usage.json"), "judging"),
        Stage("labels_select", RUN, ("labels.jsonl",), "local"),
        Stage("adapter_train", RUN, paths.ADAPTER_FILES, "training", "model"),
        Stage("adapter_regularise", RUN, paths.ADAPTER_FILES, "training", "model"),
        Stage(
            "adapter_on_policy",
            RUN,
            (*paths.ADAPTER_FILES, paths.ROLLOUTS),
            "training",
            "model",
        ),
        Stage(
            "completions_sample",
            SUBJECT,
            ("completions.jsonl", "engine.json"),
            "inference",
            "model",
        ),
        Stage(
            "judge_score",
            SUBJECT,
            ("scores.jsonl", "judgements.jsonl", "judge_usage.json"),
            "judging",
        ),
        Stage("risk_estimate", SUBJECT, ("risk.json",), "local"),
        Stage("delta_estimate", RUN, ("delta_risk.csv", "delta_prompts.csv"), "local"),
        Stage(
            "judges_compare", JUDGED, ("agreement.csv", "confusion.csv", "judge_usage.json"), None
        ),
        Stage("judges_attack", JUDGE, ("injections.csv", "judge_usage.json"), None),
        Stage("probe_choose", MISALIGNMENT, ("probe.jsonl",), "local"),
        Stage(
            "probe_sample",
            SUBJECT,
            ("probe.jsonl", "probe_refined.jsonl", "probe_engine.json"),
            "inference",
            "model",
        ),
        Stage("probe_reward", SUBJECT, ("probe_rewards.jsonl",), "inference", "reward model"),
        Stage(
            "probe_judge",
            SUBJECT,
            ("probe_scores.jsonl", "probe_judgements.jsonl", "probe_judge_usage.json"),
            "judging",
        ),
        Stage(
            "probe_compare",
            SUBJECT,
            ("probe_verdicts.jsonl", "probe_verdict_usage.json"),
            "judging",
        ),
        Stage("probe_analyse", SUBJECT, ("eta.csv", "eta_bins.csv", "stability.csv"), "local"),
        Stage("pairs_choose", MISALIGNMENT, ("pairs_asked.jsonl", "pairs_judged.jsonl"), "local"),
        Stage("pairs_sample", SUBJECT, ("pairs.jsonl", "pairs_engine.json"), "inference", "model"),
        Stage(
            "pairs_judge",
            SUBJECT,
            ("pairs_scores.jsonl", "pairs_judgements.jsonl", "pairs_judge_usage.json"),
            "judging",
        ),
        Stage("flips_estimate", SUBJECT, ("teacher_flips.csv",), "local"),
        Stage("label_risk_estimate", METHOD, ("label_risk.csv",), None),
        Stage("decomposition_estimate", METHOD, ("decomposition.csv",), "local"),
        Stage("divergence_measure", METHOD, ("divergence.jsonl",), "inference", "model"),
        Stage(
            "labels_cross", SCORED_BY, ("cross.jsonl", "label_kl.csv", "engine.json"), None, "model"
        ),
        _table("organisms_collect", "organisms"),
        _table("runs_collect", "runs", "runs_detail"),
        _table("summary_make", "summary", "detail", "variance", "contrasts"),
        _table("power_estimate", "power"),
        _table("rates_simulate", "error_rates"),
        _table("paper_compare", "comparison_with_paper"),
        _table("judges_collect", "judge_health"),
        _table("mechanism_collect", *MECHANISM_TABLES),
        _table("divergence_collect", "divergence"),
        Stage(
            "partial_make",
            PARTIAL,
            (
                "organisms.csv",
                "runs.csv",
                "runs_detail.csv",
                "summary.csv",
                "detail.csv",
                "missing.csv",
            ),
            None,
            light=True,
            reports=True,
        ),
        Stage(
            "figures_draw",
            FIGURES,
            ("{figure}.pdf", "{figure}.png", "{figure}.csv"),
            None,
            light=True,
            reports=True,
        ),
        Stage("report_make", PART, ("report.html",), None, light=True, reports=True),
        Stage("plan_make", STUDY, ("plan.csv", "plan.md"), None, light=True),
    )
}
LIGHT_RULES = frozenset(stage.name for stage in STAGES.values() if stage.light)
LOADING_RULES = frozenset(stage.name for stage in STAGES.values() if stage.loads)
PROBE_STAGES = ("probe_sample", "probe_reward", "probe_judge", "probe_compare", "probe_analyse")
FLIP_STAGES = ("pairs_sample", "pairs_judge", "flips_estimate")
MEASUREMENT_STAGES = ("completions_sample", "judge_score", "risk_estimate")
