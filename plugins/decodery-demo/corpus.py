"""The text, its held-out part and its tokenizer.

The file is UTF-8, gzipped or not: a paragraph a line, a blank line between paragraphs, `<|endoftext|>`
between works.
"""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

END = "<|endoftext|>"
HELD_OUT = 0.02
HEADING = re.compile(r"(chapter|adventure)\s+([ivxlc]+|\d+)\b|[IVXL]+\. ", re.IGNORECASE)
# GPT-2's pattern, except that a paragraph break is one piece and digits stand alone.
PIECES = r"'(?:[sdmt]|ll|ve|re)(?!\p{L})| ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s*\n+|\s+(?!\S)|\s+"


def read_works(path: Path) -> list[list[str]]:
    """The paragraphs of every work; those with an e-mail address, the transcribers' notes, are left out."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    return [[p.strip() for p in work.split("\n") if p.strip() and "@" not in p] for work in text.split(END)]


def split_work(paragraphs: list[str]) -> tuple[list[str], list[str]]:
    """The paragraphs to train on and the last ones, held out, that make up HELD_OUT of the characters."""
    wanted = HELD_OUT * sum(map(len, paragraphs))
    cut = len(paragraphs)
    while cut > 1 and sum(map(len, paragraphs[cut:])) < wanted:
        cut -= 1
    return paragraphs[:cut], paragraphs[cut:]


def chapters(paragraphs: list[str]) -> list[str]:
    """Texts that begin at a chapter's heading; a line of a table of contents is none: no prose follows."""
    texts: list[list[str]] = [[]]
    for i, paragraph in enumerate(paragraphs):
        prose_follows = any(len(p) > 200 for p in paragraphs[i + 1 : i + 4])
        if len(paragraph) < 80 and HEADING.match(paragraph) and prose_follows:
            texts.append([])
        texts[-1].append(paragraph)
    return ["\n\n".join(text) for text in texts if text]


def training_texts(works: list[list[str]]) -> list[str]:
    return [text for work in works for text in chapters(split_work(work)[0])]


def held_out_texts(works: list[list[str]]) -> list[str]:
    """One text a work."""
    return ["\n\n".join(split_work(work)[1]) for work in works]


def train_tokenizer(texts: list[str], vocab_size: int) -> Tokenizer:
    """A byte-level BPE: every text can be written, and the id 0 is END."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def encode(tokenizer: Tokenizer, texts: list[str]) -> torch.Tensor:
    """LongTensor (N,): every text after an END."""
    end = tokenizer.token_to_id(END)
    return torch.tensor([i for encoding in tokenizer.encode_batch(texts) for i in (end, *encoding.ids)])
