"""Small models in the style of real projects, sound ones and offenders.

Weights are large enough for context to matter: a lost cache moves log-probabilities by whole units.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

VOCAB, WIDTH, HEADS, CONTEXT = 37, 16, 2, 32


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """torch's random numbers are `seed`'s inside, and as before afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


class Attention(nn.Module):
    """Two heads. `keys`, `values` (B, H, S, D) are somebody else's business: the cache, if any."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.kv_cache: KVCache | None = None

    def forward(self, x: Tensor, mask: Tensor, input_pos: Tensor | None) -> Tensor:
        B, T, C = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, HEADS, C // HEADS).permute(2, 0, 3, 1, 4)
        if self.kv_cache is not None and input_pos is not None:
            k, v = self.kv_cache.update(input_pos, k, v)
        return self.out(
            F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).reshape(B, T, C)
        )


class KVCache(nn.Module):
    """gpt-fast's: writes whole batches, so a batch of another size is refused by the assignment."""

    def __init__(self, batch: int, length: int, dtype: torch.dtype) -> None:
        super().__init__()
        shape = (batch, HEADS, length, WIDTH // HEADS)
        self.register_buffer("k_cache", torch.zeros(shape, dtype=dtype))
        self.register_buffer("v_cache", torch.zeros(shape, dtype=dtype))

    def update(self, input_pos: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        self.k_cache[:, :, input_pos] = k
        self.v_cache[:, :, input_pos] = v
        return self.k_cache, self.v_cache


class Body(nn.Module):
    """What all of them share: embeddings with learned positions, one or two blocks, a head of its own."""

    def __init__(self, seed: int = 0, layers: int = 2) -> None:
        super().__init__()
        with seeded(seed):
            self.tok = nn.Embedding(VOCAB, WIDTH)
            self.wpe = nn.Embedding(CONTEXT, WIDTH)
            self.layers = nn.ModuleList(Attention() for _ in range(layers))
            self.head = nn.Linear(WIDTH, VOCAB, bias=False)
            for parameter in self.parameters():
                nn.init.normal_(parameter, std=0.3)

    def embed(self, idx: Tensor, positions: Tensor) -> Tensor:
        return self.tok(idx) + self.wpe(positions)

    def plain(self, idx: Tensor) -> Tensor:
        """(B, T) -> (B, T, V), the truth that every cache is held against."""
        T = idx.shape[1]
        x = self.embed(idx, torch.arange(T, device=idx.device))
        mask = torch.ones(T, T, dtype=torch.bool, device=idx.device).tril()
        for layer in self.layers:
            x = x + layer(x, mask, None)
        return self.head(x)


class NanoGPT(Body):
    """nanoGPT: `(logits, loss)`, and without targets only the last position."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.config = SimpleNamespace(block_size=CONTEXT, vocab_size=VOCAB)

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        if idx.shape[1] > self.config.block_size:
            raise AssertionError(f"Cannot forward sequence of length {idx.shape[1]}")
        logits = self.plain(idx)
        if targets is not None:
            return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        return logits[:, [-1], :], None


class DictGPT(Body):
    """Logits under a key, the loss beside it."""

    def forward(self, input_ids: Tensor) -> dict[str, Tensor]:
        return {"loss": torch.tensor(0.5), "logits": self.plain(input_ids)}


class GptFast(Body):
    """gpt-fast 2024: `setup_caches` is compulsory, keeps an older larger cache, and there is no reset."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.config = SimpleNamespace(block_size=CONTEXT, vocab_size=VOCAB)
        self.max_batch_size = self.max_seq_length = -1
        self.causal_mask: Tensor | None = None

    def setup_caches(self, max_batch_size: int, max_seq_length: int) -> None:
        if self.max_seq_length >= max_seq_length and self.max_batch_size >= max_batch_size:
            return
        self.max_seq_length, self.max_batch_size = -(-max_seq_length // 8) * 8, max_batch_size
        for layer in self.layers:
            layer.kv_cache = KVCache(max_batch_size, self.max_seq_length, self.head.weight.dtype)
        self.causal_mask = torch.ones(self.max_seq_length, self.max_seq_length, dtype=torch.bool).tril()

    def forward(self, idx: Tensor, input_pos: Tensor) -> Tensor:
        if self.causal_mask is None:
            raise AssertionError("Caches must be initialized first")
        x = self.embed(idx, input_pos)
        for layer in self.layers:
            x = x + layer(x, self.causal_mask[input_pos], input_pos)
        return self.head(x)


class Demo(Body):
    """The manner of decodery-demo: optional positions, `setup_caches`, `reset_caches`, a configured eos."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.config = SimpleNamespace(block_size=CONTEXT, vocab_size=VOCAB, eos_token_id=0)
        self.resets = 0

    def setup_caches(self, max_batch_size: int, max_seq_length: int) -> None:
        for layer in self.layers:
            layer.kv_cache = KVCache(max_batch_size, max_seq_length, self.head.weight.dtype)

    def reset_caches(self) -> None:
        self.resets += 1
        for layer in self.layers:
            if layer.kv_cache is not None:
                layer.kv_cache.k_cache.zero_()
                layer.kv_cache.v_cache.zero_()

    def forward(self, x: Tensor, input_pos: Tensor | None = None) -> Tensor:
        if input_pos is None:
            return self.plain(x)
        size = self.layers[0].kv_cache.k_cache.shape[2]
        mask = torch.arange(size, device=x.device) <= input_pos[:, None]
        h = self.embed(x, input_pos)
        for layer in self.layers:
            h = h + layer(h, mask, input_pos)
        return self.head(h)


class LyingCache(Demo):
    """Writes every key one position late, as an off-by-one would: right shapes, wrong text."""

    def forward(self, x: Tensor, input_pos: Tensor | None = None) -> Tensor:
        if input_pos is not None and input_pos[0] > 0:
            input_pos = input_pos - 1
        return super().forward(x, input_pos)


class NoCache(Body):
    """Takes `input_pos` for its position embeddings only, and needs the whole context each time."""

    def forward(self, idx: Tensor, input_pos: Tensor | None = None) -> Tensor:
        T = idx.shape[1]
        x = self.embed(idx, torch.arange(T) if input_pos is None else input_pos)
        for layer in self.layers:
            x = x + layer(x, torch.ones(T, T, dtype=torch.bool).tril(), None)
        return self.head(x)


class NoCacheRequired(NoCache):
    """The same with `input_pos` compulsory."""

    def forward(self, idx: Tensor, input_pos: Tensor) -> Tensor:
        return super().forward(idx, input_pos)


class LitGPT(Body):
    """litgpt: `set_kv_cache(batch_size, ...)`, `clear_kv_cache()`, `max_seq_length` a property, answers in
    chunks, `input_pos` far from the front."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.config = {"block_size": CONTEXT, "padded_vocab_size": VOCAB, "vocab_size": VOCAB}
        self.mask_cache: Tensor | None = None

    @property
    def max_seq_length(self) -> int:
        return CONTEXT

    def set_kv_cache(
        self,
        batch_size: int,
        max_seq_length: int | None = None,
        rope_cache_length: int | None = None,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if rope_cache_length is not None:
            raise TypeError("nobody knows what to put here")
        length = max_seq_length or self.max_seq_length
        for layer in self.layers:
            layer.kv_cache = KVCache(batch_size, length, dtype or torch.float32)
        self.mask_cache = torch.ones(length, length, dtype=torch.bool).tril()

    def clear_kv_cache(self) -> None:
        self.mask_cache = None
        for layer in self.layers:
            layer.kv_cache = None

    def forward(
        self, idx: Tensor, maxp1: int | None = None, input_pos: Tensor | None = None, chunk: int = 4
    ) -> Tensor | list[Tensor]:
        if maxp1 is not None:
            raise TypeError("positions were passed by position")
        if input_pos is None:
            logits = self.plain(idx)
        else:
            if self.mask_cache is None:
                raise TypeError("You need to call `gpt.set_kv_cache()`")
            x = self.embed(idx, input_pos)
            for layer in self.layers:
                x = x + layer(x, self.mask_cache[input_pos], input_pos)
            logits = self.head(x)
        return list(logits.split(chunk, dim=1)) if logits.shape[1] > chunk else logits


class LitLlama(Body):
    """lit-llama: no set-up, a list filled at the first call, `reset_cache()`; keys are only ever appended."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.max_seq_len = CONTEXT
        self.kv_caches: list[tuple[Tensor, Tensor]] = []

    def reset_cache(self) -> None:
        self.kv_caches.clear()

    def forward(
        self, idx: Tensor, max_seq_length: int | None = None, input_pos: Tensor | None = None
    ) -> Tensor:
        if max_seq_length is not None:
            raise TypeError("positions were passed by position")
        if input_pos is None:
            return self.plain(idx)
        x = self.embed(idx, input_pos)
        for n, layer in enumerate(self.layers):
            past = self.kv_caches[n] if len(self.kv_caches) > n else None
            cache = Appending(past)
            layer.kv_cache = cache
            T, S = idx.shape[1], idx.shape[1] + (past[0].shape[2] if past else 0)
            mask = torch.ones(S, S, dtype=torch.bool).tril()[-T:]
            x = x + layer(x, mask, input_pos)
            layer.kv_cache = None
            self.kv_caches[n : n + 1] = [cache.both]
        return self.head(x)


class Appending:
    def __init__(self, past: tuple[Tensor, Tensor] | None) -> None:
        self.past = past

    def update(self, input_pos: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        if self.past is not None:
            k, v = torch.cat([self.past[0], k], dim=2), torch.cat([self.past[1], v], dim=2)
        self.both = (k, v)
        return k, v


class Pool:
    """Meta's: plain tensors for the most rows there may be, of which a batch takes the first."""

    def __init__(self, rows: int) -> None:
        self.k = torch.zeros(rows, HEADS, CONTEXT, WIDTH // HEADS)
        self.v = torch.zeros(rows, HEADS, CONTEXT, WIDTH // HEADS)

    def update(self, input_pos: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        rows, end = len(k), int(input_pos[-1]) + 1
        self.k[:rows, :, input_pos], self.v[:rows, :, input_pos] = k, v
        return self.k[:rows, :, :end], self.v[:rows, :, :end]


class MetaLlama(Body):
    """Meta's: `start_pos` is a number, the cache exists from the start for `max_batch_size` rows, and forward
    runs in inference mode."""

    def __init__(self, seed: int = 0, max_batch_size: int = 8) -> None:
        super().__init__(seed)
        self.params = SimpleNamespace(max_seq_len=CONTEXT, vocab_size=VOCAB)
        for layer in self.layers:
            layer.kv_cache = Pool(max_batch_size)

    @torch.inference_mode()
    def forward(self, tokens: Tensor, start_pos: int) -> Tensor:
        positions = torch.arange(start_pos, start_pos + tokens.shape[1])
        x = self.embed(tokens, positions)
        for layer in self.layers:
            mask = torch.arange(int(positions[-1]) + 1) <= positions[:, None]
            x = x + layer(x, mask, positions)
        return self.head(x)


class SingleToken(Demo):
    """Its mask knows a first call and single tokens; a later chunk is let look at what follows."""

    def forward(self, x: Tensor, input_pos: Tensor | None = None) -> Tensor:
        if input_pos is not None and len(input_pos) > 1 and input_pos[0] > 0:
            input_pos = input_pos.flip(0)
        return super().forward(x, input_pos)


class TimeFirst(Body):
    """nn.Transformer's manner: (T, B) -> (T, B, V). Fed (B, T), the shape of the answer looks right."""

    def forward(self, src: Tensor) -> Tensor:
        return self.plain(src.t()).transpose(0, 1)


class DropoutLeftOn(Body):
    def forward(self, idx: Tensor) -> Tensor:
        return F.dropout(self.plain(idx), 0.3)  # training=True is the default of the function


class NotCausal(Body):
    """An encoder: every position sees every other."""

    def plain(self, idx: Tensor) -> Tensor:
        x = self.embed(idx, torch.arange(idx.shape[1]))
        for layer in self.layers:
            x = x + layer(x, torch.ones(idx.shape[1], idx.shape[1], dtype=torch.bool), None)
        return self.head(x)

    def forward(self, idx: Tensor) -> Tensor:
        return self.plain(idx)


class MixedRows(Body):
    """Normalises over the batch."""

    def forward(self, idx: Tensor) -> Tensor:
        logits = self.plain(idx)
        return logits - logits.mean(dim=0, keepdim=True) if idx.shape[0] > 1 else logits


class HiddenStates(Body):
    """Forgets its head."""

    def forward(self, idx: Tensor) -> Tensor:
        return self.embed(idx, torch.arange(idx.shape[1]))


class SameMemory(Body):
    """Answers in one buffer, written over in every call."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.buffer = torch.zeros(8, 1, VOCAB)

    def forward(self, idx: Tensor) -> Tensor:
        self.buffer[: idx.shape[0]] = self.plain(idx)[:, -1:]
        return self.buffer[: idx.shape[0]]


class Unbatched(Body):
    def forward(self, idx: Tensor) -> Tensor:
        if idx.shape[0] != 1:
            raise ValueError("one at a time, please")
        return self.plain(idx)


def bigram(x: Tensor) -> Tensor:
    """A plain function: (B, T) -> (B, T, 5), each token foretells its successor."""
    return 3.0 * F.one_hot((x + 1) % 5, 5).float()
