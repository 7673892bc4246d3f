"""What holds for every strategy in the box: ragged batches, rows that stop alone, seeds, n, observers, streams; and for
encoder-decoders too."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import torch
from seq2seq_models import seq2seq
from small_models import model_of, worse
from torch import Tensor

from decodery import Decoder, Generation, Pipeline
from decodery.builtin.strategies.records import strategies
from decodery.contracts.errors import ModelError
from decodery.engine.io.rows import Event

PROMPTS = [[5, 6, 7, 5, 6], [4], [9, 8, 9, 8, 9, 8, 9], [2, 2, 2]]
NEW = 8
SETTINGS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "sample": {},
    "beam": {"num_beams": 3},
    "beam_sample": {"num_beams": 3},
    "diverse_beam": {"num_beams": 4, "num_beam_groups": 2},
    "constrained_beam": {"num_beams": 4, "force_words": [[7, 9], [[11], [12, 13]]]},
    "assisted": {"num_assistant_tokens": 3},
    "assisted sampling": {"num_assistant_tokens": 3, "do_sample": True},
    "prompt_lookup": {},
    "prompt_lookup sampling": {"do_sample": True},
    "contrastive": {"top_k": 3},
    "dola": {},
    "dola sampling": {"do_sample": True},
    "mix": {"formula": "contrastive"},
    "mix sampling": {"formula": "contrastive", "do_sample": True},
    "best_of": {"num_samples": 3},
    "majority": {"num_samples": 3},
    "mbr": {"num_samples": 3},
}
GROWING = {"greedy", "sample", "assisted", "prompt_lookup", "contrastive", "dola", "mix"}
DRAWING = {"sample", "beam_sample", "best_of", "mbr"}
INSIDE = ("contrastive", "dola")
"""Strategies that look at hidden states."""
QUICK = {"beam", "assisted", "mix", "best_of"}
"""The rest of the models with one cache are `make test-all`'s."""
CASES = [
    pytest.param(how, kind, marks=[pytest.mark.slow] if kind == "input_pos" and how not in QUICK else [])
    for how in SETTINGS
    for kind in ("llama", "input_pos")
    if kind == "llama" or how.partition(" ")[0] not in INSIDE
]


def made(how: str, kind: str, pipe: Pipeline | None = None) -> Decoder:
    """The strategy on a model that masks its rows, or on one that takes no mask and has one cache."""
    model = model_of(kind)
    ends = (pipe or Pipeline()).stop("eos").stop("max_new_tokens", NEW)
    ready = ends.with_strategy(how.partition(" ")[0], **SETTINGS[how])
    helper = worse(model, 0.4)
    return Decoder(model, ready, eos_token_id=3, models={"draft": helper, "amateur": helper})


def shown(gen: Generation) -> list[tuple[list[int], str]]:
    return list(zip(gen.tokens, gen.finish_reasons, strict=True))


def test_no_strategy_is_left_out() -> None:
    assert {how.partition(" ")[0] for how in SETTINGS} == {spec.name for spec in strategies()}


@pytest.mark.parametrize(("how", "kind"), CASES)
def test_a_row_alone_equals_the_row_in_a_ragged_batch(how: str, kind: str) -> None:
    """The rows end at their own places, draw their own numbers, and nothing is seen of the others."""
    decoder = made(how, kind)
    seeds = [11, 12, 13, 14]
    whole = shown(decoder.generate(PROMPTS, seeds=seeds))
    alone = [shown(decoder.generate([p], seeds=[s]))[0] for p, s in zip(PROMPTS, seeds, strict=True)]
    assert whole == alone
    assert all(tokens[-1] == 3 for tokens, reason in whole if reason == "eos")
    assert all(len(tokens) == NEW for tokens, reason in whole if reason == "length")
    assert {reason for _, reason in whole} <= {"eos", "length"}


@pytest.mark.parametrize("how", SETTINGS)
def test_a_row_stops_at_its_own_token(how: str) -> None:
    """Whatever the first row writes in its middle ends that row, and the others go on to their ends."""
    free = made(how, "llama").generate(PROMPTS, seed=3)
    middle = free.tokens[0][3]
    found = made(how, "llama", Pipeline().stop("stop_token_ids", [middle])).generate(PROMPTS, seed=3)
    if how != "constrained_beam":  # a text that ends before its words are there is no result
        assert "stop_token_ids" in found.finish_reasons
    for tokens, reason in shown(found):
        assert (tokens[-1] == middle) == (reason == "stop_token_ids")
        assert middle not in tokens[:-1]


@pytest.mark.parametrize("how", SETTINGS)
def test_a_seed_gives_the_same_rows_again_and_n_rows_a_prompt_stand_together(how: str) -> None:
    decoder = made(how, "llama")
    first, again = (decoder.generate(PROMPTS[:2], n=3, seed=5) for _ in range(2))
    assert shown(first) == shown(again)
    assert [(row.prompt_index, row.sample_index) for row in first] == [
        (p, s) for p in (0, 1) for s in range(3)
    ]
    other = decoder.generate(PROMPTS[:2], n=3, seed=6)
    if how in DRAWING or "sampling" in how:
        assert shown(other) != shown(first)
    elif how != "majority":
        assert shown(other) == shown(first)
    if first.sequence_scores is not None and how != "constrained_beam":  # there whole texts come first
        for begin in (0, 3):
            scores = first.sequence_scores[begin : begin + 3]
            assert scores == sorted(scores, reverse=True)


