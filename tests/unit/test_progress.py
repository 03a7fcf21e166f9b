"""The progress log of a sweep, fed with Snakemake's events."""

import logging
from types import SimpleNamespace

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_entrench import LogHandler


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
    assert lines[1].startswith("[   1/20]   5%  0:00 gone, ...  b (1/1)")
    assert lines[2].startswith("[   2/20]  10%  0:00 gone, about 0:00 left  a (1/19)")
    assert len(lines) == 3  # a stage that goes on is not told again at once
    handler.close()
    assert "stage" in capsys.readouterr().err


def test_a_failure_shows_the_end_of_its_log(handler, capsys, tmp_path):
    log = tmp_path / "job.log"
    log.write_text("first\nerror: x.jsonl, line 3: not JSON: delete it\n")
    handler.emit(event(LogEvent.JOB_ERROR, rule_name="judge_score", jobid=7, log=[str(log)]))
    text = capsys.readouterr().err
    assert "FAILED: judge_score (job 7)" in text
    assert "  | error: x.jsonl, line 3: not JSON: delete it" in text


def test_warnings_and_nothing_to_do_are_told_and_chatter_is_not(handler, capsys):
    handler.emit(event(None, logging.WARNING, "careful"))
    handler.emit(event(None, logging.INFO, "Nothing to be done (all present)."))
    handler.emit(event(None, logging.INFO, "Building DAG of jobs..."))
    handler.emit(event(LogEvent.ERROR, logging.ERROR, "CalledProcessError in file x"))
    assert capsys.readouterr().err.splitlines() == ["careful", "Nothing to be done (all present)."]
    handler.close()
    assert capsys.readouterr().err == ""
