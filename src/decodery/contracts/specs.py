"""What a plugin declares: frozen records, importable without torch.

A record points at code by string ("package.module:Class"), so that declaring costs nothing and only what a recipe
names is ever imported.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from .errors import PluginError

Factory = str | Callable[..., Any]
"""A callable, or "package.module:attribute" naming one."""

FACTS = frozenset(
    {
        "eos",
        "pad",
        "vocab_size",
        "prompt_lengths",
        "padding",
        "tokenizer",
        "device",
        "encoder_ids",
        "encoder_lengths",
        "prompt_index",
        "limits",
        "max_length",
        "rng",
    }
)
"""What a step may ask for with `needs`, or with `wants` when it can do without. Handed over by keyword, by these names:

eos            tuple[int, ...], empty when unknown
pad            int | None
vocab_size     int
prompt_lengths LongTensor (R,), the number of prompt tokens of each row
padding        LongTensor (R,) | None: how many pads begin each row; only in transformers' own layout (`compat: hf`)
tokenizer      `protocols.Tokenizer`
device         torch.device of the scores
encoder_ids    LongTensor (R, S), the encoder's input ids, right-padded; a step built for one row gets no padding
encoder_lengths LongTensor (R,) | None: how many of them are the row's own; None: all. In transformers' own layout
               the encoder's pads are visible like the decoder's, and it is None
prompt_index   LongTensor (R,), which prompt of the call each row continues
limits         LongTensor (R,) | None: the length at which the stop rules end each row at the latest; None: no rule says
max_length     int | None, the model's context
rng            `protocols.Rng`, the random numbers of these rows
"""

TRAITS = frozenset({"stateless", "argmax_invariant", "ragged", "reads_history", "ids_only", "compilable"})
"""Claims about a step; the conformance kit proves each.

stateless        the answer depends on the arguments of the call alone
argmax_invariant never moves the best token of a row
ragged           also takes right-padded ids: `(input_ids, scores, *, lengths, prompt_lengths)`
reads_history    looks at `input_ids`; without it a stateless step sees all rows in one call whatever their lengths
ids_only         of a stop rule: never looks at `scores`, which then may be empty, (R, 0)
compilable       traces under torch.compile and CUDA graphs: no host sync, no Python branch on data
"""


@dataclass(frozen=True, slots=True)
class StepSpec:
    """A processor or a stop rule.

    `factory` is called at each bind, with keywords only: the fields of `params`, then the facts in `needs`, then
    those in `wants`, which are None where they are not known.
    `finish_reason` is what a row that this stop rule ended reports (the rule's name unless given).
    `formula` says in a line what it computes (x scores, P their softmax) or when it ends a row; `when`, in a sentence,
    what it is good for. Both are for readers alone.
    `detector` names the `watermarks.Detector` of what this step writes, where that is a watermark.
    `keywords` are the field's other words for what it does: a recipe does not take them, but who writes one is told.
    """

    name: str
    role: Literal["processor", "stop"]
    factory: Factory
    params: type | None = None
    summary: str = ""
    reference: str = ""
    needs: frozenset[str] = frozenset()
    traits: frozenset[str] = frozenset()
    lowering: Factory | None = None
    version: int = 1
    aliases: tuple[str, ...] = ()
    finish_reason: str = ""
    wants: frozenset[str] = frozenset()
    formula: str = ""
    when: str = ""
    detector: Factory | None = None
    keywords: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = sorted(((self.needs | self.wants) - FACTS) | (self.traits - TRAITS))
        if unknown:
            raise PluginError(
                f"step {self.name!r} declares {unknown}, which are neither facts nor traits",
                remedy=f"needs: {sorted(FACTS)}; traits: {sorted(TRAITS)}",
            )


@dataclass(frozen=True, slots=True)
class StrategySpec:
    """How tokens are chosen. `draw` says what a per-token strategy's `choose` does: "argmax" and "categorical" may be
    fused by the planner, "custom" never; a strategy with `decode(run)` declares "custom".

    `roles` names further models it needs ("draft"); `min_keep` is the least number of tokens that filters must leave,
    a number or a function of the run's facts (their attributes are named as in `FACTS`). `ranks`: whole texts compete,
    so the run has a row a prompt and the results come by `Run.emit`.
    `needs`, `wants`, `detector` and `keywords` are a step's.
    """

    name: str
    factory: Factory
    params: type | None = None
    draw: Literal["argmax", "categorical", "custom"] = "custom"
    summary: str = ""
    reference: str = ""
    roles: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    min_keep: int | Callable[..., int] | None = None
    ranks: bool = False
    version: int = 1
    aliases: tuple[str, ...] = ()
    wants: frozenset[str] = frozenset()
    detector: Factory | None = None
    keywords: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AdapterSpec:
    """A way of driving a kind of model. Detection tries adapters by falling `priority`.

    `probe(model, options) -> str | None`: the evidence that this adapter fits, in words, or None.
    `factory(model, options) -> protocols.DecodableModel`.
    """

    name: str
    probe: Factory
    factory: Factory
    priority: int = 0
    summary: str = ""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model by name, for `-m NAME`: `factory()` returns a model, or `(model, tokenizer)`."""

    name: str
    factory: Factory
    summary: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True)
class KernelSpec:
    """A backend of the planner: its fused twins of the reference steps. `available()` returns "" or why not."""

    name: str
    factory: Factory
    available: Factory
    priority: int = 0
    summary: str = ""


@dataclass(frozen=True, slots=True)
class RecipeSource:
    """A recipe by name: `path` is "package:relative/file.yaml" inside the plugin's package."""

    name: str
    path: str
    summary: str = ""


Spec = StepSpec | StrategySpec | AdapterSpec | ModelSpec | KernelSpec | RecipeSource


def resolve(factory: Factory, owner: str) -> Callable[..., Any]:
    """The callable that `factory` names. Raises `PluginError` saying whose it is when it cannot be imported."""
    if callable(factory):
        return factory
    module, _, attribute = factory.partition(":")
    try:
        target = importlib.import_module(module)
        for part in attribute.split("."):
            target = getattr(target, part)
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"{owner}: {factory!r} cannot be imported: {type(error).__name__}: {error}",
            remedy="'decodery plugins doctor' shows the whole trace",
        ) from error
    if not callable(target):
        raise PluginError(f"{owner}: {factory!r} is a {type(target).__name__}, not something to call")
    return target
