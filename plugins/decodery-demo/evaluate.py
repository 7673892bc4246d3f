"""Held-out loss and bits per byte of a weights file: `python evaluate.py novels.txt.gz`."""

from __future__ import annotations

import argparse
import math
from importlib import resources
from pathlib import Path

import torch
import torch.nn.functional as F
from corpus import encode, held_out_texts, read_works
from tokenizers import Tokenizer

from decodery_demo.load import TOKENIZER, WEIGHTS, load_model
from decodery_demo.model import DemoModel


@torch.no_grad()
def held_out_loss(model: DemoModel, texts: list[torch.Tensor]) -> float:
    """Nats a token over texts, LongTensors (N,) that begin with END.

    Windows of the whole context advance by half of it, and each scores only what the last one did not, so
    that every token but those of a text's first window is predicted from at least half a context.
    """
    size, device = model.config.block_size, next(model.parameters()).device
    total, count = 0.0, 0
    for ids in texts:
        scored = 0  # the targets before this index have been scored
        while scored < len(ids) - 1:
            stop = min(len(ids) - 1, size if scored == 0 else scored + size // 2)
            start = max(0, stop - size)
            window = ids[start : stop + 1].to(device)
            logits = model(window[None, :-1])[0, scored - start :].float()  # (1, T, V) -> (T', V)
            total += F.cross_entropy(logits, window[1 + scored - start :], reduction="sum").item()
            count += stop - scored
            scored = stop
    return total / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("--weights", type=Path, help="default: those in the package")
    args = parser.parse_args()

    package = resources.files("decodery_demo")
    tokenizer = Tokenizer.from_str((package / TOKENIZER).read_text(encoding="utf-8"))
    texts = held_out_texts(read_works(args.text))
    ids = [encode(tokenizer, [text]) for text in texts]
    with resources.as_file(package / WEIGHTS) as packaged:
        model = load_model(args.weights or packaged)
    loss = held_out_loss(model, ids)

    tokens = sum(len(text) - 1 for text in ids)
    size = sum(len(text.encode()) for text in texts)
    print(f"parameters        {sum(p.numel() for p in model.parameters()):,}")
    print(f"held-out text     {len(texts)} works, {size:,} bytes, {tokens:,} tokens")
    print(f"held-out loss     {loss:.4f} nats a token (perplexity {math.exp(loss):.1f})")
    print(f"bits per byte     {loss * tokens / size / math.log(2):.4f}")


if __name__ == "__main__":
    main()
