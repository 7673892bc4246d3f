"""Every step of the box in a run of ragged rows: padding is never seen, and a row equals the row alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from decodery import Decoder, Pipeline
from decodery.contracts.specs import StepSpec
from decodery.host.registry import Host
from decodery.testing import TableModel

VOCAB, EOS, PAD, NEW = 48, 2, 0, 9
# One prompt holds the pad id, which is an id like any other; one is a single token; two differ in length alone.
PROMPTS = [[5, 6, 5, 6, 5], [7], [0, 0, 9, 0], [5, 6, 5], [11, 3, 11, 3, 11, 3, 11, 8]]

PROCESSORS: dict[str, dict[str, Any]] = {
    "temperature": {"temperature": 0.5},
    "top_k": {"k": 3},
    "top_p": {"p": 0.5},
    "min_p": {"p": 0.2},
    "typical_p": {"p": 0.4},
    "top_h": {"h": 0.5},
    "epsilon_cutoff": {"epsilon": 0.05},
    "eta_cutoff": {"epsilon": 0.1},
    "repetition_penalty": {"penalty": 3.0, "window": 6, "slope": 0.5},
    "no_repeat_ngram": {"ngram_size": 1},
    "bad_words": {"ids": [[31], [5, 40]]},
    "sequence_bias": {"pairs": [[[6, 5, 13], 9.0], [[20], 3.0]]},
    "min_length": {"min_length": 10},
    "min_new_tokens": {"min_new_tokens": 5},
    "forced_bos": {"token_id": 33},
    "forced_eos": {"token_ids": [EOS]},
    "exponential_decay_length_penalty": {"decay": [2, 1.9]},
    "suppress_tokens": {"ids": [4, 17, 30]},
    "begin_suppress_tokens": {"ids": list(range(3, 30))},
    "remove_invalid_values": {},
    "renormalize": {},
    "prefix_allowed_tokens": {"fn": lambda prompt, ids: range(int(ids[0]) % 3, VOCAB, 3)},
    "watermark": {"context_width": 3, "greenlist_ratio": 0.3, "bias": 4.0},
    "synthid_watermark": {"keys": [3, 5, 7], "ngram_len": 3},
    "whisper_timestamps": {"no_timestamps_token_id": 30},
    "bark_eos_prioritizer": {"min_eos_p": 0.02},
    "alternating_codebooks": {"semantic_vocab_size": 10, "codebook_size": 20},
    # A text a row: with one channel Dia's layout is everyone's.
    "dia_eos_channel_filter": {"num_channels": 1},
    "dia_eos_delay_pattern": {"delay_pattern": [1]},
}
STOPS: dict[str, dict[str, Any]] = {
    "eos": {},
    "stop_token_ids": {"ids": [12, 20, 25]},
    "max_new_tokens": {"max_new_tokens": 4},
    "max_length": {"max_length": 14},
    "stop_strings": {"strings": ["a", "k"]},
    "confidence": {"threshold": 0.02},
}
ELSEWHERE = {
    "encoder_repetition_penalty": "needs an encoder; test_encoder_steps, and the conformance kit",
    "encoder_no_repeat_ngram": "needs an encoder; test_encoder_steps, and the conformance kit",
    "max_time": "a clock's answer does not depend on rows; test_stop_rules",
}
# They change scores without changing what is drawn from them, or act on values that no healthy model gives.
SAME_TOKENS = {"remove_invalid_values", "renormalize"}


class Letters:
    vocab_size, eos_token_id = VOCAB, None

    def encode(self, text: str) -> list[int]:
        return [ord(letter) - 97 for letter in text]

    def decode(self, ids: list[int]) -> str:
        return "".join(chr(97 + token) for token in ids)


def _generate(pipe: Pipeline, prompts: list[list[int]]) -> Any:
    decoder = Decoder(
        TableModel(VOCAB, scale=1.5),
        pipe.with_strategy("sample"),
        tokenizer=Letters(),
        vocab_size=VOCAB,
        eos_token_id=EOS,
        pad_token_id=PAD,
    )
    return decoder.generate(prompts, seed=3, return_scores=True)


def _pipe(name: str) -> Pipeline:
    pipe = Pipeline()
    pipe = pipe.add(name, **PROCESSORS[name]) if name in PROCESSORS else pipe.stop(name, **STOPS[name])
    return pipe if name in ("max_new_tokens", "max_length") else pipe.stop("eos").stop("max_new_tokens", NEW)


def test_no_step_is_forgotten() -> None:
    names = {spec.name for spec in Host("").builtin(StepSpec)}
    assert names == PROCESSORS.keys() | STOPS.keys() | ELSEWHERE.keys()


@pytest.mark.parametrize("name", [*PROCESSORS, *STOPS])
def test_a_row_of_a_ragged_batch_equals_the_row_alone(name: str) -> None:
    pipe = _pipe(name)
    batch = _generate(pipe, PROMPTS)
    for row, prompt in enumerate(PROMPTS):
        alone = _generate(pipe, [prompt])
        assert alone.tokens[0] == batch.tokens[row]
        assert alone.finish_reasons[0] == batch.finish_reasons[row]
        assert torch.equal(alone.scores[0], batch.scores[row])
    plain = Pipeline().stop("eos").stop("max_new_tokens", NEW)
    if name not in SAME_TOKENS and name != "eos":
        assert batch.tokens != _generate(plain, PROMPTS).tokens, "the step did nothing, so this shows nothing"


@pytest.mark.parametrize("name", [*PROCESSORS, *STOPS])
def test_what_stands_beside_a_row_never_matters(name: str) -> None:
    """Other neighbours, longer and shorter ones, in another order."""
    pipe = _pipe(name)
    batch = _generate(pipe, PROMPTS)
    for others in ([[8] * 12, PROMPTS[2], [1]], [PROMPTS[4], [3, 1], PROMPTS[1]]):
        again = _generate(pipe, others)
        for row, prompt in enumerate(others):
            # A function of prompts may tell them apart by number; here it goes by the ids.
            if prompt in PROMPTS:
                assert again.tokens[row] == batch.tokens[PROMPTS.index(prompt)]
