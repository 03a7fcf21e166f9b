# entrench: does consistency training entrench misalignment?
#
# Path grammar. <results> and <logs> are set under `pathvars:` in the config.
#
#   <results>/data/{misalignment}/{slot}.jsonl      slot: induction consistency pairs_clean
#                                                         pairs_wrapped eval
#   <results>/data/release/                         the released files as fetched, verified
#   <results>/models/{model}/                       models that the workflow makes, and reward/
#   <results>/base/{model}/{misalignment}/          the bare model, measured:
#       completions.jsonl  scores.jsonl  judgements.jsonl  judge_usage.json  risk.json
#       engine.json                                 the engine that answered, and its versions
#   <results>/organisms/{model}/{misalignment}/seed{seed}/
#       adapter/  run.json                          phase 1: the misaligned organism
#       candidates.jsonl  responses.jsonl           phase 2: what its methods read, sampled once
#       pool_engine.json                            the engine that sampled it
#       rewards.jsonl                               external scores of the candidates
#       pool/{parts}/                               the same for parts that were missing when a
#           candidates.jsonl  responses.jsonl       method was added later; {parts}: their names,
#           pool_engine.json  rewards.jsonl         joined by +
#       pool{r}/{parts}/                            the same for a repeat whose pool is drawn again
#       completions.jsonl  engine.json  scores.jsonl  risk.json
#       {method}/
#           verdicts.jsonl  verdict_usage.json      phase 2: methods that ask the label judge
#           labels.jsonl                            phase 2: label methods
#           adapter/  run.json                      phase 3
#           rollouts.jsonl                          phase 3: the answers of methods on-policy
#           completions.jsonl  engine.json  scores.jsonl  risk.json
#           delta_risk.csv                          phase 3 - phase 1
#           delta_prompts.csv                       the same for each evaluation prompt
#           repeat{r}/                              phase 3 once more, with another training seed;
#                                                   r: 2, 3, ...; the same files from adapter/ on,
#                                                   or from the first, on a pool drawn again
#   <results>/data/{misalignment}/probe.jsonl       the evaluation prompts of all probes
#   <results>/{subject}/                            the mechanism: a probe of any subject
#       probe.jsonl  probe_refined.jsonl            its samples on these prompts
#       probe_rewards.jsonl  probe_scores.jsonl  probe_verdicts.jsonl
#       eta.csv  eta_bins.csv  stability.csv        risk by score rank; how stable its answers are
#       pairs.jsonl  pairs_scores.jsonl             its answers to both prompts of the pairs
#       teacher_flips.csv                           how they differ: what methods on pairs can teach
#   <results>/organisms/.../{method}/
#       label_risk.csv                              before training: the labels' risk
#       decomposition.csv                           delta-risk = selection + shift + transfer
#       divergence.jsonl                            KL between organism and trained, on request
#   <results>/organisms/{model}/.../scored_by/{other}/
#       cross.jsonl  label_kl.csv                   its label samples under another model's organism
#   <results>/decomposition.csv  eta.csv  eta_bins.csv  stability.csv  k_scaling.csv
#   <results>/teacher_flips.csv
#   <results>/prediction.csv  divergence.csv        the mechanism over the study, and over parts
#   <results>/judges/{misalignment}/                on request: agreement of two judges,
#   <results>/judges/{judge}/injections.csv         and injection attempts that move one
#   <results>/organisms.csv  runs.csv  runs_detail.csv  summary.csv  detail.csv  variance.csv
#   <results>/comparison_with_paper.csv             our figures beside the published figures
#   <results>/power.csv  error_rates.csv            what the sweep can detect, before it is run
#   <results>/judge_health.csv                      unscored, parse rates, agreement of judges
#   <results>/figures/{figure}.pdf  .png  .csv
#   <results>/report.html                           tables and figures on one page
#   <results>/parts/{part}/                         the same tables and figures of a part; {part}:
#                                                   MODEL, MISALIGNMENT, MODEL/MISALIGNMENT or
#                                                   MODEL/MISALIGNMENT/seedSEED
#   <results>/partial/                              tables of the runs that are complete so far
#       organisms.csv  runs.csv  runs_detail.csv  summary.csv  detail.csv  missing.csv
#       report.html
#   <results>/plan.csv  plan.md                     cost of the sweep, and of its jobs to do
#
# {subject} is the folder of a measurement: of a bare model, an organism or a run.

from snakemake.utils import min_version

min_version("9.27")


include: "workflow/rules/config.smk"


configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/resources.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/resume.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/organisms.smk"
include: "workflow/rules/labels.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/measurement.smk"
include: "workflow/rules/judges.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/inference.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/probes.smk"
include: "workflow/rules/mechanism.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/plan.smk"
include: "workflow/rules/order.smk"


wildcard_constraints:
    **WILDCARDS,


onstart:
    check_folders()
    take_over()
    record_planned_outputs()
    warn_of_few_cores()
    warm_up()


onsuccess:
    forget_made_outputs()


rule all:
    default_target: True
    input:
        organism_table_inputs,
        run_table_inputs,
        "<results>/runs.csv",
        "<results>/runs_detail.csv",
        "<results>/summary.csv",
        "<results>/power.csv",
        FIGURE_FILES,
        MECHANISM_FILES if CONFIG.mechanism.enabled else [],


rule first:
    input:
        FIRST_FILES,


rule organisms:
    input:
        "<results>/organisms.csv",


rule runs:
    input:
        "<results>/runs.csv",
        "<results>/runs_detail.csv",


rule figures:
    input:
        FIGURE_FILES,


rule mechanism:
    input:
        MECHANISM_FILES,


rule report:
    input:
        report_now,


rule plan:
    input:
        "<results>/plan.csv",
