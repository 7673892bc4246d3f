"""`compat: hf` against `generate`, over random configurations: the same tokens, the same scores, the same state of
torch's generator; greedy and sampling, ragged batches, four architectures."""

from __future__ import annotations

import dataclasses
import logging
import warnings
from collections import Counter
from collections.abc import Iterator

import pytest
import torch
import transformers
from hf_versions import FOUR
from random_configs import MODELS, Case, cases
from torch import Tensor

from decodery import Generation, Pipeline
from decodery.contracts.errors import DecoderyError

FEW, MANY, ACTIVE = 32, 320, 10
STEPS = {
    "sequence_bias",
    "encoder_repetition_penalty",
    "repetition_penalty",
    "no_repeat_ngram",
    "encoder_no_repeat_ngram",
    "bad_words",
    "min_length",
    "min_new_tokens",
    "prefix_allowed_tokens",
    "forced_bos",
    "forced_eos",
    "remove_invalid_values",
    "exponential_decay_length_penalty",
    "suppress_tokens",
    "begin_suppress_tokens",
    "temperature",
    "top_h",
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "epsilon_cutoff",
    "eta_cutoff",
    "watermark",
    "synthid_watermark",
    "renormalize",
}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """transformers tells of lengths that cannot be met, and that a config came beside arguments."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Unfeasible length constraints")
        yield
    logger.setLevel(level)


def ulps(ours: Tensor, theirs: Tensor) -> int:
    """The greatest distance in representable numbers, 2 for anything beyond 1: (N, V) float32 each."""
    if torch.equal(ours, theirs):
        return 0
    near = (torch.nextafter(theirs, ours) == ours) | (ours == theirs)
    return 1 if bool(near.all()) else 2


def compare(case: Case) -> tuple[Generation, int]:
    """Both sides of a case: ours, and how many ulps its scores are away. Asserts tokens and generator."""
    tokens, scores, state = case.theirs()
    ours = case.ours(case.pipeline())
    told = f"case {case.number}: {case.model}, {case.keys}, prompts {case.prompts}, n={case.n}"
    assert ours.tokens == tokens, told
    assert torch.equal(torch.get_rng_state(), state), told
    assert ours.scores is not None
    away = max(ulps(mine, their) for mine, their in zip(ours.scores, scores, strict=True))
    assert away <= 1, told
    return ours, away


def without(pipe: Pipeline, place: int) -> Pipeline:
    return dataclasses.replace(pipe, processors=pipe.processors[:place] + pipe.processors[place + 1 :])


def matters(case: Case, ours: Generation, place: int) -> bool:
    """Whether tokens or scores are others without this step."""
    try:
        less = case.ours(without(case.pipeline(), place))
    except DecoderyError:  # nothing is left to draw from: not a difference to count
        return False
    assert ours.scores is not None and less.scores is not None  # noqa: PT018
    return ours.tokens != less.tokens or not all(map(torch.equal, ours.scores, less.scores))


@pytest.mark.parametrize("case", list(cases(FEW)), ids=lambda case: f"{case.number}-{case.model}")
def test_tokens_scores_and_generator_are_those_of_generate(case: Case) -> None:
    compare(case)


def test_a_banned_end_that_grows_to_infinity_is_drawn_here_and_an_error_there() -> None:
    """Why no such pair is among the configurations that sample."""
    keys = {"min_new_tokens": 9, "remove_invalid_values": True, "do_sample": True}
    keys["exponential_decay_length_penalty"] = (0, 1.9)
    case = Case(0, "llama", keys, [[11, 12, 13]], 1, [5])
    with pytest.raises(RuntimeError, match="probability tensor"):
        case.theirs()
    ours = case.ours(case.pipeline())
    assert ours.finish_reasons == ["eos"]
    assert ours.scores is not None
    assert not (ours.scores[0].isnan() | ours.scores[0].isposinf()).any()


@pytest.mark.slow
def test_every_step_of_transformers_matters_and_is_equal(capsys: pytest.CaptureFixture[str]) -> None:
    """Prints the figures: configurations, versions, and in how many of them each step changes tokens or scores."""
    active: Counter[str] = Counter()
    models: Counter[str] = Counter()
    exact = drawn = ragged = rows = 0
    for case in cases(MANY):
        ours, away = compare(case)
        exact, models[case.model] = exact + (away == 0), models[case.model] + 1
        drawn, ragged = drawn + case.samples, ragged + (len({len(p) for p in case.prompts}) > 1)
        rows += len(ours)
        for place, step in enumerate(case.pipeline().processors):
            active[step.spec.name] += matters(case, ours, place)
    with capsys.disabled():
        print(f"\nparity with generate of transformers {transformers.__version__}, torch {torch.__version__}")
        print(f"  {MANY} configurations, {rows} rows: {drawn} sample, {MANY - drawn} greedy, {ragged} ragged")
        print(f"  {', '.join(f'{name} {models[name]}' for name in MODELS)}")
        print(f"  tokens equal: {MANY}; scores bit for bit: {exact}, within 1 ulp: {MANY - exact}")
        for name, count in active.most_common():
            print(f"  {name} changes tokens or scores in {count}")
    assert active.keys() >= (STEPS - {"top_h"} if FOUR else STEPS)
    assert {name: count for name, count in active.items() if count < ACTIVE} == {}
