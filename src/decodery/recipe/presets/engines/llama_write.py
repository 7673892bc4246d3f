"""A recipe -> llama.cpp's flags. `--samplers` carries the order."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ....contracts.params import param_values
from ....contracts.steps import Step
from ..common.carried import Status
from ..common.writing import Writing, Written
from . import llama_flags as flags

if TYPE_CHECKING:
    from ...recipe import Recipe


def write(recipe: Recipe) -> Written:
    """Flags, one a line, that go behind `llama-cli -m ...`."""
    writing = Writing("llama.cpp", recipe)
    writing.keys["--samplers"] = ""
    draws = _write_strategy(writing)
    names: list[str] = []
    written: set[str] = set()
    windows: list[object] = []
    for index, step in enumerate(recipe.processors):
        path = f"processors[{index}].{step.spec.name}"
        _write_step(writing, path, step, names, written, windows, draws)
    if not draws:
        names.append("temperature")
        writing.keys["--temp"] = 0
    writing.keys["--samplers"] = ";".join(names) if names else "temperature"
    if not names:
        writing.keys["--temp"] = 1.0
        writing.note("(no processors)", None, "exact", "--samplers temperature --temp 1.0")
    if "mirostat" in written:
        del writing.keys["--samplers"]
    if windows:
        writing.keys["--repeat-last-n"] = flags.WINDOW.write(windows[0])
    _write_stops(writing)
    writing.settings(keeps_stop_string=False)
    return writing.finish(_command(writing.keys))


def _write_strategy(writing: Writing) -> bool:
    use = writing.recipe.strategy
    if use.spec.name == "sample":
        writing.note("strategy", "sample", "exact")
        if use.seed is not None:
            seed = use.seed % (2**32 - 1)
            writing.keys["--seed"] = seed
            note = "repeats a run, but numbers are drawn otherwise there"
            writing.note("strategy.seed", use.seed, "approximated", f"--seed {seed}", note)
        return True
    known = use.spec.name == "greedy"
    note = "" if known else "llama.cpp has no such strategy; greedy is written"
    writing.note("strategy", use.spec.name, "exact" if known else "dropped", "--temp 0", note)
    if use.seed is not None:
        writing.note("strategy.seed", use.seed, "dropped", note="nothing is drawn")
    return False


_KNOBS = {knob.step: (name, knob) for name, knobs in flags.SAMPLERS.items() for knob in knobs} | {
    "dynamic_temperature": ("temperature", flags.DYNAMIC)
}


def _write_step(
    writing: Writing,
    path: str,
    step: Step,
    names: list[str],
    written: set[str],
    windows: list[object],
    draws: bool,
) -> None:
    name = step.spec.name
    values = param_values(step.params)
    if name in (flags.BIAS, "logit_bias"):
        _write_bias(writing, path, step, bool(names))
        return
    if name == "min_new_tokens" and _never_ends(writing.recipe):
        writing.note(path, None, "exact", "--ignore-eos")
        return
    if name == "mirostat":
        others = [other for other in names if other != "temperature"]
        lost = f"it takes the place of {', '.join(others)} there" if others else ""
        writing.step(path, step, flags.MIROSTAT, lost)
        written.add(name)
        return
    if name in ("temperature", "dynamic_temperature") and not draws:
        writing.note(path, None, "dropped", note="no effect: nothing is drawn")
        return
    sampler, knob = _KNOBS.get(name, ("", None))
    notes = []
    if sampler == "penalties":
        if windows and windows[0] != values.get("window"):
            notes.append("the penalties have one window there")
        windows.append(values.get("window"))
    if knob is not None and sampler in names and not (sampler == "penalties" and names[-1] == sampler):
        notes.append(f"{sampler} runs where it first stands")
    elif sampler == "penalties" and names and names[-1] == sampler and not _later_penalty(name, written):
        notes.append("the penalties run in their own order there")
    if writing.step(path, step, knob, "; ".join(notes)):
        written.add(name)
        if sampler not in names:
            names.append(sampler)


def _later_penalty(name: str, written: set[str]) -> bool:
    order = [knob.step for knob in flags.SAMPLERS["penalties"]]
    return all(order.index(other) < order.index(name) for other in written if other in order)


def _write_bias(writing: Writing, path: str, step: Step, late: bool) -> None:
    pairs: Any = next(iter(param_values(step.params).values()))
    singles = [
        (token if isinstance(token, int) else token[0], bias) for token, bias in pairs if _single(token)
    ]
    if "--logit-bias" in writing.keys or not singles:
        why = "llama.cpp biases once" if singles else "llama.cpp biases single tokens, by id"
        writing.note(path, None, "dropped", note=why)
        return
    writing.keys["--logit-bias"] = [f"{token}{bias:+}" for token, bias in singles]
    notes = ["llama.cpp biases first"] if late else []
    if len(singles) < len(pairs):
        notes.append("sequences of several tokens and texts are lost")
    status: Status = "approximated" if notes else "exact"
    writing.note(path, None, status, f"--logit-bias, {len(singles)} times", "; ".join(notes))


def _single(token: object) -> bool:
    return isinstance(token, int) or (isinstance(token, tuple) and len(token) == 1)


def _never_ends(recipe: Recipe) -> bool:
    """No rule `eos`, and its tokens banned for as long as the recipe goes on."""
    if any(step.spec.name == "eos" for step in recipe.stop):
        return False
    limits = _values(recipe.stop, "max_new_tokens")
    bans = _values(recipe.processors, "min_new_tokens")
    return bool(bans) and max(bans) >= min(limits, default=flags.FOREVER)


def _values(steps: Sequence[Step], name: str) -> list[Any]:
    return [param_values(step.params)[name] for step in steps if step.spec.name == name]


def _write_stops(writing: Writing) -> None:
    writing.stops((flags.LENGTH, flags.STOP))
    if not writing.has_stop("max_new_tokens"):
        writing.note("(no limit)", None, "exact", "--n-predict -1", "its default")
    if not writing.has_stop("eos"):
        writing.keys["--ignore-eos"] = True
        if not _never_ends(writing.recipe):
            note = "there the end of the text cannot be drawn; here it can, and the text goes on"
            writing.note("(no eos)", None, "approximated", "--ignore-eos", note)


def _command(keys: dict[str, Any]) -> str:
    parts = [
        flag if item is True else f"{flag} {_quoted(item)}"
        for flag, value in keys.items()
        for item in (value if isinstance(value, list) else [value])
    ]
    return " \\\n".join(parts) + "\n"


def _quoted(value: object) -> str:
    if not isinstance(value, str):
        return str(value)
    for char, escape in (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        value = value.replace(char, escape)
    return shlex.quote(value)
