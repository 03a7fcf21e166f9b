"""What the scripts that judge share: their options, and how they open a spec's judge."""

import argparse
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from entrench.judging.calls import Server
from entrench.judging.endpoint import EndpointJudge, Usage
from entrench.judging.scoring import Ask


def add_judge_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for machine facts. They decide no verdict, so they are in no spec."""
    parser.add_argument(
        "--server", required=True, help="how to reach the judge, JSON; {} for rules"
    )
    parser.add_argument("--calls", required=True, type=int, help="calls in flight at once")
    parser.add_argument("--cache", required=True, help="SQLite file with all answers of judges")


@contextmanager
def open_judge(
    settings: Mapping[str, Any], options: argparse.Namespace
) -> Iterator[tuple[Ask | None, Usage]]:
    """The function that asks a spec's judge (None where rules judge), and its account."""
    if settings["backend"] == "rules":
        yield None, Usage()
        return
    from entrench.judging.cache import AnswerCache

    server = Server(calls=max(1, options.calls), **json.loads(options.server))
    cache = AnswerCache(options.cache)
    try:
        judge = EndpointJudge(settings, server, cache)
        yield judge.ask, judge.usage
    finally:
        cache.close()
