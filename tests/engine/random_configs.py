"""Random generation configs of transformers, and the tiny models that decode them on both sides."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
import transformers as hf
from hf_versions import FOUR, RELEASE
from seq2seq_models import seq2seq

from decodery import Decoder, Generation, Pipeline, Recipe

VOCAB, PAD, EOS, OTHER_EOS, NEW = 80, 0, 5, 6, 10
DECODER_ONLY: dict[str, Callable[[], Any]] = {
    "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**SIZES, intermediate_size=48)),
    "qwen3": lambda: hf.Qwen3ForCausalLM(hf.Qwen3Config(**SIZES, intermediate_size=48, head_dim=8)),
    "gpt2": lambda: hf.GPT2LMHeadModel(
        hf.GPT2Config(
            vocab_size=VOCAB,
            n_embd=32,
            n_layer=2,
            n_head=4,
            n_positions=64,
            initializer_range=0.3,
            pad_token_id=PAD,
            eos_token_id=EOS,
            bos_token_id=1,
        )
    ),
}
MODELS = (*DECODER_ONLY, "t5")
SIZES: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "pad_token_id": PAD,
    "eos_token_id": EOS,
    "bos_token_id": 1,
}


@cache
def model(name: str) -> Any:
    """A tiny model with random weights, made once."""
    if name == "t5":
        return seq2seq("t5")
    torch.manual_seed(7)
    return DECODER_ONLY[name]().eval()


@dataclass(frozen=True)
class Case:
    """One configuration: the keys of a GenerationConfig, the prompts, and what goes beside them."""

    number: int
    model: str
    keys: dict[str, Any]
    prompts: list[list[int]]
    n: int
    eos: list[int]
    prefix: Callable[[int, torch.Tensor], list[int]] | None = None
    samples: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "samples", self.keys["do_sample"])

    def config(self) -> hf.GenerationConfig:
        # The keys of the model's own config would otherwise come from its defaults.
        return hf.GenerationConfig(
            **self.keys,
            max_new_tokens=NEW,
            pad_token_id=PAD,
            eos_token_id=list(self.eos),
            decoder_start_token_id=PAD,
        )

    def pipeline(self) -> Pipeline:
        """What the config says, by way of the recipe; a function cannot be written in either."""
        pipe = Recipe.from_generation_config(self.config()).pipeline()
        if self.prefix is None:
            return pipe
        before = {"sequence_bias", "encoder_repetition_penalty", "repetition_penalty", "no_repeat_ngram"}
        before |= {"encoder_no_repeat_ngram", "bad_words", "min_length", "min_new_tokens"}
        at = sum(step.spec.name in before for step in pipe.processors)
        return pipe.add("prefix_allowed_tokens", self.prefix, at=at)

    def theirs(self) -> tuple[list[list[int]], list[torch.Tensor], torch.Tensor]:
        """tokens up to eos, scores (N, V) of each row, and the state that torch's generator is left in."""
        width = max(map(len, self.prompts))
        left = self.model != "t5"
        pads = [[PAD] * (width - len(prompt)) for prompt in self.prompts]
        rows = [pad + p if left else p + pad for pad, p in zip(pads, self.prompts, strict=True)]
        seen = [[0] * len(pad) + [1] * len(p) for pad, p in zip(pads, self.prompts, strict=True)]
        mask = torch.tensor(seen if left else [row[::-1] for row in seen])
        generate = model(self.model).generate
        torch.manual_seed(self.number)
        out = generate(
            torch.tensor(rows),
            attention_mask=mask,
            generation_config=self.config(),
            num_return_sequences=self.n,
            prefix_allowed_tokens_fn=self.prefix,
            return_dict_in_generate=True,
            output_scores=True,
        )
        begin = width if left else 1
        tokens = [_until(self.eos, row[begin:].tolist()) for row in out.sequences]
        scores = [
            torch.stack([step[row] for step in out.scores[: len(kept)]])  # N x (V,) -> (N, V)
            for row, kept in enumerate(tokens)
        ]
        return tokens, scores, torch.get_rng_state()

    def ours(self, pipe: Pipeline) -> Generation:
        torch.manual_seed(self.number)
        decoder = Decoder(model(self.model), pipe, eos_token_id=self.eos, pad_token_id=PAD)
        return decoder.generate(self.prompts, n=self.n, return_scores=True)


