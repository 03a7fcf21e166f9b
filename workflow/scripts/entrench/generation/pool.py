"""One organism's pool of candidates, and its answers to the prompts of pairs."""

import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from entrench.errors import EntrenchError
from entrench.generation.engine import Completion, Decoding, Engine, Message
from entrench.generation.parts import BEAM, GREEDY, REFINEMENT
from entrench.generation.sampling import SELF_RATING, PoolSettings, SelfScore, fill
from entrench.generation.self_rating import parse_score
from entrench.records import Record
from entrench.seeds import derive_seed

Identity = Sequence[str | int]  # model, misalignment, seed of the study
Prompt = Sequence[Message]


def sample_pool(
    engine: Engine,
    settings: PoolSettings,
    identity: Identity,
    rows: Sequence[Record],
    drawn: Sequence[Record] = (),
) -> list[Record]:
    """Rows of kind "candidates" for the prompts `rows` (kind "data"), prompt by prompt.

    `drawn` are candidates of earlier draws of this pool. Sets among them are not drawn again. They
    have rows only where this draw rates them.

    The seed of a draw derives from the organism, the set and the prompt. So a further set or prompt
    changes no other draw.
    """
    sampler = _Sampler(engine, identity, [row["id"] for row in rows])
    prompts = [row["messages"] for row in rows]
    sets = _answers(drawn, rows)
    earlier = set(sets)

    def draw(name: str, asked: Sequence[Prompt], decoding: Decoding) -> None:
        if name not in earlier:
            sets[name] = sampler.draw(name, asked, decoding)

    draw(GREEDY, prompts, settings.greedy.decoding)
    for name, of in settings.sets.items():
        draw(name, prompts, of.decoding)
    if settings.beam:
        draw(BEAM, prompts, settings.beam.decoding)
    for name, view in settings.views.items():
        asked = [reworded(prompt, settings.prompts[name]) for prompt in prompts]
        draw(name, asked, view.decoding)
    if settings.refinement and REFINEMENT not in earlier:
        text = settings.prompts[REFINEMENT]
        drafts = [answers[0].text or "" for answers in sets[GREEDY]]
        asked = [
            reworded(prompt, text, draft=draft)
            for prompt, draft in zip(prompts, drafts, strict=True)
        ]
        answers = sampler.draw(REFINEMENT, asked, settings.refinement.decoding)
        # Without a draft there is nothing to refine.
        sets[REFINEMENT] = [
            [replace(answer, text=answer.text if draft[0].text is not None else None)]
            for [answer], draft in zip(answers, sets[GREEDY], strict=True)
        ]
    rated = settings.self_score
    ratings = _self_ratings(engine, settings, rated, prompts, sets) if rated else {}
    told = [name for name in sets if name not in earlier or (rated and name in rated.sets)]
    records = []
    for place, row in enumerate(rows):
        for name in told:
            for index, answer in enumerate(sets[name][place]):
                rating = ratings.get((place, name, index))
                score = None
                if rated and rating is not None:
                    score = parse_score(rating, rated.lowest, rated.highest)
                records.append(
                    {
                        "id": row["id"],
                        "set": name,
                        "index": index,
                        **completion_fields(answer),
                        "self_score": score,
                        "self_score_text": rating,
                    }
                )
    return records


def sample_responses(engine: Engine, decoding: Decoding, rows: Sequence[Record]) -> list[Record]:
    """Rows of kind "responses": the answers to the clean prompts `rows` of pairs."""
    sampler = _Sampler(engine, (), [row["id"] for row in rows])
    answers = sampler.draw("responses", [row["messages"] for row in rows], decoding)
    return [
        {"id": row["id"], **completion_fields(answer[0])}
        for row, answer in zip(rows, answers, strict=True)
    ]


def _answers(drawn: Sequence[Record], rows: Sequence[Record]) -> dict[str, list[list[Completion]]]:
    """The answers of candidates, by set, for each prompt of `rows`, ordered by index."""
    place = {row["id"]: at for at, row in enumerate(rows)}
    sets: dict[str, list[list[Completion]]] = {}
    for row in sorted(drawn, key=lambda row: row["index"]):
        answer = Completion(
            row["text"], row["tokens"], row["logprob"], row["finish"], row.get("reasoned", False)
        )
        sets.setdefault(row["set"], [[] for _ in rows])[place[row["id"]]].append(answer)
    return sets


def completion_fields(completion: Completion) -> Record:
    """The fields of every record of a completion. `reasoned` is added only where it is true."""
    fields = {
        "text": completion.text,
        "tokens": completion.tokens,
        "logprob": completion.logprob,
        "finish": completion.finish,
    }
    return fields | {"reasoned": True} if completion.reasoned else fields


def reworded(prompt: Prompt, template: str, **values: str) -> Prompt:
    """The prompt with its last message put into the template as `{question}`.

    Earlier messages, such as a system message, stay as they are. `values` fill the template's other
    placeholders. Raises `EntrenchError` where the last message is not the user's.
    """
    *before, last = prompt
    if last["role"] != "user":
        raise EntrenchError(
            f"the last message of a prompt has the role {last['role']} "
            f"({last['content'][:60]!r}): give prompts that end with a message of the user"
        )
    return [*before, last | {"content": fill(template, question=last["content"], **values)}]


class _Sampler:
    """Draws a set for all prompts with the set's own seeds, and reports its time on stderr."""

    def __init__(self, engine: Engine, identity: Identity, ids: Sequence[str]) -> None:
        self.engine, self.identity, self.ids = engine, identity, ids

    def draw(
        self, name: str, prompts: Sequence[Prompt], decoding: Decoding
    ) -> list[list[Completion]]:
        start = time.monotonic()
        seeds = [derive_seed(*self.identity, "pool", name, id_) for id_ in self.ids]
        answers = self.engine.generate(prompts, decoding, seeds)
        _log(name, sum(map(len, answers)), start)
        return answers


def _self_ratings(
    engine: Engine,
    settings: PoolSettings,
    rated: SelfScore,
    prompts: Sequence[Prompt],
    sets: dict[str, list[list[Completion]]],
) -> dict[tuple[int, str, int], str]:
    """The text of the organism's rating of each candidate, by (place of the prompt, set, index)."""
    start = time.monotonic()
    # Equal answers get equal ratings (decoding is greedy), so each is rated once.
    asked = {
        (place, name, index): (place, answer.text)
        for name in rated.sets
        for place, answers in enumerate(sets[name])
        for index, answer in enumerate(answers)
        if answer.text is not None
    }
    distinct = list(dict.fromkeys(asked.values()))
    template = settings.prompts[SELF_RATING]
    ratings = engine.generate(
        [reworded(prompts[place], template, answer=text) for place, text in distinct],
        rated.decoding,
        [0] * len(distinct),  # decoding is greedy and draws nothing
    )
    said = {
        key: (rating[0].text or "").strip() for key, rating in zip(distinct, ratings, strict=True)
    }
    _log("self scores", len(distinct), start)
    return {candidate: said[key] for candidate, key in asked.items()}


def _log(what: str, count: int, start: float) -> None:
    seconds = time.monotonic() - start
    print(f"{what}: {count} answers in {seconds:.1f} s", file=sys.stderr, flush=True)
