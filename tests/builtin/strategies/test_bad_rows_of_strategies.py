"""Every strategy names the row, the step and the maker of scores that nothing can be chosen from; with stop_row the row
ends alone, and the others are what they would have been."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_models import model_of, worse
from test_every_strategy import INSIDE, PROMPTS, SETTINGS, made, shown
from torch import Tensor

from decodery import Decoder, Pipeline
from decodery.contracts.errors import BadRow

NAN, BANNED = "NaN scores", "every token is banned"
QUICK = {"beam", "beam_sample", "diverse_beam", "prompt_lookup sampling"}
CASES = [
    pytest.param(
        how, what, marks=[] if how in QUICK or (how == "best_of" and what == NAN) else [pytest.mark.slow]
    )
    for how in SETTINGS
    for what in (NAN, BANNED)
]
"""The rest are `make test-all`'s, and so in what follows."""


def quick(how: str) -> Any:
    return pytest.param(how, marks=[] if how in QUICK else [pytest.mark.slow])


class Poison:
    """From `length` ids on, in the rows that begin with `first`: a NaN, or nothing but bans. Keeps nothing."""

    def __init__(self, what: str, *, first: int = 9, length: int = 10) -> None:
        self.what, self.first, self.length = what, first, length

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        scores = scores.clone()
        hit = (input_ids[:, 0] == self.first) & (input_ids.shape[1] >= self.length)
        if self.what == NAN:
            scores[hit, 7] = torch.nan
        else:
            scores[hit] = -torch.inf
        return scores


def poisoned(what: str, on_bad_row: Any = "error", **when: int) -> Pipeline:
    pipe = healthy().add(Poison(what, **when), stateless=True)
    return pipe.with_options(on_bad_row=on_bad_row)


def healthy() -> Pipeline:
    """No row ends before its poison."""
    return Pipeline().add("suppress_tokens", [3]).add("temperature", 0.9)


@pytest.mark.parametrize(("how", "what"), CASES)
def test_row_step_and_processor_are_named(how: str, what: str) -> None:
    """The third prompt has seven ids, so its fourth token is the one that cannot be chosen."""
    with pytest.raises(BadRow, match=f"row 2, step 3: {what} after 'poison'") as caught:
        made(how, "llama", poisoned(what)).generate(PROMPTS, seed=1)
    assert (caught.value.row, caught.value.step, caught.value.processor) == (2, 3, "poison")


@pytest.mark.parametrize(("how", "what"), CASES)
def test_the_row_ends_alone_where_the_recipe_says_so(how: str, what: str) -> None:
    wanted = made(how, "llama", healthy()).generate(PROMPTS, seed=1)
    found = made(how, "llama", poisoned(what, "stop_row")).generate(PROMPTS, seed=1)
    assert found.finish_reasons[2] == "error"
    assert len(found.tokens[2]) == 3
    for row in (0, 1, 3):
        assert shown(found)[row] == shown(wanted)[row]


@pytest.mark.parametrize("how", [quick(how) for how in SETTINGS if how.partition(" ")[0] not in INSIDE])
def test_the_row_is_the_callers_where_prompts_are_decoded_one_length_after_another(how: str) -> None:
    with pytest.raises(BadRow, match="row 2, step 3"):
        made(how, "input_pos", poisoned(NAN)).generate(PROMPTS, seed=1)


@pytest.mark.parametrize("value", [torch.nan, -torch.inf])
@pytest.mark.parametrize("how", [quick(how) for how in SETTINGS if not how.startswith("assisted")])
def test_the_model_is_named_when_its_logits_are_bad(how: str, value: float) -> None:
    model = model_of("llama")
    helper = worse(model, 0.4)
    model.lm_head.register_forward_hook(lambda *call: torch.full_like(call[2], value))
    strategy = how.partition(" ")[0], SETTINGS[how]
    pipe = Pipeline().add("top_p", 0.9).with_strategy(strategy[0], **strategy[1])
    decoder = Decoder(model, pipe, eos_token_id=3, models={"amateur": helper}, max_length=32)
    what = BANNED if value == -torch.inf else NAN
    with pytest.raises(BadRow, match=f"row 0, step 0: {what} after 'model'"):
        decoder.generate(PROMPTS)


def test_a_mixture_is_named_when_the_other_model_is_bad() -> None:
    model = model_of("llama")
    amateur = worse(model, 0.4)
    amateur.lm_head.register_forward_hook(lambda *call: torch.full_like(call[2], torch.nan))
    pipe = Pipeline().add("top_p", 0.9).with_strategy("mix", formula="contrastive")
    with pytest.raises(BadRow, match="row 0, step 0: NaN scores after 'Mix'"):
        Decoder(model, pipe, models={"amateur": amateur}).generate(PROMPTS)


@pytest.mark.parametrize("how", ["beam", "beam_sample", "diverse_beam"])
def test_one_beam_at_a_dead_end_is_left_behind(how: str) -> None:
    """All that goes on from the best first token is banned: the search follows the others, and ends well."""
    free = made(how, "llama").generate([PROMPTS[2]], seed=1).tokens[0]

    def shut(input_ids: Tensor, scores: Tensor) -> Tensor:
        dead = (input_ids[:, 7:8] == free[0]).any(-1, keepdim=True)
        return scores.masked_fill(dead, -torch.inf)

    found = made(how, "llama", Pipeline().add(shut, stateless=True)).generate([PROMPTS[2]], seed=1)
    assert found.finish_reasons[0] in ("eos", "length")
    assert found.tokens[0][0] != free[0]


@pytest.mark.parametrize("what", [NAN, BANNED])
@pytest.mark.parametrize("how", ["beam", "beam_sample", "diverse_beam", "constrained_beam"])
def test_in_transformers_layout_it_is_the_same(how: str, what: str) -> None:
    prompts = [[5, 6, 7], [9, 8, 9]]
    with pytest.raises(BadRow, match=f"row 1, step 3: {what} after 'poison'"):
        made(how, "llama", poisoned(what, length=6).compat("hf")).generate(prompts)
    lenient = poisoned(what, "stop_row", length=6).compat("hf")
    found = made(how, "llama", lenient).generate(prompts)
    assert found.finish_reasons[1] == "error"
    assert found.finish_reasons[0] != "error"
    assert len(found.tokens[1]) == 3
