"""Random configurations of transformers' beam search and beam sampling, decoded on both sides."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import transformers as hf
from hf_versions import FOUR
from random_configs import EDITS, PAD, SAMPLERS, VOCAB, as_4_can

from decodery import Decoder, Generation, Recipe

NEW = 9
MODELS = ("llama", "gpt2", "qwen3", "t5")
EOS_SETS: tuple[tuple[int, ...], ...] = ((), (5,), (5, 6, 17), tuple(range(5, 45)))
STEPS = ("repetition_penalty", "no_repeat_ngram_size", "bad_words_ids", "sequence_bias", "renormalize_logits")
LENGTHS = ("min_length", "min_new_tokens", "exponential_decay_length_penalty")


@cache
def tiny(name: str, eos: tuple[int, ...]) -> Any:
    """A tiny model with random weights whose texts end with these ids; the weights are the same for all."""
    torch.manual_seed(11)
    ids: dict[str, Any] = {
        "pad_token_id": PAD,
        "bos_token_id": 1,
        "eos_token_id": list(eos) if len(eos) > 1 else eos[0] if eos else None,
    }
    sizes: dict[str, Any] = {
        "vocab_size": VOCAB,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "initializer_range": 0.3,
    }
    if name == "llama":
        made: Any = hf.LlamaForCausalLM(hf.LlamaConfig(**sizes, **ids))
    elif name == "qwen3":
        made = hf.Qwen3ForCausalLM(hf.Qwen3Config(**sizes, **ids, head_dim=8))
    elif name == "gpt2":
        small: dict[str, Any] = {"vocab_size": VOCAB, "n_embd": 32, "n_layer": 2, "n_head": 4}
        made = hf.GPT2LMHeadModel(hf.GPT2Config(**small, **ids, n_positions=64, initializer_range=0.3))
    else:
        small = {"vocab_size": VOCAB, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
        config = hf.T5Config(**small, **ids, decoder_start_token_id=PAD, tie_word_embeddings=False)
        made = hf.T5ForConditionalGeneration(config)
        for weights in made.parameters():  # as they come, every text is one token again and again
            if weights.dim() > 1:
                torch.nn.init.normal_(weights, std=0.3)
    return made.eval()


@dataclass(frozen=True)
class BeamCase:
    """One configuration: the keys of a GenerationConfig, ragged prompts, the ids that end a text."""

    number: int
    model: str
    keys: dict[str, Any]
    prompts: list[list[int]]
    eos: tuple[int, ...]

    def theirs(self) -> tuple[list[list[int]], torch.Tensor, torch.Tensor]:
        """tokens up to the end, (rows,) scores, and the state that torch's generator is left in."""
        width, left = max(map(len, self.prompts)), self.model != "t5"
        rows, mask = [], []
        for prompt in self.prompts:
            pads, seen = [PAD] * (width - len(prompt)), [1] * len(prompt)
            rows.append(pads + prompt if left else prompt + pads)
            mask.append([0] * len(pads) + seen if left else seen + [0] * len(pads))
        model = tiny(self.model, self.eos)
        torch.manual_seed(self.number)
        out = model.generate(
            torch.tensor(rows),
            attention_mask=torch.tensor(mask),
            generation_config=hf.GenerationConfig(**self.keys, max_new_tokens=NEW),
            return_dict_in_generate=True,
            output_scores=True,
        )
        tokens = [until(self.eos, row) for row in out.sequences[:, width if left else 1 :].tolist()]
        return tokens, out.sequences_scores, torch.get_rng_state()

    def ours(self, compat: bool = True) -> Generation:
        config = hf.GenerationConfig(**self.keys, max_new_tokens=NEW)
        pipe = Recipe.from_generation_config(config).pipeline()
        decoder = Decoder(tiny(self.model, self.eos), pipe if compat else pipe.compat(None))
        torch.manual_seed(self.number)
        return decoder.generate(self.prompts)


def beam_cases(count: int, seed: int = 0) -> Iterator[BeamCase]:
    """Models, ends of texts and both strategies in turn; the rest by chance."""
    rng = random.Random(seed)
    for number in range(count):
        eos = EOS_SETS[number // len(MODELS) % len(EOS_SETS)]
        yield _case(number, MODELS[number % len(MODELS)], eos, number % 3 == 2, rng)


def _case(number: int, name: str, eos: tuple[int, ...], samples: bool, rng: random.Random) -> BeamCase:
    beams = rng.randint(2, 5)
    keys: dict[str, Any] = {
        "num_beams": beams,
        "do_sample": samples,
        "num_return_sequences": rng.randint(1, beams),
        "length_penalty": rng.choice((1.0, 0.0, -1.0, 2.0, rng.uniform(-2, 2))),
        "early_stopping": rng.choice((False, True, "never")),
    }
    steps: dict[str, Callable[[random.Random], Any]] = {key: EDITS[key] for key in STEPS}
    steps |= {key: EDITS[key] for key in LENGTHS if eos}
    steps |= SAMPLERS if samples else {}
    keys |= {key: steps[key](rng) for key in rng.sample(sorted(steps), rng.randint(0, 3))}
    if FOUR:
        keys.pop("top_h", None)  # it has none, and says nothing of a key that it does not know
    if samples and "top_k" not in keys and rng.random() < 0.5:
        keys["top_k"] = 0  # else it is 50
    few = rng.choice(([51, 52, 53], range(46, VOCAB)))
    prompts = [[rng.choice(list(few)) for _ in range(rng.randint(1, 7))] for _ in range(rng.randint(1, 3))]
    return BeamCase(number, name, *(as_4_can(name, keys, prompts, None) if FOUR else (keys, prompts)), eos)


def until(eos: tuple[int, ...], tokens: list[int]) -> list[int]:
    ends = [place for place, token in enumerate(tokens) if token in eos]
    return tokens[: ends[0] + 1] if ends else tokens
