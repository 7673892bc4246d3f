"""More manners: switches, masks, steps, one row, and plain functions; `plain` is the truth of each."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from zoo import CONTEXT, VOCAB, WIDTH, Appending, Body, Demo, KVCache
from zoo_state import Recurrent


class UseCache(Body):
    """LLMs-from-scratch: `use_cache=True`, keys kept in the layers, `reset_kv_cache()`, the place counted inside."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.cfg = {"vocab_size": VOCAB, "context_length": CONTEXT}
        self.current_pos = 0
        self.held: list[Any] = [None, None]

    def reset_kv_cache(self) -> None:
        self.current_pos, self.held = 0, [None, None]

    def forward(self, in_idx: Tensor, use_cache: bool = False) -> Tensor:
        if not use_cache:
            return self.plain(in_idx)
        T, start = in_idx.shape[1], self.current_pos
        x = self.embed(in_idx, torch.arange(start, start + T))
        self.current_pos += T
        mask = torch.ones(start + T, start + T, dtype=torch.bool).tril()[-T:]
        for n, layer in enumerate(self.layers):
            layer.kv_cache = cache = Appending(self.held[n])
            x = x + layer(x, mask, torch.arange(T))
            layer.kv_cache = None
            self.held[n] = cache.both
        return self.head(x)


class HalfReset(UseCache):
    """The reset forgets the keys and not the place."""

    def reset_kv_cache(self) -> None:
        self.held = [None, None]


class MaskedFirst(Demo):
    """gpt-fast 2025: the mask first, tokens second, all compulsory; a cache rounded up to eights."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.max_seq_length = -1

    def setup_caches(self, max_batch_size: int, max_seq_length: int) -> None:
        self.max_seq_length = -(-max_seq_length // 8) * 8
        super().setup_caches(max_batch_size, self.max_seq_length)

    reset_caches = None

    def forward(self, mask: Tensor, idx: Tensor, input_pos: Tensor) -> Tensor:
        if mask.shape[-1] != self.max_seq_length:
            raise ValueError(f"a mask of {mask.shape[-1]} places")
        x = self.embed(idx, input_pos)
        for layer in self.layers:
            x = x + layer(x, mask.view(-1, idx.shape[1], self.max_seq_length)[:1, None], input_pos)
        return self.head(x)


class TorchTune(Demo):
    """torchtune: by keyword only; once set up, a mask (B, T, L) and positions are compulsory; counts inside."""

    def setup_caches(
        self,
        batch_size: int,
        dtype: torch.dtype,
        *,
        encoder_max_seq_len: Any = None,
        decoder_max_cache_seq_len: Any = None,
    ) -> None:
        super().setup_caches(batch_size, decoder_max_cache_seq_len)
        self.decoder_max_cache_seq_len, self.count = (
            decoder_max_cache_seq_len,
            torch.zeros(1, dtype=torch.long),
        )

    def reset_caches(self) -> None:
        if self.layers[0].kv_cache is None:
            raise RuntimeError("Key value caches are not setup.")
        self.count.zero_()

    def forward(self, tokens: Tensor, *, mask: Any = None, input_pos: Any = None) -> Tensor:
        if self.layers[0].kv_cache is None:
            return self.plain(tokens)
        if mask is None or input_pos is None:
            raise ValueError("mask and input_pos are compulsory with caches")
        if mask.dim() != 3:
            raise ValueError("[b x s x s]")
        x, T = self.embed(tokens, input_pos), tokens.shape[1]
        places = torch.arange(T) + self.count
        self.count += T
        for layer in self.layers:
            x = x + layer(x, mask[:, None], places)
        return self.head(x)


class Mamba(Recurrent):
    """A forward over the whole text, and `step(token, state)` for one token a row."""

    def forward(self, tokens: Tensor) -> Tensor:
        return self.plain(tokens)

    def init_state(self, batch_size: int) -> Any:
        return [torch.zeros(2, batch_size, WIDTH), torch.zeros(2, batch_size, WIDTH)]

    def step(self, token: Tensor, state: Any) -> tuple[Tensor, Any]:
        if token.dim() != 1:
            raise ValueError("(B,), please")
        out, state = self.rnn(self.encoder(token)[:, None], tuple(state))
        return self.decoder(out[:, 0]), list(state)


class XLstm(Mamba):
    """The same with (B, 1), and a state that may be None."""

    init_state = None

    def step(self, idx: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        if idx.shape[1] != 1:
            raise ValueError("(B, 1), please")
        out, state = self.rnn(self.encoder(idx), None if state is None else state["rnn"])
        return self.decoder(out), {"rnn": state}


class Rwkv:
    """RWKV's package: no module, a list in, one row, (V,) out, a list of tensors for a state."""

    def __init__(self, seed: int = 0) -> None:
        self.inner = Recurrent(seed).eval()
        self.args = SimpleNamespace(vocab_size=VOCAB)

    def plain(self, idx: Tensor) -> Tensor:
        return self.inner.plain(idx)

    @torch.no_grad()
    def __call__(self, tokens: list[int], state: Any = None) -> tuple[Tensor, Any]:
        if not isinstance(tokens, list):
            raise TypeError("a list of ids")
        out, state = self.inner.rnn(
            self.inner.encoder(torch.tensor([tokens])), tuple(state) if state else None
        )
        return self.inner.decoder(out)[0, -1], list(state)


