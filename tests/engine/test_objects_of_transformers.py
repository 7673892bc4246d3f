"""transformers' own processors, added as objects: the plain ones keep nothing, so strategies that reorder rows or take
tokens back run with them as `generate` does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.generation import logits_process as lp

from decodery import Decoder, Pipeline
from decodery.contracts.errors import CannotFollow
from decodery.contracts.specs import StepSpec
from decodery.engine.steps.opaque import _STATELESS
from decodery.host.registry import Host
from decodery.testing import TableModel

VOCAB = 48
END = torch.tensor([5])


def plain() -> list[Any]:
    return [
        lp.RepetitionPenaltyLogitsProcessor(1.3),
        lp.NoRepeatNGramLogitsProcessor(2),
        lp.SequenceBiasLogitsProcessor([[[7], 1.5], [[8, 9], -2.0]]),
        lp.NoBadWordsLogitsProcessor([[3], [6, 7]], END),
        lp.MinNewTokensLengthLogitsProcessor(3, 4, END),
        lp.TemperatureLogitsWarper(0.7),
        lp.TopKLogitsWarper(20),
    ]


def test_beams_with_them_are_those_of_generate() -> None:
    torch.manual_seed(3)
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    heads: dict[str, Any] = {"num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.3}
    ids: dict[str, Any] = {"bos_token_id": 1, "eos_token_id": 5, "pad_token_id": 0}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=VOCAB, **sizes, **heads, **ids)).eval()
    prompts = torch.tensor([[9, 8, 7], [20, 21, 22]])
    theirs = model.generate(
        prompts,
        attention_mask=torch.ones_like(prompts),
        num_beams=3,
        do_sample=False,
        max_new_tokens=10,
        logits_processor=plain(),
    )
    pipe = Pipeline().with_strategy("beam", num_beams=3).compat("hf").stop("eos").stop("max_new_tokens", 10)
    for processor in plain():
        pipe = pipe.add(processor)
    for row, tokens in enumerate(Decoder(model, pipe).generate(prompts).tokens):
        assert theirs[row, 3 : 3 + len(tokens)].tolist() == tokens


def test_a_draft_does_not_change_what_they_make() -> None:
    pipe = Pipeline().stop("max_new_tokens", 12)
    for processor in plain():
        pipe = pipe.add(processor)
    model, prompts = TableModel(VOCAB), [[9, 8, 7], [20]]
    greedy = Decoder(model, pipe, vocab_size=VOCAB).generate(prompts)
    drafted = Decoder(
        model, pipe.with_strategy("assisted"), vocab_size=VOCAB, models={"draft": TableModel(VOCAB, seed=2)}
    ).generate(prompts)
    assert drafted.tokens == greedy.tokens


def test_every_one_is_a_step_that_keeps_nothing() -> None:
    """The list agrees with what the box says of its own steps of these names, which the conformance kit tries."""
    steps = {name: spec for spec in Host().builtin(StepSpec) for name in spec.aliases}
    assert set(steps) >= _STATELESS
    assert all("stateless" in steps[name].traits for name in _STATELESS)


class Counted(lp.TopKLogitsWarper):  # type: ignore[misc]
    """Derived from a plain one, and keeps something."""

    calls = 0

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        self.calls += 1
        return super().__call__(input_ids, scores) * self.calls  # type: ignore[no-any-return]


@pytest.mark.parametrize("step", [Counted(3), lambda ids, scores: scores])
def test_of_others_nobody_knows(step: Any) -> None:
    pipe = Pipeline().with_strategy("beam", num_beams=2).add(step).stop("max_new_tokens", 3)
    with pytest.raises(CannotFollow, match="may keep state and has no observe, select and rewind"):
        Decoder(TableModel(VOCAB), pipe, vocab_size=VOCAB).generate([[1]])
