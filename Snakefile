# entrench: does consistency training entrench misalignment?
#
# Path grammar. <results> and <logs> are set under `pathvars:` in the config.
#
#   <results>/data/{misalignment}/{slot}.jsonl      slot: induction consistency pairs_clean
#                                                         pairs_wrapped eval
#   <results>/data/release/                         the released files as fetched, verified
#   <results>/models/{model}/                       models the workflow makes (tiny), and reward/
#   <results>/base/{model}/{misalignment}/          the bare model, measured:
#       completions.jsonl  scores.jsonl  judgements.jsonl  judge_usage.json  risk.json
#   <results>/organisms/{model}/{misalignment}/seed{seed}/
#       adapter/  run.json                          phase 1: the misaligned organism
#       candidates.jsonl  responses.jsonl           phase 2: everything it sampled, once
#       rewards.jsonl                               external scores of the candidates
#       completions.jsonl  scores.jsonl  risk.json
#       {method}/
#           verdicts.jsonl  verdict_usage.json      phase 2: methods that ask the label judge
#           labels.jsonl                            phase 2: label methods
#           adapter/  run.json                      phase 3
#           completions.jsonl  scores.jsonl  risk.json
#           delta_risk.csv                          phase 3 - phase 1
#   <results>/judges/{misalignment}/                on request: agreement of two judges,
#   <results>/judges/{judge}/injections.csv         and injection attempts that move one
#   <results>/organisms.csv  runs.csv  summary.csv
#   <results>/figures/{figure}.pdf  .png  .csv
#   <results>/parts/{part}/                         the same tables and figures of a part; {part}:
#                                                   MODEL, MISALIGNMENT, MODEL/MISALIGNMENT or
#                                                   MODEL/MISALIGNMENT/seedSEED
#   <results>/partial/                              the same tables of what is complete so far
#       organisms.csv  runs.csv  summary.csv  missing.csv
#   <results>/plan.csv  plan.md                     what the sweep costs and what is left
#
# {subject} is any folder that holds a measurement: a bare model's, an organism's or a run's.

from snakemake.utils import min_version

min_version("9.27")


configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/organisms.smk"
include: "workflow/rules/labels.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/measurement.smk"
include: "workflow/rules/judges.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/plan.smk"


wildcard_constraints:
    **WILDCARDS,


onstart:
    unfinished.note_plan(
        PLAN_NOTE, [str(path) for job in workflow.dag.needrun_jobs() for path in job.output]
    )


onsuccess:
    unfinished.settle(PLAN_NOTE)


rule all:
    default_target: True
    input:
        organism_table_inputs,
        run_table_inputs,
        "<results>/summary.csv",
        FIGURE_FILES,


rule organisms:
    input:
        "<results>/organisms.csv",


rule runs:
    input:
        "<results>/runs.csv",


rule figures:
    input:
        FIGURE_FILES,


rule plan:
    input:
        "<results>/plan.csv",
