"""What the planner would make of a recipe, in words: without a model, without building a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...contracts.errors import DecoderyError
from ...contracts.lowering import Lowered, as_lowered
from ...contracts.specs import resolve
from ...contracts.steps import Step, StrategyUse
from ...host.registry import Host
from ...kernels.table import choose
from ..rng import torch_rng
from ..steps.facts import Facts
from .fused import cannot_fuse
from .tail import find_tail


@dataclass(frozen=True, slots=True)
class Planned:
    """`dense` steps run one after another over the whole row, `fused` ones become one pass with the draw.

    `backend` is "reference" where nothing is fused; `reasons` say why it is not a faster one, `opaque` why a dense step
    cannot be fused.
    """

    dense: tuple[str, ...]
    fused: tuple[str, ...]
    backend: str
    reasons: tuple[str, ...]
    opaque: str = ""


@dataclass(frozen=True, slots=True)
class _Described:
    name: str
    lowered: tuple[Lowered, ...] | None
    why: str = ""


def planned(processors: Sequence[Step], use: StrategyUse, host: Host, device: str = "cpu") -> Planned:
    """The plan on a type of device, for a run whose facts are all known.

    Raises `UnknownName` when DECODERY_KERNELS names no backend, `PluginError` for a lowering that cannot be imported.
    """
    steps = [_described(step) for step in processors]
    names = tuple(step.name for step in steps)
    draw = use.spec.draw
    if draw == "custom":
        return Planned(names, (), "reference", (f"the strategy {use.spec.name!r} draws in its own way",))
    tail = find_tail(steps)
    refusal = cannot_fuse(tail) if draw == "argmax" else ""
    if refusal:
        return Planned(names, (), "reference", (refusal,))
    choice = choose(host, device, None if draw == "argmax" else tail.chain)
    begin = tail.begin if choice.backend is not None else len(steps)
    why = ""
    if tail.begin:
        last = steps[tail.begin - 1]
        why = last.why if last.lowered is None else f"{last.name} cuts before a step that edits"
    return Planned(names[:begin], names[begin:], choice.name, choice.reasons, why)


def _described(step: Step) -> _Described:
    name = step.qualified or step.spec.name
    if step.spec.lowering is None:
        return _Described(name, None, f"{name} does not say what it does to the scores")
    one, cpu = torch.ones(1, dtype=torch.int64), torch.device("cpu")
    facts = Facts(
        prompt_lengths=one,
        device=cpu,
        rng=torch_rng(1, cpu, 0),
        eos=(0,),
        encoder_ids=torch.zeros(1, 1, dtype=torch.int64),
        encoder_lengths=one,
    )
    lowering = resolve(step.spec.lowering, f"step {name!r}")
    try:
        lowered = as_lowered(lowering(step.params, facts), name)
    except DecoderyError:
        raise
    except Exception:
        return _Described(name, None, f"{name} depends on facts of the run")
    return _Described(name, lowered, f"{name} cannot be described with these parameters")
