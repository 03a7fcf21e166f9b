"""Specs: for each rule, the settings that decide a job's result, as one JSON string.

Snakemake compares these strings to decide which jobs to run again. So a spec holds every setting
that its job's result depends on, and nothing else: no machine facts, no other run, no key that only
another stage reads.
"""
