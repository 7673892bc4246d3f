"""What a step costs, found out: from what its record claims and lowers to, and by watching it work on a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import torch
from step_acts import EXAMPLES, PLUGIN, acted, demo
from torch.utils._python_dispatch import TorchDispatchMode

from decodery import Pipeline
from decodery.contracts.lowering import Edit, Fixed, Lowered, Map, Seen, Truncation
from decodery.contracts.specs import StepSpec
from decodery.host.registry import Host

FREE = {"view", "unsqueeze", "expand", "slice", "select", "alias", "detach", "_unsafe_view", "squeeze", "t"}
"""Operations that move nothing."""


def cost(name: str, spec: StepSpec) -> str:
    """In a line: for a processor whether it is fused, and what it does by itself; for a stop rule what it looks at."""
    said = _of_rule(spec) if spec.role == "stop" else _of_processor(name, spec)
    return "; ".join(said)


def _of_rule(spec: StepSpec) -> Iterator[str]:
    if "ids_only" not in spec.traits:
        yield "a softmax over V, and nothing is fused: it looks at the scores"
    elif "tokenizer" in spec.needs:
        yield "decodes the newest text of each row on the host"
    else:
        yield "a look at the clock" if "reads_history" not in spec.traits else "a comparison a row"


def _of_processor(name: str, spec: StepSpec) -> Iterator[str]:
    example = EXAMPLES[name]
    parts = lowered(name, example.params)
    if parts is None:
        yield "dense, with the steps before it"
    else:
        yield "fused: " + " and ".join(map(_in_words, parts))
        if example.dense:
            other = ", ".join(f"`{key}: {_yaml(value)}`" for key, value in example.dense.items())
            yield f"dense with {other}"
    yield f"by itself {_work(name)}"
    if isinstance(spec.factory, str) and spec.factory.startswith("decodery.builtin.hf_"):
        yield "transformers' class, imported when it is bound"
    if "compilable" not in spec.traits:
        yield "looks at ids, lengths or texts on the host, so not for CUDA graphs"
    if not spec.traits & {"stateless", "ragged"}:
        yield "called once a row"


def lowered(name: str, values: Mapping[str, Any]) -> tuple[Lowered, ...] | None:
    """What the planner is told of the step with these parameters; None where it is opaque."""
    model, tokenizer = demo()
    ids = torch.tensor([[1, 2, 3]])
    bound = (
        Pipeline(host=Host(selection=PLUGIN))
        .add(name, **values)
        .bind(
            prompt=ids,
            vocab_size=model.config.vocab_size,
            eos_token_id=model.config.eos_token_id,
            tokenizer=tokenizer,
            encoder_ids=ids,
            seed=1,
        )
    )
    return bound.plan.processors[0].lowered


def _in_words(part: Lowered) -> str:
    if isinstance(part, Map):
        return "one operation on the candidates"
    if isinstance(part, Truncation):
        custom = " in torch, whichever kernels run" if part.kind == "custom" else ""
        summed = " after a sum over V" if part.kind in ("mass", "floor", "eta", "typical", "sigma") else ""
        earlier = " of an earlier cut" if custom and part.reach == "allowed" else ""
        return f"a cut among the candidates{earlier}{summed}{custom}"
    if not isinstance(part, Edit):
        raise TypeError(f"no words for {part!r}")
    if isinstance(part.source, Fixed):
        return "an edit of the tokens named"
    if isinstance(part.source, Seen):
        return "an edit of the tokens that occurred"
    if hasattr(part.source, "observe"):
        return "an edit of few tokens, from a table that grows with the text"
    return "an edit of few tokens"


@cache
def _work(name: str) -> str:
    """The operations of torch over a whole row that a call makes, and which of them sort."""
    count = operations(name)
    passes = sum(count.values())
    sorts = count["sort"] + count["argsort"]
    best = ", one of them the best k of V" if count["topk"] and not sorts else ""
    sorting = {0: best, 1: ", one of them a sort of V"}.get(sorts, f", {sorts} of them sorts of V")
    return f"{passes} pass{'es' * (passes != 1)} over V{sorting}"


def operations(name: str) -> Counter[str]:
    """Operation -> how often the example's last call used it on as many numbers as the vocabulary has."""
    model, _ = demo()
    with _Watch(model.config.vocab_size) as watch:
        acted(name, EXAMPLES[name], before_last=watch.count.clear)
    return watch.count


class _Watch(TorchDispatchMode):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.size, self.count = size, Counter[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name not in FREE and any(self._is_row(value) for value in (*args, result)):
            self.count[name] += 1
        return result

    def _is_row(self, value: Any) -> bool:
        values = value if isinstance(value, tuple | list) else (value,)
        return any(isinstance(one, torch.Tensor) and one.numel() >= self.size for one in values)


def _yaml(value: Any) -> str:
    return str(value) if isinstance(value, str | float | int) else repr(value)