class Rows:
    """Keeps the tokens of the rows as they stand, and follows them."""

    wants = frozenset({"tokens"})

    def __init__(self, count: int) -> None:
        self.rows: list[list[int]] = [[] for _ in range(count)]

    def on_tokens(self, tokens: Tensor, active: Tensor, reasons: Any) -> None:
        for kept, token, on in zip(self.rows, tokens.tolist(), active.tolist(), strict=True):
            kept.extend([token] if on else [])

    def on_select(self, rows: Tensor) -> None:
        self.rows = [list(self.rows[row]) for row in rows.tolist()]

    def on_rewind(self, counts: Tensor) -> None:
        self.rows = [kept[: len(kept) - n] for kept, n in zip(self.rows, counts.tolist(), strict=True)]


@pytest.mark.parametrize("how", SETTINGS)
def test_an_observer_changes_nothing_and_can_follow_the_rows(how: str) -> None:
    decoder, watcher = made(how, "llama"), Rows(len(PROMPTS))
    watched = decoder.generate(PROMPTS, seed=5, observers=[watcher])
    assert shown(watched) == shown(decoder.generate(PROMPTS, seed=5))
    if how.partition(" ")[0] in GROWING:
        assert watcher.rows == watched.tokens
    else:
        assert any(watcher.rows)


@pytest.mark.parametrize("how", SETTINGS)
def test_an_asynchronous_stream_and_a_callback_are_told_the_same_events(how: str) -> None:
    decoder, told = made(how, "llama"), []  # type: tuple[Decoder, list[Event]]
    events = list(decoder.stream(PROMPTS, seed=5))

    async def gathered() -> list[Event]:
        async with decoder.stream(PROMPTS, seed=5) as stream:
            return [event async for event in stream]

    assert asyncio.run(gathered()) == events
    found = decoder.generate(PROMPTS, seed=5, on_event=told.append)
    assert told == events
    assert [[event.token for event in events if event.row == row] for row in range(4)] == found.tokens


@pytest.mark.parametrize("how", SETTINGS)
def test_a_stream_tells_the_same_and_as_it_grows_where_that_is_final(how: str) -> None:
    decoder = made(how, "llama")
    wanted = decoder.generate(PROMPTS, seed=5)
    steps, rows = [], [[] for _ in PROMPTS]  # type: tuple[list[int], list[list[int]]]
    stream = decoder.stream(PROMPTS, seed=5, observers=[watcher := Rows(len(PROMPTS))])
    for event in stream:
        steps.append(max((len(row) for row in watcher.rows), default=0))
        rows[event.row].append(event.token)
    assert rows == wanted.tokens
    assert shown(stream.result) == shown(wanted)
    # Where the text is final as it grows, the first event comes before the last token is decoded.
    assert (steps[0] < steps[-1]) == (how.partition(" ")[0] in GROWING)


# -- encoder-decoders ---------------------------------------------------------------------------------------------

FEATURES = torch.randn(3, 8, 24, generator=torch.Generator().manual_seed(1))
TEXTS = [[11, 12, 13, 14], [21, 22], [31, 32, 33, 34, 35, 36]]
WITH_ENCODERS = [
    pytest.param(
        how,
        name,
        marks=[] if how in QUICK | {"greedy", "contrastive"} or name == "t5" else [pytest.mark.slow],
    )
    for how in SETTINGS
    for name in ("t5", "whisper")
    if not how.startswith("dola")
]


@pytest.mark.parametrize(("how", "name"), WITH_ENCODERS)
def test_an_encoder_decoder_decodes_with_it_row_by_row(name: str, how: str) -> None:
    model = seq2seq(name)
    pipe = (
        Pipeline()
        .stop("eos")
        .stop("max_new_tokens", NEW)
        .with_strategy(how.partition(" ")[0], **SETTINGS[how])
    )
    helper = worse(model, 0.3)
    decoder = Decoder(model, pipe, models={"draft": helper, "amateur": helper})

    def decoded(rows: list[int]) -> list[tuple[list[int], str]]:
        given: dict[str, Any] = {"prompts": [TEXTS[row] for row in rows]}
        if name == "whisper":
            given = {"model_inputs": {"input_features": FEATURES[rows]}}
        return shown(decoder.generate(**given, seeds=[row + 20 for row in rows]))

    whole = decoded([0, 1, 2])
    assert whole == [decoded([row])[0] for row in range(3)]
    assert len({tuple(tokens) for tokens, _ in whole}) > 1
    if how in ("assisted", "prompt_lookup"):
        given = {"prompts": TEXTS} if name == "t5" else {"model_inputs": {"input_features": FEATURES}}
        assert [tokens for tokens, _ in whole] == Decoder(model).generate(**given, max_new_tokens=NEW).tokens


@pytest.mark.parametrize("layers", ["low", "high", [0, 1]])
@pytest.mark.parametrize("name", ["t5", "whisper"])
def test_dola_refuses_an_encoder_decoder_by_name(name: str, layers: Any) -> None:
    given: dict[str, Any] = (
        {"prompts": TEXTS} if name == "t5" else {"model_inputs": {"input_features": FEATURES}}
    )
    decoder = Decoder(seq2seq(name), Pipeline().with_strategy("dola", layers=layers))
    with pytest.raises(ModelError, match=r"dola .* encoder-decoder\n.*help: use another strategy"):
        decoder.generate(**given)
