"""A recipe -> foreign keys, with a line of report for every step and setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ....contracts.params import non_default_values, param_values
from ....contracts.steps import Step
from ...syntax.write import plain
from .carried import Carried, Status, spelled
from .keys import CannotWrite, Key, Knob
from .making import field_of

if TYPE_CHECKING:
    from ...recipe import Recipe


@dataclass(frozen=True, slots=True)
class Written:
    """A recipe as the text of another engine, and what became of each part of it."""

    text: str
    carried: tuple[Carried, ...]


class Writing:
    """Gathers `keys` (foreign key -> value) and the report."""

    def __init__(self, engine: str, recipe: Recipe) -> None:
        self.engine, self.recipe = engine, recipe
        self.keys: dict[str, Any] = {}
        self.report: list[Carried] = []

    def note(self, path: str, value: object, status: Status, into: str = "", note: str = "") -> None:
        """A line of report; `path` leads through the recipe."""
        self.report.append(Carried(path, spelled(value) if value is not None else "", status, into, note))

    def processors(self, order: Sequence[Knob], unlike: Mapping[str, str] | None = None) -> None:
        """Write the processors with the engine's knobs, which stand in its order.

        The engine applies them in that order whatever the recipe says, and that is reported. Knobs that the recipe
        does not use are switched off where the engine's default is on. `unlike` says why a step that is none of the
        knobs is dropped.
        """
        place = {knob.step: index for index, knob in enumerate(order)}
        last = -1
        for index, step in enumerate(self.recipe.processors):
            name = step.spec.name
            knob = order[place[name]] if name in place else None
            late = name in place and place[name] < last
            path = f"processors[{index}].{name}"
            if knob is None and name in (unlike or {}):
                self.note(path, _shown(step), "dropped", note=(unlike or {})[name])
            else:
                self.step(path, step, knob, self.order_note(name, late))
            last = max(last, place.get(name, -1))
        self.defaults_off(order)

    def order_note(self, name: str, late: bool) -> str:
        """What to say of a step that the engine runs earlier than the recipe does."""
        return f"{self.engine} runs {name} before the steps in front of it here" if late else ""

    def defaults_off(self, order: Sequence[Knob]) -> None:
        """Switch off what the engine would do unasked."""
        for knob in order:
            key = knob.keys[0].name
            if knob.is_on_by_default and key not in self.keys:
                self.keys[key] = knob.neutral
                self.note(f"(no {knob.step})", None, "exact", f"{key} = {spelled(knob.neutral)}", "off")

    def stops(self, knobs: Sequence[Knob]) -> None:
        """Write the stop rules but `eos`, which every engine has a way of its own with."""
        by_name = {knob.step: knob for knob in knobs}
        for index, step in enumerate(self.recipe.stop):
            if step.spec.name != "eos":
                self.step(f"stop[{index}].{step.spec.name}", step, by_name.get(step.spec.name), "")

    def has_stop(self, name: str) -> bool:
        return any(step.spec.name == name for step in self.recipe.stop)

    def settings(self, *, keeps_stop_string: bool, draws: str = "numbers are drawn otherwise there") -> None:
        """Report on what no engine has a key for. `keeps_stop_string`: `include_stop` has been dealt with."""
        recipe = self.recipe
        if recipe.on_bad_row != "error":
            self.note("on_bad_row", recipe.on_bad_row, "dropped", note=f"{self.engine} has no such setting")
        if recipe.include_stop and not keeps_stop_string:
            self.note("include_stop", True, "dropped", note=f"{self.engine} has no such setting")
        if recipe.compat == "hf" and self.engine != "transformers":
            self.note("compat", "hf", "dropped", note=f"{self.engine} has its own layout; {draws}")

    def finish(self, text: str) -> Written:
        return Written(text, tuple(self.report))

    def step(self, path: str, step: Step, knob: Knob | None, order: str = "") -> bool:
        """Write one step with its knob; `order` is what to say of its place -> whether it is written."""
        value = _shown(step)
        if knob is None:
            self.note(path, value, "dropped", note=f"{self.engine} has nothing like it")
            return False
        if knob.keys[0].name in self.keys:
            self.note(path, value, "dropped", note=f"{self.engine} runs {step.spec.name} once")
            return False
        try:
            written, notes = self.written(step, knob)
        except CannotWrite as error:
            self.note(path, value, "dropped", note=str(error))
            return False
        self.keys.update(written)
        notes = [*notes, order] if order else notes
        into = ", ".join(f"{key} = {spelled(found)}" for key, found in written.items())
        self.note(path, value, "approximated" if notes else "exact", into, "; ".join(notes))
        return True

    def written(self, step: Step, knob: Knob) -> tuple[dict[str, Any], list[str]]:
        """(keys with values, what is lost). Raises `CannotWrite`."""
        values = param_values(step.params)
        left = non_default_values(step.params)
        keys: dict[str, Any] = {}
        notes: list[str] = []
        for index, key in enumerate(knob.keys):
            if not key.param:
                keys[key.name] = True
                continue
            field = field_of(step.spec, key.param, index)
            left.pop(field, None)
            if values.get(field) is not None and (index == 0 or values[field] != key.default):
                keys[key.name] = _within(key, key.write(values[field]), notes)
        for param, wanted in knob.fixed.items():
            field = field_of(step.spec, param)
            left.pop(field, None)
            if field in values and plain(values[field]) != plain(wanted):
                notes.append(
                    f"{field} is {spelled(plain(wanted))} there, {spelled(plain(values[field]))} here"
                )
        notes += [f"{field}: {spelled(plain(value))} is lost" for field, value in left.items()]
        return keys, notes


def _within(key: Key, value: Any, notes: list[str]) -> Any:
    """`value`, moved to what the engine takes."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if value < key.least:
            notes.append(f"{spelled(value)} is below the least that it takes")
            return key.least
        if value > key.most:
            notes.append(f"{spelled(value)} is above the most that it takes")
            return key.most
    return value


def _shown(step: Step) -> object:
    values: Mapping[str, object] = {
        name: plain(value) for name, value in non_default_values(step.params).items()
    }
    return next(iter(values.values())) if len(values) == 1 else (dict(values) or None)
