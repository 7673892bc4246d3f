"""What a model says of itself: vocabulary, context, device, dtype, special tokens. Pure functions.

The order is always: what the user told, the configuration, the module's own attributes, its layers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from ..contracts.protocols import Capabilities, ModelFacts, Options
from .calling import module_of, unwrap

CONFIGS = ("config", "args", "params", "cfg", "hparams", "model_args", "model_config", "configuration")
VOCABULARY = (
    "vocab_size",
    "n_vocab",
    "vocabulary_size",
    "num_tokens",
    "n_tokens",
    "ntoken",
    "num_embeddings",
)
CONTEXT = (
    "block_size", "max_seq_len", "max_seq_length", "max_position_embeddings", "n_positions", "n_ctx",
    "context_length", "context_len", "context_size", "ctx_len", "max_context_length", "context_window",
    "max_sequence_length", "max_expected_seq_len", "sequence_length", "seq_length", "seq_len", "max_len",
)  # fmt: skip
WINDOW = ("sliding_window", "sliding_window_size", "window_size", "local_window_size", "attention_window")
HEADS = (
    "lm_head", "head", "output", "output_layer", "out", "out_head", "unembed", "to_logits", "logits",
    "fc_out", "classifier", "decoder", "proj_out",
)  # fmt: skip
POSITIONAL = re.compile(r"pos|wpe|time|type|segment", re.IGNORECASE)


def facts_of(
    model: object, options: Options, capabilities: Capabilities, sources: Sequence[object] | None = None
) -> ModelFacts:
    """Everything that can be known without a call. `sources` replaces the places to look in."""
    eos, bos, pad = special_tokens(model, options, sources)
    return ModelFacts(
        vocab_size=vocab_size(model, options, sources),
        max_length=max_length(model, options, sources),
        device=device_of(model, options),
        dtype=dtype_of(model),
        capabilities=capabilities,
        eos=eos,
        bos=bos,
        pad=pad,
    )


def sources_of(model: object) -> list[object]:
    """Where a model keeps its numbers: its configuration objects, then itself."""
    inner = unwrap(model)
    configs = [getattr(inner, name, None) for name in CONFIGS]
    return [c for c in configs if c is not None and not callable(c) and not isinstance(c, (Tensor, str))] + [
        inner
    ]


def vocab_size(model: object, options: Options, sources: Sequence[object] | None = None) -> int | None:
    """Told > configured > width of the output head > rows of the token embedding; None when nothing says."""
    found = _positive(options.get("vocab_size")) or first_number(VOCABULARY, sources or sources_of(model))
    if found is not None:
        return found
    module = module_of(model)
    if module is None:
        return None
    heads = (getattr(module, name, None) for name in HEADS)
    widths = [head.out_features for head in heads if isinstance(head, nn.Linear)]
    return (
        widths[0]
        if widths
        else next((e.num_embeddings for _, e in _embeddings(module, positional=False)), None)
    )


def real_vocab_size(model: object) -> int | None:
    """The vocabulary, where the configuration names a padded one beside it: the ids beyond mean nothing."""
    for source in sources_of(model):
        padded, size = _positive(_get(source, "padded_vocab_size")), _positive(_get(source, "vocab_size"))
        if padded is not None and size is not None and size < padded:
            return size
    return None


def max_length(model: object, options: Options, sources: Sequence[object] | None = None) -> int | None:
    """The context in tokens: told > configured > a position table's rows; None when nothing says."""
    found = _positive(options.get("max_length")) or first_number(CONTEXT, sources or sources_of(model))
    if found is not None:
        return found
    module = module_of(model)
    ask = getattr(module, "get_block_size", None)
    if callable(ask):
        found = _positive(_quietly(ask))
    if found is None and module is not None:
        # Beyond a table of learned positions there is nothing but an index error.
        found = next((e.num_embeddings for _, e in _embeddings(module, positional=True)), None)
    return found


def window_of(model: object) -> int | None:
    """How far back attention sees, where a configuration says so."""
    return first_number(WINDOW, sources_of(model))


def device_of(model: object, options: Options) -> torch.device:
    """Where ids have to be: told > the first parameter or buffer > the CPU. Weights that are offloaded are nowhere."""
    told = options.get("device")
    if told is not None:
        return torch.device(told)
    places = [tensor.device for tensor in _tensors(model)]
    return next((place for place in places if place.type != "meta"), (*places, torch.device("cpu"))[0])


def dtype_of(model: object) -> torch.dtype:
    """The first floating parameter's or buffer's, else float32."""
    return next((tensor.dtype for tensor in _tensors(model) if tensor.is_floating_point()), torch.float32)


def special_tokens(
    model: object, options: Options, sources: Sequence[object] | None = None
) -> tuple[tuple[int, ...], int | None, int | None]:
    """(eos, bos, pad): several ends are allowed, id 0 is an id like any other."""

    def find(name: str) -> tuple[int, ...]:
        told = _ids(options.get(name))
        return told or next((ids for s in sources or sources_of(model) if (ids := _ids(_get(s, name)))), ())

    bos, pad = find("bos_token_id"), find("pad_token_id")
    return find("eos_token_id"), bos[0] if bos else None, pad[0] if pad else None


def first_number(names: Sequence[str], sources: Sequence[object]) -> int | None:
    """The first positive whole number that one of `sources` has under one of `names`."""
    return next((n for source in sources for name in names if (n := _positive(_get(source, name)))), None)


def _get(source: object, name: str) -> object:
    if isinstance(source, Mapping):
        return source.get(name)
    return _quietly(lambda: getattr(source, name, None))


def _quietly(ask: Callable[[], object]) -> object:
    # Properties and methods of a stranger's class may raise anything; then the model has simply not said it.
    try:
        return ask()
    except Exception:
        return None


def _positive(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _ids(value: object) -> tuple[int, ...]:
    if isinstance(value, Tensor):
        value = value.tolist()
    items = value if isinstance(value, (list, tuple)) else [value]
    return tuple(item for item in items if isinstance(item, int) and not isinstance(item, bool) and item >= 0)


def _embeddings(module: nn.Module, positional: bool) -> Iterator[tuple[str, nn.Embedding]]:
    for name, part in module.named_modules():
        if isinstance(part, nn.Embedding) and bool(POSITIONAL.search(name.rpartition(".")[2])) == positional:
            yield name, part


def _tensors(model: object) -> Iterator[Tensor]:
    module = module_of(model)
    if module is not None:
        yield from module.parameters()
        yield from module.buffers()
