"""Models whose state goes in and comes out, in the style of real projects; `plain` is the truth of each."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from zoo import CONTEXT, HEADS, VOCAB, WIDTH, Appending, Body, seeded


class CachedBody(Body):
    """Keys and values of each layer come in as a list of (k, v), (B, H, S, D) each, and go out longer."""

    def with_past(self, idx: Tensor, past: Any, start: int | None = None) -> tuple[Tensor, list[Any]]:
        T, S = idx.shape[1], 0 if past is None else past[0][0].shape[2]
        x = self.embed(idx, torch.arange(S, S + T) if start is None else torch.arange(start, start + T))
        mask = torch.ones(S + T, S + T, dtype=torch.bool).tril()[-T:]
        new = []
        for n, layer in enumerate(self.layers):
            layer.kv_cache = cache = Appending(None if past is None else past[n])
            x = x + layer(x, mask, torch.arange(T))
            layer.kv_cache = None
            new.append(cache.both)
        return self.head(x), new


class Fms(CachedBody):
    """fms, OLMo: one name going in, a tuple coming out, and a switch."""

    def forward(
        self, x: Tensor, past_key_value_states: Any = None, use_cache: bool = False
    ) -> Tensor | tuple[Tensor, Any]:
        logits, new = self.with_past(x, past_key_value_states)
        return (logits, new) if use_cache else logits


class Present(NamedTuple):
    loss: Tensor | None
    logits: Tensor
    presents: Any


class Minimind(CachedBody):
    """minimind, graykode: another name coming out, a named tuple with a loss."""

    def forward(self, input_ids: Tensor, past_key_values: Any = None, use_cache: bool = False) -> Present:
        logits, new = self.with_past(input_ids, past_key_values)
        return Present(None, logits, tuple(new) if use_cache else None)


class Graykode(CachedBody):
    """GPT-2 in the old manner: one tensor a layer, (2, B, H, S, D), so the batch is dimension 1."""

    def forward(self, input_ids: Tensor, position_ids: Any = None, past: Any = None) -> tuple[Tensor, Any]:
        logits, new = self.with_past(input_ids, None if past is None else [tuple(p) for p in past])
        return logits, [torch.stack(both) for both in new]


class DictState(CachedBody):
    """State under a key, the loss between."""

    def forward(self, idx: Tensor, cache: Any = None) -> dict[str, Any]:
        logits, new = self.with_past(idx, cache)
        return {"logits": logits, "loss": None, "cache": {"layers": new, "length": new[0][0].shape[2]}}

    def with_past(self, idx: Tensor, past: Any, start: int | None = None) -> tuple[Tensor, list[Any]]:
        if past is not None and past["length"] != past["layers"][0][0].shape[2]:
            raise ValueError("the count is not that of the cache")
        return super().with_past(idx, None if past is None else past["layers"], start)


class WithStart(CachedBody):
    """A teaching model: the place is told beside the cache."""

    def forward(self, in_idx: Tensor, cache: Any = None, start_pos: int | None = None) -> tuple[Tensor, Any]:
        return self.with_past(in_idx, cache, start_pos or 0)


class Intermediates(CachedBody):
    """x-transformers: all ids again, the cache for all but the newest; a dataclass comes back."""

    def forward(self, x: Tensor, return_intermediates: bool = False, cache: Any = None) -> Any:
        if cache is None:
            logits, new = self.with_past(x, None)
        else:
            new_ids = x[:, cache.length :]
            logits, new = self.with_past(new_ids, cache.both)
        return (logits, SimpleNamespace(both=new, length=x.shape[1])) if return_intermediates else logits


class MyCache:
    """A project's own: written in place, with a counter."""

    def __init__(self, batch: int) -> None:
        self.keys = [torch.zeros(batch, HEADS, CONTEXT, WIDTH // HEADS) for _ in range(2)]
        self.values = [torch.zeros(batch, HEADS, CONTEXT, WIDTH // HEADS) for _ in range(2)]
        self.seen = 0


class ObjectCache(Body):
    """LLMs-from-scratch: a cache object that the caller makes, written in place."""

    def forward(self, in_idx: Tensor, cache: MyCache | None = None) -> Tensor:
        if cache is None:
            return self.plain(in_idx)
        places = torch.arange(cache.seen, cache.seen + in_idx.shape[1])
        x = self.embed(in_idx, places)
        for n, layer in enumerate(self.layers):
            layer.kv_cache = _Written(cache, n)
            x = x + layer(x, torch.arange(CONTEXT) <= places[:, None], places)
            layer.kv_cache = None
        cache.seen += in_idx.shape[1]
        return self.head(x)


class _Written:
    def __init__(self, cache: MyCache, layer: int) -> None:
        self.k, self.v = cache.keys[layer], cache.values[layer]

    def update(self, places: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        self.k[:, :, places], self.v[:, :, places] = k, v
        return self.k, self.v


class Recurrent(nn.Module):
    """An LSTM language model. `plain` begins with zeros."""

    batch_first = True

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with seeded(seed):
            self.encoder = nn.Embedding(VOCAB, WIDTH)
            self.rnn = nn.LSTM(WIDTH, WIDTH, 2, batch_first=self.batch_first)
            self.decoder = nn.Linear(WIDTH, VOCAB)
            for parameter in self.parameters():
                nn.init.normal_(parameter, std=0.6)

    def plain(self, idx: Tensor) -> Tensor:
        x = self.encoder(idx if self.batch_first else idx.t())
        logits = self.decoder(self.rnn(x)[0])
        return logits if self.batch_first else logits.transpose(0, 1)


class CharRnn(Recurrent):
    """The state is optional and a tuple, (L, B, D)."""

    def forward(self, x: Tensor, hidden: Any = None) -> tuple[Tensor, Any]:
        out, hidden = self.rnn(self.encoder(x), hidden)
        return self.decoder(out), hidden


class WordLanguageModel(Recurrent):
    """PyTorch's example: time first, `init_hidden` required, log-probabilities of T * B rows."""

    batch_first = False

    def init_hidden(self, bsz: int) -> tuple[Tensor, Tensor]:
        weight = next(self.parameters())
        return weight.new_zeros(2, bsz, WIDTH), weight.new_zeros(2, bsz, WIDTH)

    def forward(self, input: Tensor, hidden: Any) -> tuple[Tensor, Any]:
        out, hidden = self.rnn(self.encoder(input), hidden)
        return F.log_softmax(self.decoder(out).view(-1, VOCAB), dim=1), hidden


class OneToken(Recurrent):
    """A classroom's: one token a call, (B,) -> (B, V), and the state."""

    def init_hidden(self, batch_size: int) -> tuple[Tensor, Tensor]:
        return torch.zeros(2, batch_size, WIDTH), torch.zeros(2, batch_size, WIDTH)

    def forward(self, token: Tensor, hidden: Any) -> tuple[Tensor, Any]:
        if token.dim() != 1:
            raise ValueError("one token at a time")
        out, hidden = self.rnn(self.encoder(token).unsqueeze(1), hidden)
        return self.decoder(out[:, 0]), hidden


class MinGru(Recurrent):
    """minGRU-LM: `return_prev_hiddens`, `prev_hiddens`."""

    def forward(self, x: Tensor, return_prev_hiddens: bool = False, prev_hiddens: Any = None) -> Any:
        out, hidden = self.rnn(self.encoder(x), prev_hiddens)
        return (self.decoder(out), list(hidden)) if return_prev_hiddens else self.decoder(out)


class RetNet(Recurrent):
    """`incremental_state`, a dict that is written in place."""

    def forward(self, tokens: Tensor, incremental_state: dict[str, Any] | None = None) -> Tensor:
        held = None if incremental_state is None else incremental_state.get("hidden")
        out, hidden = self.rnn(self.encoder(tokens), held)
        if incremental_state is not None:
            incremental_state["hidden"] = hidden
        return self.decoder(out)


class MambaParams(Recurrent):
    """mamba_ssm: `inference_params`, an object whose counter the caller advances."""

    def forward(self, input_ids: Tensor, inference_params: Any = None) -> SimpleNamespace:
        held = None
        if inference_params is not None and inference_params.seqlen_offset > 0:
            if input_ids.shape[1] > 1:
                raise ValueError("only one token after the first call")
            held = inference_params.key_value_memory_dict[0]
        out, hidden = self.rnn(self.encoder(input_ids), held)
        if inference_params is not None:
            inference_params.key_value_memory_dict[0] = hidden
        return SimpleNamespace(logits=self.decoder(out))


class ForgetfulState(CharRnn):
    """A state that comes back, and is not looked at."""

    def forward(self, x: Tensor, hidden: Any = None) -> tuple[Tensor, Any]:
        return super().forward(x, None)


class Olmo(CachedBody):
    """OLMo: `past_key_values` in, `attn_key_values` out, among hidden states."""

    def forward(self, input_ids: Tensor, past_key_values: Any = None, use_cache: bool = False) -> Any:
        logits, new = self.with_past(input_ids, past_key_values)
        return OlmoOutput(logits, new if use_cache else None, None)


class OlmoOutput(NamedTuple):
    logits: Tensor
    attn_key_values: Any
    hidden_states: Any


class OldLstm(Recurrent):
    """Time first, and the state may be left out: fed (B, T), every shape looks right."""

    batch_first = False

    def forward(self, x: Tensor, hidden: Any = None) -> tuple[Tensor, Any]:
        out, hidden = self.rnn(self.encoder(x), hidden)
        return self.decoder(out), hidden
