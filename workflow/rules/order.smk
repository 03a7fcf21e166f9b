# The order of jobs: which of those that are ready starts first. This file has no rule.

from entrench.study.reading_order import ReadingOrder, done_first, reading_order

# The first answers of a sweep: a table and a figure of its first organism and first misalignment.
# A sweep of one organism has no earlier answer than its summary.
FIRST_FILES = [
    f"<results>/{file}"
    for first in done_first(reading_order(CONFIG, SWEEP))
    for file in (
        paths.table("summary", first),
        *(paths.figure("delta_by_method", suffix, first) for suffix in ("pdf", "png", "csv")),
    )
] or ["<results>/summary.csv"]
READING_ORDER = ReadingOrder(CONFIG, SWEEP)


for each in workflow.rules:
    each.priority = READING_ORDER.function(each.name)