def llama2_c(seed: int = 0) -> tuple[Callable[..., Tensor], Demo]:
    """A port of llama2.c: `f(token, pos)` for one token of one text, the cache out of sight."""
    model = Demo(seed).eval()
    caches = [KVCache(1, CONTEXT, torch.float32) for _ in model.layers]

    @torch.no_grad()
    def forward(token: int, pos: int) -> Tensor:
        if not isinstance(token, int):
            raise TypeError("a number")
        for layer, cache in zip(model.layers, caches, strict=True):
            layer.kv_cache = cache
        logits = model(torch.tensor([[token]]), torch.tensor([pos]))[0, -1]
        for layer in model.layers:
            layer.kv_cache = None
        return logits

    return forward, model


def with_position(seed: int = 0) -> tuple[Callable[..., Tensor], Demo]:
    """`f(tokens, position)` for a batch, the cache out of sight."""
    model = Demo(seed).eval()
    caches = [KVCache(8, CONTEXT, torch.float32) for _ in model.layers]

    @torch.no_grad()
    def forward(tokens: Tensor, position: int) -> Tensor:
        rows = torch.cat([tokens, tokens[:1].expand(8 - len(tokens), -1)])
        for layer, cache in zip(model.layers, caches, strict=True):
            layer.kv_cache = cache
        logits = model(rows, torch.arange(position, position + tokens.shape[1]))[: len(tokens)]
        for layer in model.layers:
            layer.kv_cache = None
        return logits

    return forward, model


class Headless(Body):
    """Returns hidden states; the head is elsewhere."""

    def forward(self, idx: Tensor) -> dict[str, Tensor]:
        x = self.embed(idx, torch.arange(idx.shape[1]))
        mask = torch.ones(idx.shape[1], idx.shape[1], dtype=torch.bool).tril()
        for layer in self.layers:
            x = x + layer(x, mask, None)
        return {"last_hidden_state": x}


class SequenceFirst(Body):
    """PyTorch's nn.Transformer example: (T, B) -> (T, B, V), a causal mask of its own."""

    def forward(self, src: Tensor) -> Tensor:
        return self.plain(src.t()).transpose(0, 1).log_softmax(-1)


class MinGPT(Body):
    """minGPT: the context is said by a method, and asserted; all positions, and a loss that is None."""

    def get_block_size(self) -> int:
        return CONTEXT

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, None]:
        if idx.shape[1] > self.get_block_size():
            raise AssertionError("block size")
        return self.plain(idx), None


class Llama2C(Body):
    """llama2.c's Python: `tokens`, only the last position, numbers under `params`."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.params = SimpleNamespace(vocab_size=VOCAB, max_seq_len=CONTEXT)

    def forward(self, tokens: Tensor, targets: Tensor | None = None) -> Tensor:
        return self.plain(tokens)[:, [-1], :]


class Padded(Body):
    """litgpt's vocabulary: more ids than the tokenizer has, of which the last five mean nothing."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.config = SimpleNamespace(vocab_size=VOCAB - 5, padded_vocab_size=VOCAB, block_size=CONTEXT)

    def forward(self, idx: Tensor) -> Tensor:
        return self.plain(idx)


class MaskRequired(Body):
    """A textbook's: the mask is the caller's business."""

    def forward(self, src: Tensor, src_mask: Tensor) -> Tensor:
        x = self.embed(src, torch.arange(src.shape[1]))
        for layer in self.layers:
            x = x + layer(x, src_mask, None)
        return self.head(x)


def causal(ids: Tensor) -> Tensor:
    """(B, T) -> (T, T) bool."""
    return torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).tril()
