"""Per rule: the settings that decide a job's result, as one JSON string.

Snakemake compares these strings to decide what to run again, so each holds what its job's result
depends on and nothing else: no machine facts, no other run, no key that another stage reads.
"""
