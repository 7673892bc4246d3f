"""With `compat: hf`, tokens and scores are those of transformers' own `generate`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from hf_versions import FOUR
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from decodery import Decoder, Pipeline

VOCAB, PAD, EOS = 80, 0, 5
EQUAL = [[11, 12, 13, 14], [21, 22, 23, 24], [31, 11, 31, 11]]
RAGGED = [[11, 12], [21, 22, 23, 24, 25], [31], [41, 42, 43]]


def _llama() -> Any:
    torch.manual_seed(1)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCAB,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
            initializer_range=0.4,
            pad_token_id=PAD,
            eos_token_id=EOS,
            bos_token_id=1,
        )
    ).eval()


def _gpt2() -> Any:
    torch.manual_seed(2)
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCAB,
            n_embd=32,
            n_layer=2,
            n_head=4,
            n_positions=64,
            initializer_range=0.4,
            pad_token_id=PAD,
            eos_token_id=EOS,
            bos_token_id=1,
        )
    ).eval()


MODELS = {"llama": _llama, "gpt2": _gpt2}
SETTINGS: dict[str, dict[str, Any]] = {
    "greedy": {"do_sample": False},
    "greedy with edits": {
        "do_sample": False,
        "repetition_penalty": 1.4,
        "no_repeat_ngram_size": 2,
        "min_new_tokens": 6,
        "bad_words_ids": [[17], [3, 4]],
    },
    "sampling": {"do_sample": True, "temperature": 0.9, "top_k": 20, "top_p": 0.9},
    "sampling, many steps": {
        "do_sample": True,
        "repetition_penalty": 1.2,
        "no_repeat_ngram_size": 3,
        "min_new_tokens": 4,
        "temperature": 1.3,
        "top_k": 40,
        "min_p": 0.02,
        "typical_p": 0.9,
        "epsilon_cutoff": 1e-3,
        "eta_cutoff": 1e-3,
        "sequence_bias": [[[9], 1.5], [[8, 7], -2.0]],
    },
}
# HF's fixed order; a value stands for the step's first parameter.
ORDER = [
    ("sequence_bias", "sequence_bias"),
    ("repetition_penalty", "repetition_penalty"),
    ("no_repeat_ngram_size", "no_repeat_ngram"),
    ("bad_words_ids", "bad_words"),
    ("min_new_tokens", "min_new_tokens"),
    ("temperature", "temperature"),
    ("top_k", "top_k"),
    ("top_p", "top_p"),
    ("min_p", "min_p"),
    ("typical_p", "typical_p"),
    ("epsilon_cutoff", "epsilon_cutoff"),
    ("eta_cutoff", "eta_cutoff"),
]


def _pipeline(settings: dict[str, Any]) -> Pipeline:
    pipe = Pipeline().compat("hf").with_strategy("sample" if settings["do_sample"] else "greedy")
    for key, step in ORDER:
        if key in settings:
            pipe = pipe.add(step, settings[key])
    return pipe.stop("eos").stop("max_new_tokens", 14)


def _generate(model: Any, prompts: list[list[int]], settings: dict[str, Any], n: int) -> Any:
    width = max(map(len, prompts))
    ids = torch.tensor([[PAD] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    return model.generate(
        ids,
        attention_mask=mask,
        max_new_tokens=14,
        num_return_sequences=n,
        pad_token_id=PAD,
        eos_token_id=EOS,
        return_dict_in_generate=True,
        output_scores=True,
        **settings,
    ), width


def _until_eos(tokens: list[int]) -> list[int]:
    return tokens[: tokens.index(EOS) + 1] if EOS in tokens else tokens


@pytest.mark.parametrize("prompts", [EQUAL, RAGGED], ids=["equal", "left-padded"])
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("architecture", MODELS)
def test_tokens_and_scores_equal_generate(architecture: str, setting: str, prompts: list[list[int]]) -> None:
    model, settings = MODELS[architecture](), SETTINGS[setting]
    if FOUR and prompts is RAGGED and "repetition_penalty" in settings:
        pytest.skip(f"transformers {transformers.__version__} penalises the pads before a row like its words")
    n = 2 if settings["do_sample"] else 1
    ended = 0
    for seed in range(4):
        torch.manual_seed(seed)
        theirs, width = _generate(model, prompts, settings, n)
        after = torch.get_rng_state()
        torch.manual_seed(seed)
        ours = Decoder(model, _pipeline(settings)).generate(prompts, n=n, return_scores=True)
        assert torch.equal(torch.get_rng_state(), after)
        expected = [_until_eos(row[width:].tolist()) for row in theirs.sequences]
        assert ours.tokens == expected
        assert ours.scores is not None
        for row, tokens in enumerate(expected):
            steps = torch.stack(
                [scores[row] for scores in theirs.scores[: len(tokens)]]
            )  # N x (V,) -> (N, V)
            assert torch.equal(ours.scores[row], steps)
        ended += ours.finish_reasons.count("eos")
        if not settings["do_sample"]:
            break
    if settings["do_sample"]:
        assert ended  # rows that finish early, and go on drawing, are part of the claim


def test_an_explicit_seed_draws_what_manual_seed_would_and_leaves_the_global_generator_alone() -> None:
    model, settings = _llama(), SETTINGS["sampling"]
    torch.manual_seed(77)
    expected = Decoder(model, _pipeline(settings)).generate(RAGGED).tokens
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert Decoder(model, _pipeline(settings)).generate(RAGGED, seed=77).tokens == expected
    assert torch.equal(torch.get_rng_state(), before)


def test_without_compat_left_padding_is_never_seen_by_a_step() -> None:
    """Greedy with history readers: a ragged batch equals each prompt alone (same model, same cache)."""
    decoder = Decoder(_llama(), Pipeline().add("repetition_penalty", 1.4).add("no_repeat_ngram", 2))
    batch = decoder.generate(RAGGED, max_new_tokens=12).tokens
    assert batch == [decoder.generate([p], max_new_tokens=12).tokens[0] for p in RAGGED]


def test_a_model_without_masks_is_refused_ragged_prompts() -> None:
    from decodery.contracts.errors import InvalidInput
    from decodery.testing import TableModel

    decoder = Decoder(TableModel(40), Pipeline().compat("hf"), vocab_size=40)
    assert decoder.generate([[1, 2], [3, 4]], max_new_tokens=3).finish_reasons == ["length"] * 2
    with pytest.raises(InvalidInput, match="one length"):
        decoder.generate([[1, 2], [3]], max_new_tokens=3)