def _until(eos: list[int], tokens: list[int]) -> list[int]:
    ends = [place for place, token in enumerate(tokens) if token in eos]
    return tokens[: ends[0] + 1] if ends else tokens


def cases(count: int, seed: int = 0) -> Iterator[Case]:
    rng = random.Random(seed)
    for number in range(count):
        yield _case(number, MODELS[number % len(MODELS)], rng)


def _case(number: int, name: str, rng: random.Random) -> Case:
    samples, eos = rng.random() < 0.6, [EOS] if rng.random() < 0.7 else [EOS, OTHER_EOS]
    steps = EDITS | (SAMPLERS if samples else {})
    chosen = rng.sample(sorted(steps), rng.randint(1, 6))
    if name == "t5":
        steps, chosen = steps | ENCODER, [*chosen, *(key for key in ENCODER if rng.random() < 0.3)]
    chosen = [
        key for key in chosen if not any(key == late and early in chosen for early, late in NOT_TOGETHER)
    ]
    keys = {key: steps[key](rng) for key in chosen}
    if FOUR:
        keys.pop("top_h", None)
    if samples and "top_k" not in keys and rng.random() < 0.5:
        keys["top_k"] = 0  # else it is 50, which nobody asked for
    keys["do_sample"] = samples
    # A forced first token comes after a prompt of one token alone; T5's decoder begins with one.
    lengths = (
        [1] * 3 if "forced_bos_token_id" in keys else [rng.randint(1, 7) for _ in range(rng.randint(2, 4))]
    )
    few = rng.choice(([11, 12, 13], range(10, VOCAB)))
    prompts = [[rng.choice(list(few)) for _ in range(length)] for length in lengths]
    prefix = _prefix(rng.randint(0, 6)) if rng.random() < 0.12 else None
    n = rng.randint(1, 2) if samples else 1
    banned_end = prefix is not None or bool(BAN_THE_END & keys.keys())
    if banned_end and keys.keys() >= LOWEST_GROWS and (samples or OF_INFINITY & keys.keys()):
        del keys["exponential_decay_length_penalty"]
    if prefix is not None and RELEASE < (5, 24):
        n = 1  # of several sequences it hands the function the row's number in the place of the prompt's
    if "encoder_repetition_penalty" in keys and FOUR:
        n = 1  # of several sequences it reads the encoder's rows by the row's number
    return Case(
        number, name, *(as_4_can(name, keys, prompts, prefix) if FOUR else (keys, prompts)), n, eos, prefix
    )


def as_4_can(
    name: str, keys: dict[str, Any], prompts: list[list[int]], prefix: Any
) -> tuple[dict[str, Any], list[list[int]]]:
    """A configuration less what transformers 4 does in another way than 5.23."""
    if "repetition_penalty" in keys and name != "t5":  # it penalises the pads before a row
        shortest = min(map(len, prompts))
        prompts = [prompt[:shortest] for prompt in prompts]
    without: set[str] = set()
    if (
        name != "t5" and max(map(len, prompts)) < 3
    ):  # it passes over sequences as long as the text and a token
        without |= {"sequence_bias", "bad_words_ids"}
    if prefix is not None or BAN_THE_END & keys.keys():  # it makes NaN of a banned end that grows
        without.add("exponential_decay_length_penalty")
    return {key: value for key, value in keys.items() if key not in without}, prompts


def _prefix(shift: int) -> Callable[[int, torch.Tensor], list[int]]:
    return lambda prompt, ids: [t for t in range(VOCAB) if (t + prompt + len(ids) + shift) % 7 > 2]


