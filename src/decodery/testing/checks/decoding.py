"""A strategy in whole runs, as `Decoder` has them: per-token strategies and those that own their loop alike."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from ...contracts.specs import StrategySpec
from ...engine.decoder import Decoder
from ...engine.io.generation import Generation
from ..case import Case
from ..hosts import isolated_host
from ..layered import ADAPTER, LayeredModel
from ..models import TableModel
from ..samples import Letters
from .check import Unmet, check, require

VOCAB, TOKENS = 40, 6
PROMPTS = ([3, 1, 4], [5, 9, 2], [1], [6, 5, 3, 5])
SEEDS = (11, 12, 13, 14)
PATIENCE = 400_000
"""Calls of functions after which a strategy is taken not to end; a beam search of ten makes a tenth of them."""


@contextmanager
def _patiently() -> Iterator[None]:
    """Gives up on a strategy that goes on for ever; a loop that calls nothing is beyond it."""
    left = PATIENCE

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            sys.setprofile(None)
            raise Unmet(f"called {PATIENCE:,} functions and had not made {TOKENS} tokens")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(before)


@check("choose", remedy="choose a token for every row that it is handed")
def decodes_to_the_end(case: Case) -> None:
    _check_whole(case)


@check("decode", remedy="loop `while not run.done`, and append, or emit, a token for every row")
def own_loop_decodes_to_the_end(case: Case) -> None:
    """Every row has tokens of the vocabulary, no more than the recipe allows, and a reason to be finished."""
    _check_whole(case)


@check("choose", remedy="take all chance from `rng`; keep nothing from one run to the next")
def decoding_repeats(case: Case) -> None:
    _check_repeats(case)


@check(
    "decode",
    remedy="take all chance from run.uniform; keep nothing from one run to the next",
)
def own_loop_repeats(case: Case) -> None:
    """Another run of the same seeds makes the same tokens, and torch's own generator makes no difference."""
    _check_repeats(case)


@check(
    "decode",
    remedy="keep the rows of one prompt from the others': no maximum over all rows",
)
def own_loop_does_not_depend_on_the_batch(case: Case) -> None:
    """A prompt alone gives the tokens that it gives among others."""
    together = _decode(case, range(len(PROMPTS)))
    for prompt in range(len(PROMPTS)):
        alone = _decode(case, [prompt]).tokens
        # A strategy may give several rows of one prompt: the best beams, say.
        among = [together[row].tokens for row in range(len(together)) if together[row].prompt_index == prompt]
        require(alone == among, f"makes other tokens of prompt {prompt} alone than among others")


def _check_whole(case: Case) -> None:
    made = _decode(case, range(len(PROMPTS)))
    answered = {made[row].prompt_index for row in range(len(made))}
    require(answered == set(range(len(PROMPTS))), f"answered the prompts {answered} of {len(PROMPTS)}")
    for row, (tokens, reason) in enumerate(zip(made.tokens, made.finish_reasons, strict=True)):
        require(
            0 < len(tokens) <= TOKENS, f"made {len(tokens)} tokens in row {row}, with max_new_tokens {TOKENS}"
        )
        inside = all(0 <= token < VOCAB for token in tokens)
        require(inside, f"made tokens outside the vocabulary in row {row}: {tokens}")
        require(bool(reason), f"left row {row} without a reason to be finished")


def _check_repeats(case: Case) -> None:
    first = _decode(case, range(len(PROMPTS))).tokens
    torch.manual_seed(20_260_101)
    require(
        _decode(case, range(len(PROMPTS))).tokens == first,
        "makes other tokens in another run of the same seeds",
    )


def _decode(case: Case, rows: Sequence[int]) -> Generation:
    if not isinstance(case.spec, StrategySpec):
        raise TypeError(f"{case.spec.name!r} is no strategy")
    pipe = case.pipeline.stop("max_new_tokens", TOKENS)
    decoder = Decoder(
        LayeredModel(VOCAB),  # some look at the outputs of layers
        pipe,
        adapter=ADAPTER.name,
        tokenizer=Letters(VOCAB),
        vocab_size=VOCAB,
        host=isolated_host(case.spec, ADAPTER),
        models={role: TableModel(VOCAB, seed=place + 1) for place, role in enumerate(case.spec.roles)},
    )
    state = torch.get_rng_state()
    try:
        with _patiently():
            return decoder.generate([PROMPTS[row] for row in rows], seeds=[SEEDS[row] for row in rows])
    finally:
        torch.set_rng_state(state)


CHECKS = (
    decodes_to_the_end,
    own_loop_decodes_to_the_end,
    decoding_repeats,
    own_loop_repeats,
    own_loop_does_not_depend_on_the_batch,
)
