"""A pipeline used directly in a caller's own loop: `pipe(x, logits)` and `pipe.pick(x, logits)`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...contracts.errors import BadRow, InvalidInput, NeedsBind
from ...contracts.steps import Step, StrategyUse
from ...host.registry import Host
from ...kernels.draw import bad_rows
from ..io.arguments import is_ids
from ..plan.plan import Plan
from ..rng import RowRng, fresh_seed, hash_key, torch_rng
from ..steps.apply import View
from ..steps.bind import bind_steps, bind_strategy, strategy_min_keep
from ..steps.facts import Facts
from ..steps.opaque import class_of, keeps_state

_IDS, _SCORES = torch.int64, torch.float32


def as_batch(input_ids: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T) and (B, V), or (T,) and (V,) made so. Raises `InvalidInput` for anything else."""
    if isinstance(logits, Tensor) and isinstance(input_ids, Tensor) and input_ids.dtype is _IDS:
        # What nearly everybody gives, known by as little as will do: between two forwards every look is a slow one.
        shape, of_rows = input_ids.shape, logits.shape
        fit = len(shape) == len(of_rows) == 2 and shape[0] == of_rows[0] and of_rows[1]
        if fit and (logits.dtype is _SCORES or logits.dtype.is_floating_point):
            return input_ids, logits
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        found = logits.dtype if isinstance(logits, Tensor) else type(logits).__name__
        raise InvalidInput(
            f"logits are {found}, not a float tensor", remedy="give the model's output as it is"
        )
    if logits.ndim == 3:
        raise InvalidInput(
            f"logits have shape {tuple(logits.shape)}, one set a position",
            remedy="give the last position's: logits[:, -1]",
        )
    if not isinstance(input_ids, Tensor) or not is_ids(input_ids):
        found = input_ids.dtype if isinstance(input_ids, Tensor) else type(input_ids).__name__
        raise InvalidInput(
            f"input_ids are {found}, not a LongTensor of token ids", remedy="torch.tensor([[20, 15, 1]])"
        )
    ids, rows = input_ids.long(), logits
    if logits.ndim == 1:
        rows = logits.unsqueeze(0)  # (V,) -> (1, V)
        ids = ids if ids.ndim == 2 else ids.unsqueeze(0)  # (T,) -> (1, T)
    shape, of_rows = ids.shape, rows.shape
    if len(shape) != 2 or len(of_rows) != 2 or shape[0] != of_rows[0] or not of_rows[1]:
        raise InvalidInput(
            f"input_ids {tuple(input_ids.shape)} and logits {tuple(logits.shape)} do not belong together",
            remedy="(B, T) with (B, V), or (T,) with (V,)",
        )
    return ids, rows


def look_at(plan: Plan, ids: Tensor, vocab_size: int) -> None:
    """Refuse ids (B, T) that no model of this vocabulary has made. They are looked at once, with the first call: steps
    that read the history pass such ids by, and at every call to look would cost a wait for the device."""
    plan.looked = True
    outside: list[list[int]] = ((ids < 0) | (ids >= vocab_size)).nonzero().tolist()  # (B, T) -> (N, 2)
    if outside:
        plan.looked = False
        row, place = outside[0]
        raise InvalidInput(
            f"input_ids, row {row}, token {place}: id {int(ids[row, place])} is outside the vocabulary of {vocab_size}",
            remedy="use the tokenizer that the model was trained with; ids that the embedding alone has: "
            "pipe.bind(x, vocab_size=...)",
        )


def whole_view(ids: Tensor, prompt_length: int) -> View:
    """Every row active, all of one length. ids (B, T) int64."""
    count, width = ids.shape
    lengths = torch.full((count,), width, dtype=torch.int64, device=ids.device)
    return View(ids, lengths, torch.full_like(lengths, prompt_length), [width] * count, range(count))


def longer(view: View, ids: Tensor, tokens: int) -> View:
    """The same rows, each `tokens` longer: ids (B, T) int64."""
    count, width = ids.shape
    return View(ids, view.lengths + tokens, view.prompt_lengths, [width] * count, view.active)


