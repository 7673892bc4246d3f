"""`beam` and `beam_sample` with `compat: hf` against `generate`, over random configurations: the same texts, the same
scores, the same state of torch's generator; ragged batches, four architectures, texts with 0, 1, 3 and 40 ends."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Iterator
from itertools import compress

import pytest
import torch
from beam_configs import EOS_SETS, NEW, BeamCase, beam_cases, until
from hf_versions import RELEASE, not_with_4

from decodery.builtin.strategies.hypotheses import NEVER

FEW, MANY = 24, 240
EQUAL: Counter[str] = Counter()
"""How many configurations were compared, by model and strategy."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """transformers tells of lengths that cannot be met."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Unfeasible length constraints")
        yield
    logger.setLevel(level)


def _check(case: BeamCase) -> None:
    tokens, scores, state = case.theirs()
    found = case.ours()
    # What goes on behind an end fills places that no text of worth was found for, on both sides.
    ours, sums = [until(case.eos, row) for row in found.tokens], torch.tensor(found.sequence_scores)
    if RELEASE < (5, 24):
        # What its beams draw is not sorted, and only the first drawn may end a text: more places stay empty. It has the
        # prompt alone there, with the score of what is not there, and we the beams that nothing was left for.
        there = (scores > NEVER).tolist()
        assert all(total < NEVER / NEW**2 for total, real in zip(sums, there, strict=True) if not real), case
        ours, tokens = list(compress(ours, there)), list(compress(tokens, there))
        sums, scores = sums[there], scores[there]
    assert ours == tokens, case
    torch.testing.assert_close(sums, scores, rtol=1e-5, atol=1e-5, msg=lambda text: f"{text}\n{case}")
    assert torch.equal(torch.get_rng_state(), state), case


def _check_and_count(case: BeamCase) -> None:
    _check(case)
    EQUAL[f"{case.model} {'beam_sample' if case.keys['do_sample'] else 'beam'}"] += 1


@pytest.mark.parametrize("case", list(beam_cases(FEW)), ids=lambda case: f"{case.number}-{case.model}")
def test_texts_and_scores_are_those_of_generate(case: BeamCase) -> None:
    _check_and_count(case)


@not_with_4["top_h"]
def test_a_search_goes_on_while_one_prompt_can_improve_and_another_has_room() -> None:
    """The first prompt has run out of words without filling its pool when the second one's is full: transformers stops
    for a reason that all prompts share. It shows in how often it has drawn."""
    keys = {"num_beams": 5, "num_return_sequences": 4, "length_penalty": 0.0, "early_stopping": True}
    draws = {"do_sample": True, "top_h": 0.22636790808321536}
    _check(BeamCase(205, "gpt2", keys | draws, [[51, 52], [53, 53, 51, 52]], EOS_SETS[3]))


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", list(beam_cases(MANY, seed=1)), ids=lambda case: f"{case.number}-{case.model}"
)
def test_texts_and_scores_are_those_of_generate_in_many_configurations(case: BeamCase) -> None:
    _check_and_count(case)


def test_the_equalities_are_told() -> None:
    """With `-s`: what the tests above have shown, here or on this worker."""
    told = ", ".join(f"{name} {count}" for name, count in sorted(EQUAL.items()))
    print(f"\nequal to transformers' generate in {EQUAL.total()} random configurations: {told}")
    assert EQUAL.total() <= FEW + MANY
