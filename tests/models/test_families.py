"""Every manner of model in the survey decodes exactly, nine in ten of them with `Decoder(model)` alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import zoo
import zoo_more
import zoo_state
from families import ALONE, FAMILIES, ONE_LINE, Family, Truth
from test_sessions import IDS, same

from decodery import Decoder
from decodery.host.registry import Host

HOST = Host(selection="")
PROMPTS = [[3, 14, 15], [9, 2, 6, 5, 35], [8]]
NEW = 7
every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


def decoder(family: Family, recipe: Any = None) -> tuple[Decoder, Truth]:
    arguments, truth = family.arguments()
    return Decoder(arguments.pop("model"), recipe, host=HOST, **arguments), truth


def test_nine_in_ten_need_no_code_and_the_rest_one_line() -> None:
    assert len(FAMILIES) >= 37
    assert len(ALONE) >= 9 * len(FAMILIES) / 10
    assert len(ONE_LINE) == 3


@every_family
def test_a_ragged_batch_has_the_best_tokens_of_the_whole_text_twice(family: Family) -> None:
    decode, truth = decoder(family)
    assert decode.report.adapter == family.adapter, str(decode.report)
    assert decode.report.warnings == (), str(decode.report)
    expected = [greedy(truth, prompt) for prompt in PROMPTS]
    for _ in range(2):
        assert decode.generate(PROMPTS, max_new_tokens=NEW).tokens == expected
    assert decode.generate(PROMPTS[1], max_new_tokens=NEW).tokens == expected[1:2]


@every_family
def test_seeded_draws_are_those_of_the_model_without_a_cache(family: Family) -> None:
    recipe = {"recipe": 1, "strategy": "sample", "processors": [{"top_k": 20}]}
    decode, truth = decoder(family, recipe)
    facts = decode.model.facts
    same = {"vocab_size": facts.vocab_size, "eos_token_id": facts.eos or None}
    plain = Decoder(truth, recipe, adapter="stateless", host=HOST, **same)
    ours, theirs = (d.generate(PROMPTS, n=2, seed=5, max_new_tokens=NEW) for d in (decode, plain))
    assert ours.tokens == theirs.tokens


@pytest.mark.parametrize(
    "family", [family for family in FAMILIES if family.context], ids=lambda family: family.name
)
def test_the_context_ends_a_row_with_a_reason(family: Family) -> None:
    decode, truth = decoder(family)
    assert decode.model.facts.max_length == family.context
    gen = decode.generate([list(range(28)), [5]], max_new_tokens=6)
    assert gen.finish_reasons == ["context", "length"]
    assert gen.tokens == [greedy(truth, list(range(28)), 4), greedy(truth, [5], 6)]


@every_family
def test_sessions_take_rows_and_go_back_as_they_say(family: Family) -> None:
    decode, truth = decoder(family)
    can = decode.model.facts.capabilities
    assert can.rewind != "none"
    assert can.rewind_by
    session = decode.model.open(3, 14)
    session.prefill(IDS[:, :4])
    session.step(IDS[:, 4:8])
    session.rewind(torch.tensor([3, 3, 3]))
    same(relative(session.step(IDS[:, 5:7])), relative(truth(IDS[:, :7])[:, 5:7]))
    rows = torch.arange(3)
    if can.select:
        rows = torch.tensor([2, 0, 2, 2])
        session.select(rows)
        same(relative(session.step(IDS[rows, 7:8])), relative(truth(IDS[rows, :8])[:, 7:8]))
        session.select(torch.tensor([1]))
        rows = rows[1:2]
        same(relative(session.step(IDS[rows, 8:9])), relative(truth(IDS[rows, :9])[:, 8:9]))
        session.rewind(torch.tensor([2]))
        same(relative(session.step(IDS[rows, 7:9])), relative(truth(IDS[rows, :9])[:, 7:9]))
    session.close()


def test_only_what_hides_its_cache_cannot_take_rows() -> None:
    names = [f.name for f in FAMILIES if not decoder(f)[0].model.facts.capabilities.select]
    assert names == ["with_position"]  # a plain function: there is no module to look into


def greedy(truth: Truth, prompt: list[int], count: int = NEW) -> list[int]:
    """Argmax of the whole text, one token after another; id 0 ends nothing here."""
    ids = torch.tensor([prompt])
    for _ in range(count):
        ids = torch.cat([ids, truth(ids)[:, -1:].argmax(-1)], dim=1)
    return ids[0, len(prompt) :].tolist()


def relative(logits: torch.Tensor) -> torch.Tensor:
    """Log-probabilities: some models return those, and they decode alike."""
    return logits.log_softmax(-1)


def test_a_state_that_is_not_looked_at_is_found_out_whichever_way_it_is_passed() -> None:
    model = zoo_state.ForgetfulState()
    decode = Decoder(model, host=HOST)
    assert decode.report.adapter == "stateless"
    assert "steps with it are not those of the whole context" in decode.report.warnings[0]
    assert decode.generate(PROMPTS, max_new_tokens=NEW).tokens == [greedy(model.plain, p) for p in PROMPTS]


def test_what_makes_the_first_state_is_asked_for_by_name() -> None:
    decode = Decoder(zoo_state.ObjectCache(), host=HOST)
    assert decode.report.adapter == "stateless"
    assert "adapter={'state': lambda batch: MyCache(batch)}" in decode.report.warnings[0]


def test_rows_of_one_row_models_go_back_each_by_its_own_count() -> None:
    model = zoo_more.Rwkv()
    session = Decoder(model, host=HOST).model.open(2, 12)
    session.prefill(IDS[:2, :6])
    session.rewind(torch.tensor([3, 1]))
    step = session.step(IDS[:2, 8:9])
    for row, kept in enumerate((3, 5)):
        ids = torch.cat([IDS[row : row + 1, :kept], IDS[row : row + 1, 8:9]], dim=1)
        same(relative(step[row]), relative(model.plain(ids)[0, -1:]))
    session.close()


def test_a_row_that_is_repeated_gets_a_deep_copy_of_a_state_that_is_written_in_place() -> None:
    class OneRow(zoo_state.RetNet):
        def forward(self, tokens: torch.Tensor, incremental_state: Any = None) -> torch.Tensor:
            if len(tokens) != 1:
                raise ValueError("one row")
            return super().forward(tokens, incremental_state)

    model = OneRow()
    decode = Decoder(model, host=HOST)
    assert (decode.report.adapter, decode.report.compared) == ("rows", 10)
    session = decode.model.open(1, 12)
    session.prefill(IDS[:1, :4])
    session.select(torch.tensor([0, 0, 0]))
    session.step(IDS[:, 4:5])
    rows = torch.cat([IDS[:1, :4].expand(3, -1), IDS[:, 4:6]], dim=1)
    same(relative(session.step(IDS[:, 5:6])), relative(model.plain(rows)[:, 5:6]))
    session.close()


def test_a_counter_that_the_reset_forgets_is_taken_back_before_a_replay() -> None:
    model = zoo_more.HalfReset()
    decode = Decoder(model, adapter={"name": "flag", "verify": False}, host=HOST)
    assert decode.model.facts.capabilities.rewind_by == "replay"
    session = decode.model.open(2, 12)
    session.prefill(IDS[:2, :5])
    session.rewind(torch.tensor([2, 2]))
    same(session.step(IDS[:2, 3:4]), zoo.Body.plain(model, IDS[:2, :4])[:, 3:4].detach())
    session.close()
    assert model.current_pos == 0


def test_ids_of_a_padded_vocabulary_have_no_logits() -> None:
    decode = Decoder(zoo_more.Padded(), {"recipe": 1, "strategy": "sample"}, host=HOST)
    assert decode.model.facts.vocab_size == zoo.VOCAB - 5
    assert decode.report.warnings == ()
    gen = decode.generate([[1]], n=20, seed=1, max_new_tokens=10)
    assert max(token for row in gen.tokens for token in row) < zoo.VOCAB - 5
