"""The progress log of a sweep, fed with Snakemake's events."""

import logging
import time
from types import SimpleNamespace

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from entrench.execution import warm_start
from snakemake_logger_plugin_entrench import LogHandler
from snakemake_logger_plugin_entrench.cpu import CpuAccount


@pytest.fixture
def handler():
    return LogHandler(common_settings=SimpleNamespace(), settings=None)


def event(kind, level=logging.INFO, message="", **fields):
    record = logging.LogRecord("snakemake", level, "", 0, message, None, None)
    record.event = kind
    record.__dict__.update(fields)
    return record


def test_progress_tells_stage_jobs_and_time_left_once_it_is_known(handler, capsys):
    handler.emit(event(LogEvent.RUN_INFO, stats={"a": 19, "b": 1, "total": 20}))
    for job in range(3):
        handler.emit(event(LogEvent.JOB_INFO, jobid=job, rule_name="a" if job else "b"))
        handler.emit(event(LogEvent.JOB_FINISHED, job_id=job))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "20 jobs to do"
    assert lines[1] == "started: b"  # the jobs that started before the first one has ended
    assert lines[2].startswith("[   1/20]   5%  0:00 gone, ...  b (1/1)")
    assert lines[3].startswith("[   2/20]  10%  0:00 gone, about 0:00 left  a (1/19)")
    assert len(lines) == 4  # a stage that goes on is not told again at once
    handler.close()
    assert "stage" in capsys.readouterr().err


def test_a_failure_shows_the_end_of_its_log(handler, capsys, tmp_path):
    log = tmp_path / "job.log"
    log.write_text("first\nerror: x.jsonl, line 3: not JSON: delete it\n")
    handler.emit(event(LogEvent.JOB_ERROR, rule_name="judge_score", jobid=7, log=[str(log)]))
    text = capsys.readouterr().err
    assert "FAILED: judge_score (job 7)" in text
    assert "  | error: x.jsonl, line 3: not JSON: delete it" in text


def finish(handler, job, part, *outputs):
    """A job of a table or figure of this part runs and ends well."""
    fields = {"rule_name": "a", "output": list(outputs), "wildcards": {"part": part}}
    handler.emit(event(LogEvent.JOB_INFO, jobid=job, **fields))
    handler.emit(event(LogEvent.JOB_FINISHED, job_id=job))


def test_tables_and_figures_of_a_part_are_told_at_once(handler, capsys):
    folder = "results/demo/parts/sycophancy"
    tables = [f"{folder}/summary.csv", f"{folder}/contrasts.csv"]
    figure = [f"{folder}/figures/eta.{suffix} (to keep)" for suffix in ("pdf", "png", "csv")]
    finish(handler, 1, "parts/sycophancy/", *tables)
    told = capsys.readouterr().err.splitlines()
    assert told[:2] == ["started: a", f"first results: {folder}/summary.csv"]
    finish(handler, 2, "parts/sycophancy/", *figure)
    assert capsys.readouterr().err == f"first results: {folder}/figures/eta.png\n"


def test_other_tables_and_those_of_no_part_are_not_first_results(handler, capsys):
    finish(handler, 1, "", "/parts/all/summary.csv", "/parts/all/figures/eta.png")
    finish(handler, 2, "partial/", "results/partial/summary.csv", "results/partial/figures/a.png")
    finish(handler, 3, "parts/tiny/", "results/parts/tiny/runs.csv")
    handler.emit(event(LogEvent.JOB_INFO, jobid=4, rule_name="b", output=["m/run.json"]))
    handler.emit(event(LogEvent.JOB_FINISHED, job_id=4))
    assert "first results" not in capsys.readouterr().err


def test_a_part_that_fails_tells_no_first_results(handler, capsys):
    summary = "results/parts/tiny/summary.csv"
    fields = {"rule_name": "a", "output": [summary], "wildcards": {"part": "parts/tiny/"}}
    handler.emit(event(LogEvent.JOB_INFO, jobid=1, **fields))
    handler.emit(event(LogEvent.JOB_ERROR, rule_name="a", jobid=1))
    assert capsys.readouterr().err == "started: a\nFAILED: a (job 1)\n"


def told(folder, cpu, imports):
    """The log of a job that has told its CPU."""
    log = folder / f"{cpu}.log"
    log.write_text(f"loss 1.0\ncpu: {cpu} s, imports {imports} s\ntook 9.0 s\n")
    return log


def test_the_cpu_table_has_a_line_for_each_use_and_marks_what_was_not_told(tmp_path):
    (tmp_path / "killed.log").write_text("")
    account = CpuAccount()
    account.add("model_make", [told(tmp_path, "20.00", "5.00")], elapsed=21.0)
    account.add("labels_cross", [told(tmp_path, "10.00", "4.00")], elapsed=11.0)
    account.add("summary_make", [tmp_path / "killed.log"], elapsed=1.5)
    account.add("judge_score", [tmp_path / "none.log"], elapsed=0.5)
    account.add("all", [], elapsed=7.0)
    assert account.table(head=6.0, server=3.0) == (
        "41 s of CPU:\n"
        "  imports                         12.0             29%\n"
        "  sampling                         6.0             15%\n"
        "  training                        15.0             37%\n"
        "  analysis *                       2.0              5%\n"
        "  head                             6.0             15%\n"
        "  neither sampling nor training: 49%\n"
        "  * 2 jobs told no CPU time: their seconds by the clock count"
    )


def test_the_closing_table_counts_the_cpu_that_a_finished_jobs_log_tells(
    handler, capsys, monkeypatch, tmp_path
):
    monkeypatch.setattr(time, "process_time", lambda: 10.0)
    monkeypatch.setattr(warm_start, "cpu_seconds", lambda: 5.0)
    log = f"{told(tmp_path, '25.00', '5.00')} (check log file(s) for error details)"
    handler.emit(event(LogEvent.JOB_INFO, jobid=1, rule_name="adapter_train", log=[log]))
    handler.emit(event(LogEvent.JOB_INFO, jobid=2, rule_name="adapter_train", log=[log]))
    handler.emit(event(LogEvent.JOB_FINISHED, job_id=1))
    handler.close()
    assert capsys.readouterr().err.endswith(
        "40 s of CPU:\n"
        "  imports                         10.0             25%\n"
        "  sampling                         0.0              0%\n"
        "  training                        20.0             50%\n"
        "  analysis                         0.0              0%\n"
        "  head                            10.0             25%\n"
        "  neither sampling nor training: 50%\n"
    )


def test_warnings_and_nothing_to_do_are_told_and_chatter_is_not(handler, capsys):
    handler.emit(event(None, logging.WARNING, "careful"))
    handler.emit(event(None, logging.INFO, "Nothing to be done (all present)."))
    handler.emit(event(None, logging.INFO, "Building DAG of jobs..."))
    handler.emit(event(LogEvent.ERROR, logging.ERROR, "CalledProcessError in file x"))
    assert capsys.readouterr().err.splitlines() == ["careful", "Nothing to be done (all present)."]
    handler.close()
    assert capsys.readouterr().err == ""
