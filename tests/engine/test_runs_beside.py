"""Runs that a strategy opens beside its own after reordering rows; what Ctrl-C leaves of strategies that rank."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from engine_support import VOCAB

from decodery import Decoder, Pipeline
from decodery.contracts.errors import InvalidInput
from decodery.testing import RandomTransformer, TableModel


def test_a_run_opened_after_rows_were_repeated_begins_with_each_rows_own_text() -> None:
    seen: dict[str, list[list[int]]] = {}

    class Opens:
        ranks = True

        def decode(self, run: Any) -> None:
            run.select(torch.tensor([1, 1, 0]))
            other, own = run.open("other"), run.open("model")
            for name, opened in (("other", other), ("model", own)):
                seen[name] = [opened.input_ids[r, :n].tolist() for r, n in enumerate(opened.lengths.tolist())]
            assert torch.allclose(own.logits(), run.logits())
            for prompt in range(2):
                run.emit(prompt, [3], 0.0, "length")

    model = TableModel(VOCAB)
    pipe = Pipeline().with_strategy(Opens).stop("max_new_tokens", 4)
    decoder = Decoder(model, pipe, vocab_size=VOCAB, models={"other": Decoder(model, vocab_size=VOCAB)})
    decoder.generate([[1, 2], [5, 6]], role_prompts={"other": [[7], [8]]})
    assert seen == {"other": [[8], [8], [7]], "model": [[5, 6], [5, 6], [1, 2]]}


@pytest.mark.parametrize("strategy", ["beam", "best_of"])
def test_every_row_that_was_wanted_is_there_after_ctrl_c(strategy: str) -> None:
    class Stops:
        wants = frozenset({"tokens"})
        calls = 0

        def on_tokens(self, tokens: Any, active: Any, reasons: Any) -> None:
            Stops.calls += 1
            if Stops.calls == 3:
                raise KeyboardInterrupt

    pipe = Pipeline().with_strategy(strategy).stop("max_new_tokens", 8)
    gen = Decoder(TableModel(VOCAB), pipe, vocab_size=VOCAB).generate(
        [[1, 2], [5, 6]], n=2, seed=1, observers=[Stops()]
    )
    assert [(row.prompt_index, row.sample_index) for row in gen] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert set(gen.finish_reasons) == {"interrupted"}


def test_a_role_prompt_that_nobody_looks_for_is_told() -> None:
    model = RandomTransformer(20, seed=1)
    with pytest.raises(InvalidInput, match="strategy 'greedy' looks for no role prompt 'negative'"):
        Decoder(model, "greedy").generate([[1, 2]], role_prompts={"negative": [[3]]}, max_new_tokens=2)
    guided = Decoder(model, {"recipe": 1, "strategy": {"mix": {"formula": "cfg", "guidance_scale": 2.0}}})
    with pytest.warns(UserWarning, match="strategy 'mix' looks for no role prompt 'negativ'"):
        guided.generate([[1, 2]], role_prompts={"negativ": [[3]]}, max_new_tokens=2)
    guided.generate([[1, 2]], role_prompts={"negative": [[3]]}, max_new_tokens=2)
