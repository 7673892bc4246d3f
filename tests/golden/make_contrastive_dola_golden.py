"""Writes contrastive_dola.json: what transformers 4.55.4 decodes by contrastive search and by DoLa.

transformers 4.56 moved both out of the library. Run this where that version is installed, no newer one:

    python tests/golden/make_contrastive_dola_golden.py

The models are random, their weights drawn here by name and the same under any version; their checksum is in the file.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
import transformers

HERE = Path(__file__).parent
GOLDEN = HERE / "contrastive_dola.json"
VOCAB, PAD, EOS = 48, 0, 3


def model_of(kind: str, layers: int, tied: bool, seed: int) -> Any:
    """A tiny Llama or GPT-2 whose every weight is drawn from `seed`, in the order of the names."""
    if kind == "llama":
        config: Any = transformers.LlamaConfig(
            vocab_size=VOCAB,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=96,
            tie_word_embeddings=tied,
            bos_token_id=1,
            eos_token_id=EOS,
            pad_token_id=PAD,
        )
        model: Any = transformers.LlamaForCausalLM(config)
    else:
        config = transformers.GPT2Config(
            vocab_size=VOCAB,
            n_embd=32,
            n_layer=layers,
            n_head=4,
            n_positions=96,
            tie_word_embeddings=tied,
            bos_token_id=1,
            eos_token_id=EOS,
            pad_token_id=PAD,
        )
        model = transformers.GPT2LMHeadModel(config)
    generator = torch.Generator().manual_seed(seed)
    for _, weight in sorted(model.named_parameters()):
        drawn = torch.randn(weight.shape, generator=generator) * 0.35
        weight.data = 1 + drawn if weight.ndim == 1 and "bias" not in _name(model, weight) else drawn
    model.tie_weights()
    return model.eval().requires_grad_(False)


def _name(model: Any, weight: Any) -> str:
    return next(name for name, other in model.named_parameters() if other is weight)


def checksum(model: Any) -> str:
    """sha256 of all weights, in the order of their names."""
    digest = hashlib.sha256()
    for name, weight in sorted(model.named_parameters()):
        digest.update(name.encode())
        digest.update(weight.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


def prompts_of(seed: int, lengths: list[int]) -> list[list[int]]:
    """Random ids that are neither pad nor eos."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(4, VOCAB, (length,), generator=generator).tolist() for length in lengths]


def configurations() -> list[dict[str, Any]]:
    """What is decoded: a model, prompts and the arguments of `generate`."""
    found: list[dict[str, Any]] = []
    ragged, alone, even = [3, 7, 5], [6], [4, 4]
    contrastive: list[dict[str, Any]] = [
        {"penalty_alpha": 0.6, "top_k": 4},
        {"penalty_alpha": 0.3, "top_k": 2},
        {"penalty_alpha": 0.9, "top_k": 8},
        {"penalty_alpha": 0.6, "top_k": 5, "repetition_penalty": 1.3},
        {"penalty_alpha": 0.5, "top_k": 3, "no_repeat_ngram_size": 2},
        {"penalty_alpha": 0.7, "top_k": 6, "min_new_tokens": 8},
    ]
    dola: list[dict[str, Any]] = [
        {"dola_layers": "low"},
        {"dola_layers": "high"},
        {"dola_layers": [0, 1, 3]},
        {"dola_layers": [2]},
        {"dola_layers": "low", "repetition_penalty": 1.2},
        {"dola_layers": "high", "repetition_penalty": 1.5, "min_new_tokens": 6},
    ]
    for number, arguments in enumerate([*contrastive, *dola]):
        for kind in ("llama", "gpt2"):
            # Later versions do not penalise pads, so that penalties are compared where there are none.
            several = even if "repetition_penalty" in arguments else ragged
            for tied, lengths in ((False, several), (True, even if number % 2 else alone)):
                found.append(
                    {
                        "model": {
                            "kind": kind,
                            "layers": (2, 5, 6, 3)[number % 4],
                            "tied": tied,
                            "seed": number,
                        },
                        "prompts": prompts_of(number, lengths),
                        "arguments": {"max_new_tokens": 20, **arguments},
                    }
                )
    return found


def decoded(model: Any, prompts: list[list[int]], arguments: dict[str, Any]) -> list[list[int]]:
    """New tokens of each row, eos kept and what follows it dropped."""
    width = max(map(len, prompts))
    ids = torch.tensor([[PAD] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    out = model.generate(ids, attention_mask=mask, do_sample=False, **arguments)
    rows = out[:, width:].tolist()
    return [row[: row.index(EOS) + 1] if EOS in row else row for row in rows]


def main() -> None:
    """Decode every configuration and write the file."""
    if transformers.__version__ != "4.55.4":
        raise SystemExit(f"transformers {transformers.__version__} has neither; install 4.55.4")
    cases = []
    for found in configurations():
        model = model_of(**found["model"])
        tokens = decoded(model, found["prompts"], found["arguments"])
        cases.append({**found, "weights": checksum(model), "tokens": tokens})
    origin = {
        "transformers": transformers.__version__,
        "torch": torch.__version__.split("+")[0],
        "made by": Path(__file__).name,
    }
    lines = ",\n".join(json.dumps(case) for case in cases)
    GOLDEN.write_text(f'{{"origin": {json.dumps(origin)}, "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