def unbound_plan(processors: Sequence[Step], use: StrategyUse, host: Host) -> Plan:
    """The steps, built to serve any number of calls. Raises `NeedsBind` naming those that cannot."""
    # Padding is known: a caller's own loop has none.
    stuck = [step for step in processors if step.spec.needs - {"padding"} or keeps_state(step)]
    classes = [kind for step in stuck if (kind := class_of(step)) is not None]
    if classes and len(classes) == len(stuck):
        raise NeedsBind(
            f"{classes[0]} was added as a class: every run builds an object of its own",
            remedy=f"bound = pipe.bind(prompt=x); bound(x, logits). Or add an object, add({classes[0]}(...)); or say "
            f"that it keeps no state, add({classes[0]}, stateless=True)",
        )
    if stuck:
        raise NeedsBind(
            f"{', '.join(repr(step.spec.name) for step in stuck)}: keeping state or needing facts of the run",
            remedy="bound = pipe.bind(prompt=x, vocab_size=V, eos_token_id=...); bound(x, logits)",
        )
    facts = _no_facts(1, torch.device("cpu"))
    least = strategy_min_keep(use, facts)
    plan = Plan(bind_steps(processors, facts, rectangle=True, min_keep=least, copy=False))
    return plan.fuse(use.spec.draw, host, facts.device, facts.prompt_lengths, shared=True)


def pick_unbound(use: StrategyUse, compat: str | None, plan: Plan, ids: Tensor, logits: Tensor) -> Tensor:
    """(B, T) int64, (B, V) -> (B,) int64. Row key: hash(seed, row index); step: the length of the row."""
    strategy = bind_strategy(use, _no_facts(len(ids), logits.device))
    if not hasattr(strategy, "choose"):
        raise NeedsBind(
            f"strategy {use.spec.name!r} owns its loop and cannot pick one token",
            remedy="hand it the loop: Decoder(model, pipe).generate(...)",
        )
    if hasattr(strategy, "observe"):
        raise NeedsBind(
            f"strategy {use.spec.name!r} keeps state from one pick to the next",
            remedy="bound = pipe.bind(prompt=x); bound.pick(x, logits)",
        )
    view, length = whole_view(ids, ids.shape[1]), ids.shape[1]
    if compat == "hf":
        hf_rng = torch_rng(len(ids), logits.device, use.seed)
        return choose(plan, strategy, hf_rng, view, logits, length)
    seed = fresh_seed() if use.seed is None else use.seed
    keys = torch.tensor(
        [hash_key(seed, row) for row in range(len(ids))], dtype=torch.int64, device=logits.device
    )
    rng = RowRng(keys, torch.zeros_like(keys), torch.full_like(keys, length))
    return choose(plan, strategy, rng, view, logits, length)


def choose(plan: Plan, strategy: Any, rng: Any, view: View, logits: Tensor, step: int) -> Tensor:
    """(R, V) raw -> (R,) int64. Raises `BadRow` for the first row that no token can be drawn from."""
    tokens, scores = plan.pick(view, logits, rng)
    return chosen(plan, strategy, rng, view, logits, scores, step) if tokens is None else tokens


def chosen(
    plan: Plan, strategy: Any, rng: Any, view: View, logits: Tensor, scores: Tensor, step: int
) -> Tensor:
    """The same where the plan has drawn nothing: `scores` (R, V) are its processed ones."""
    for row, bad in enumerate(bad_rows(scores).tolist()):
        if bad:
            processor, what = plan.blame(view, logits, row)
            raise BadRow(row, step, processor, what, remedy="mend that step or the model")
    return strategy.choose(scores, rng)  # type: ignore[no-any-return]


def _no_facts(rows: int, device: torch.device) -> Facts:
    rng: Any = torch_rng(rows, device, None)
    return Facts(torch.zeros(rows, dtype=torch.int64, device=device), device, rng)
