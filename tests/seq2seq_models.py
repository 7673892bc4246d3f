"""Tiny encoder-decoders of transformers' with random weights, large enough for a wrong mask or position to show."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import transformers as hf

VOCAB, PAD, EOS, START = 80, 0, 5, 2
SIZES: dict[str, Any] = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "vocab_size": VOCAB,
    "pad_token_id": PAD,
    "eos_token_id": EOS,
    "bos_token_id": 1,
    "decoder_start_token_id": START,
    "tie_word_embeddings": False,
}


def _t5() -> Any:
    return hf.T5ForConditionalGeneration(
        hf.T5Config(
            vocab_size=VOCAB,
            d_model=32,
            d_kv=8,
            d_ff=48,
            num_layers=2,
            num_heads=4,
            pad_token_id=PAD,
            eos_token_id=EOS,
            decoder_start_token_id=PAD,
            tie_word_embeddings=False,
        )
    )


MAKERS: dict[str, Callable[[], Any]] = {
    "t5": _t5,
    "bart": lambda: hf.BartForConditionalGeneration(
        hf.BartConfig(**SIZES, max_position_embeddings=40, forced_eos_token_id=None)
    ),
    "whisper": lambda: hf.WhisperForConditionalGeneration(
        hf.WhisperConfig(
            **SIZES,
            num_mel_bins=8,
            max_source_positions=12,
            max_target_positions=40,
            begin_suppress_tokens=None,
            suppress_tokens=None,
        )
    ),
}


@cache
def seq2seq(name: str) -> Any:
    """One of `MAKERS`, made once."""
    torch.manual_seed(3)
    model = MAKERS[name]()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()
