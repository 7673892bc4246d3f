"""Makes beams_transformers_4_56_2.json beside it: what group and constrained beam search of transformers 4.56.2 give.

Run with an environment that has transformers 4.56.2; later versions have thrown both out. The model is a tiny Llama
with weights from a seed, of which the file keeps a sum, so that a reader knows that it has the same.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import torch
import transformers

VOCAB, PAD, NEW = 60, 0, 8
FILE = Path(__file__).with_name("beams_transformers_4_56_2.json")


def tiny_llama() -> Any:
    """The model of the file: a weight is a hash of its place, so that no version's initialiser matters."""
    config = transformers.LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        pad_token_id=PAD,
        bos_token_id=1,
        eos_token_id=None,
        tie_word_embeddings=False,
    )
    model = transformers.LlamaForCausalLM(config).eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for _, weights in sorted(model.named_parameters()):
            if weights.dim() > 1:
                weights.copy_(torch.randn(weights.shape, generator=generator) * 0.3)
            else:
                weights.fill_(1.0)
    return model


def checksum(model: Any) -> float:
    return round(sum(float(w.detach().double().abs().sum()) for _, w in sorted(model.named_parameters())), 4)


def configs(count: int) -> list[dict[str, Any]]:
    """Groups and words in turn."""
    rng, made = random.Random(3), []
    for number in range(count):
        groups = rng.choice((1, 2, 2, 3)) if number % 2 else rng.choice((2, 2, 3))
        beams = groups * rng.randint(1, 3) if number % 2 == 0 else rng.randint(2, 5)
        keys: dict[str, Any] = {
            "num_beams": beams,
            "num_return_sequences": rng.randint(1, beams),
            "length_penalty": rng.choice((1.0, 0.0, -1.0, 2.0)),
            "early_stopping": rng.choice((False, True, "never")),
        }
        if number % 2 == 0:
            keys |= {"num_beam_groups": groups, "diversity_penalty": rng.choice((0.3, 1.0, 3.5))}
        else:
            keys["force_words_ids"] = [_word(rng) for _ in range(rng.randint(1, 3))]
        if rng.random() < 0.4:
            keys["repetition_penalty"] = 1.4
        if rng.random() < 0.3:
            keys["no_repeat_ngram_size"] = 2
        eos = rng.choice(([5], [5, 6, 17], list(range(5, 30))))
        if rng.random() < 0.3:
            keys["min_new_tokens"] = 3
        prompts = [
            [rng.randrange(31, VOCAB) for _ in range(rng.randint(1, 5))] for _ in range(rng.randint(1, 3))
        ]
        made.append({"keys": keys, "eos": eos, "prompts": prompts})
    return made


def _word(rng: random.Random) -> list[Any]:
    if rng.random() < 0.5:
        return [rng.randrange(31, VOCAB) for _ in range(rng.randint(1, 3))]
    first = rng.randrange(31, 40)  # alternatives with a common beginning, and others
    shared = [[first, 40 + rng.randrange(9), *[rng.randrange(31, VOCAB)] * rng.randint(0, 1)], [first, 50]]
    return [*shared, [rng.randrange(51, VOCAB)]][: rng.randint(2, 3)]


def main() -> None:
    model, cases = tiny_llama(), []
    for case in configs(48):
        width = max(map(len, case["prompts"]))
        rows = [[PAD] * (width - len(prompt)) + prompt for prompt in case["prompts"]]
        mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in case["prompts"]]
        arguments: dict[str, Any] = {
            "attention_mask": torch.tensor(mask),
            "eos_token_id": case["eos"],
            "max_new_tokens": NEW,
            "do_sample": False,
            "return_dict_in_generate": True,
            **case["keys"],
        }
        try:
            out = model.generate(torch.tensor(rows), output_scores=True, **arguments)
            scores = [round(score, 7) for score in out.sequences_scores.tolist()]
        except RuntimeError:  # it trips over texts that lack a word, where scores are asked for
            out, scores = model.generate(torch.tensor(rows), **arguments), None
        tokens = out.sequences[:, width:].tolist()
        cases.append({**case, "tokens": tokens, "scores": scores})
    origin = f"transformers {transformers.__version__}, torch {torch.__version__}, by make_beams_golden.py"
    head = {"origin": origin, "checksum": checksum(model), "new": NEW, "pad": PAD}
    lines = ",\n".join(json.dumps(case) for case in cases)
    FILE.write_text(f'{json.dumps(head)[:-1]}, "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
