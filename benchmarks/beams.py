"""Beam search on one tiny Llama against transformers' `generate`, and what a draft model saves the demo model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from decodery import Decoder, Pipeline

from .measure import Comparison, medians

TOKENS, BEAMS = 64, 4
PROMPTS = ("It was a dark night, and the", "He looked at her and said", "In the year 1850 there lived")


def run(rounds: int = 15) -> Iterator[Comparison]:
    """Beam 4 with and without `compat: hf`, a token; then `assisted` against greedy. Equal texts are checked first."""
    yield from _against_generate(4_096, 1, rounds)
    yield from _against_generate(32_000, 1, rounds)
    yield from _against_generate(32_000, 4, rounds)
    yield from _against_generate(128_256, 4, 5)
    yield from _drafted(5)


def _against_generate(vocabulary: int, prompts: int, rounds: int) -> Iterator[Comparison]:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        eos_token_id=2,
        pad_token_id=0,
        initializer_range=0.2,
    )
    model = LlamaForCausalLM(config).eval()
    ids = torch.randint(3, vocabulary, (prompts, 16))
    pipe = Pipeline().with_strategy("beam", num_beams=BEAMS).stop("eos").stop("max_new_tokens", TOKENS)
    plain, identical = Decoder(model, pipe), Decoder(model, pipe.compat("hf"))

    def theirs() -> list[list[int]]:
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            num_beams=BEAMS,
            do_sample=False,
            max_new_tokens=TOKENS,
        )
        return out[:, ids.shape[1] :].tolist()  # type: ignore[no-any-return]

    if not plain.generate(ids).tokens == identical.generate(ids).tokens == theirs():
        raise SystemExit("beams: the texts are not transformers'")
    sides = {
        "ours": lambda: plain.generate(ids),
        "hf": lambda: identical.generate(ids),
        "theirs": theirs,
    }
    times = {name: seconds / TOKENS for name, seconds in medians(sides, rounds).items()}
    title = f"beam {BEAMS}, V={vocabulary:,}, B={prompts}"
    yield Comparison(f"{title}, a token", "torch", times["ours"], "generate", times["theirs"], 1.4)
    yield Comparison(f"{title}, compat: hf", "torch", times["hf"], "generate", times["theirs"], 1.4)


def _drafted(rounds: int) -> Iterator[Comparison]:
    """Ours greedy is the peer here: the same text from the same model, a token a forward."""
    from decodery_demo.load import load, load_draft  # noqa: PLC0415 - the demo is not needed by the others

    model, tokenizer = load()
    draft, _ = load_draft()
    base = Pipeline().stop("max_new_tokens", TOKENS)
    greedy = Decoder(model, base, tokenizer=tokenizer)
    for drafts in (2, 3, 5):
        pipe = base.with_strategy("assisted", num_assistant_tokens=drafts)
        assisted = Decoder(model, pipe, tokenizer=tokenizer, models={"draft": draft})
        kept = _acceptance(model, assisted, [greedy.generate(text).tokens for text in PROMPTS])
        times = medians(
            {
                "ours": lambda decoder=assisted: [decoder.generate(text) for text in PROMPTS],
                "greedy": lambda: [greedy.generate(text) for text in PROMPTS],
            },
            rounds,
        )
        count = TOKENS * len(PROMPTS)
        title = f"demo with demo-draft, {drafts} drafts of which {kept:.0%} are kept, a token"
        yield Comparison(title, "assisted", times["ours"] / count, "greedy", times["greedy"] / count)


def _acceptance(model: Any, decoder: Decoder, expected: list[list[list[int]]]) -> float:
    """The share of the drafts that stay; the model's own forwards tell how many columns each checked."""
    widths: list[int] = []
    hook = model.register_forward_pre_hook(lambda _, given: widths.append(given[0].shape[1]))
    drafted = kept = 0
    for text, tokens in zip(PROMPTS, expected, strict=True):
        widths.clear()
        if decoder.generate(text).tokens != tokens:
            raise SystemExit("assisted: the text is not the greedy one")
        # The prompt is one forward, its drafts another; each forward after it is a token and its drafts.
        checks = widths[1:]
        drafted += sum(width - 1 for width in checks[1:]) + checks[0]
        kept += TOKENS - len(checks)
    hook.remove()
    return kept / drafted