def _ids(rng: random.Random, count: int) -> list[int]:
    return [rng.randrange(7, VOCAB) for _ in range(count)]


def _synthid(rng: random.Random) -> dict[str, Any]:
    return {
        "ngram_len": rng.randint(2, 4),
        "keys": [rng.randrange(1000) for _ in range(rng.randint(1, 5))],
        "context_history_size": rng.choice((2, 1024)),
        "skip_first_ngram_calls": rng.random() < 0.3,
    }


def _watermark(rng: random.Random) -> Any:
    if rng.random() < 0.45:
        return hf.SynthIDTextWatermarkingConfig(**_synthid(rng))
    return hf.WatermarkingConfig(
        greenlist_ratio=rng.uniform(0.3, 0.6),
        bias=rng.uniform(0.5, 4),
        seeding_scheme=rng.choice(("lefthash", "selfhash")),
        context_width=rng.randint(1, 2),
    )


BAN_THE_END = {"min_length", "min_new_tokens", "forced_bos_token_id", "forced_eos_token_id"}
NOT_TOGETHER = (
    # transformers refuses to force a token that it may suppress.
    ("forced_bos_token_id", "suppress_tokens"),
)
LOWEST_GROWS = {"remove_invalid_values", "exponential_decay_length_penalty"}
"""Where the end was banned, the lowest number takes the place of the ban and may grow to infinity: the best score for a
greedy choice, but ..."""
OF_INFINITY = {"renormalize_logits", "watermarking_config"}
"""... these make NaN of it, and so does transformers' draw, which is an error; see `test_hf_parity_random`."""
Value = Callable[[random.Random], Any]
EDITS: dict[str, Value] = {
    "sequence_bias": lambda r: [
        [_ids(r, 1), r.uniform(-4, 8)],
        [[11, r.randrange(7, VOCAB)], 6.0],
        [[r.randrange(11, 14), r.randrange(11, 14), r.randrange(7, VOCAB)], 9.0],
    ],
    "repetition_penalty": lambda r: r.uniform(0.7, 2.0),
    "no_repeat_ngram_size": lambda r: r.choice((2, 2, 3)),
    "bad_words_ids": lambda r: [[token] for token in _ids(r, 12)] + [[11, r.randrange(7, VOCAB)]],
    "min_length": lambda r: r.randint(6, 16),
    "min_new_tokens": lambda r: r.randint(2, 9),
    "forced_bos_token_id": lambda r: r.randrange(7, VOCAB),
    "forced_eos_token_id": lambda r: r.choice((EOS, [EOS, OTHER_EOS])),
    "remove_invalid_values": lambda r: True,
    "exponential_decay_length_penalty": lambda r: (r.randint(0, 4), r.uniform(1.02, 1.3)),
    "suppress_tokens": lambda r: _ids(r, 14),
    "begin_suppress_tokens": lambda r: _ids(r, 20),
    "watermarking_config": _watermark,
    "renormalize_logits": lambda r: True,
}
ENCODER: dict[str, Value] = {
    "encoder_repetition_penalty": lambda r: r.uniform(0.5, 3.0),
    "encoder_no_repeat_ngram_size": lambda r: r.choice((1, 1, 2)),
}
SAMPLERS: dict[str, Value] = {
    "temperature": lambda r: r.uniform(0.4, 2.0),
    "top_h": lambda r: r.uniform(0.2, 0.95),
    "top_k": lambda r: r.choice((3, 8, 20)),
    "top_p": lambda r: r.uniform(0.4, 0.98),
    "min_p": lambda r: r.uniform(0.01, 0.2),
    "typical_p": lambda r: r.uniform(0.3, 0.95),
    "epsilon_cutoff": lambda r: r.uniform(3e-4, 0.02),
    "eta_cutoff": lambda r: r.uniform(3e-4, 0.02),
}
