"""Foreign keys -> steps in the engine's order, with a line of report for every key."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ....contracts.errors import RecipeError
from ....contracts.params import non_default_values
from ....contracts.steps import Step, StrategyUse
from ....host.registry import Host
from ...names import Names
from ...report import Problem, Problems, Source, Span, render
from ...syntax.write import plain
from .carried import Carried, Status, spelled
from .given import Given, check_size
from .keys import INTEGER, NUMBER, Key, Kind, Knob, Refused
from .making import BadValues, Made, NotHere, make

ENDLESS_TOKENS = 256
"""What a recipe takes for a limit when nothing else would end it."""


@dataclass(frozen=True, slots=True)
class Read:
    """A foreign file as the fields of a `Recipe`, what became of its keys, and what no recipe holds:
    `decoder` are arguments for `Decoder`, `call` for its `generate`."""

    fields: Mapping[str, Any]
    carried: tuple[Carried, ...]
    decoder: Mapping[str, object]
    call: Mapping[str, object]


class Reading:
    """Takes keys one after another. Mistakes gather in `problems`; `finish` raises them all."""

    def __init__(
        self, engine: str, source: Source, given: Sequence[Given], host: Host, problems: Problems
    ) -> None:
        check_size(list(given), problems)
        self.engine, self.problems = engine, problems
        self.fields: dict[str, Any] = {}
        self.decoder: dict[str, object] = {}
        self.call: dict[str, object] = {}
        self._source = source
        self._given = {found.key: found for found in given}
        self._names = Names(host)
        self._report: dict[str, list[Carried]] = {}
        self._steps: dict[str, list[Step]] = {"processor": [], "stop": []}

    # -- what the file says ---------------------------------------------------------------------------------------

    def has(self, key: str) -> bool:
        """The file gives `key` a value; null is none."""
        return key in self._given and self._given[key].value is not None

    def read(self, key: str, kind: Kind, default: Any = None) -> Any:
        """The value of `key`, or `default` when it is missing or bad, which is a problem then."""
        return self.value(Key(key, "", kind, default))

    def number(self, key: str, default: Any = None) -> Any:
        return self.read(key, NUMBER, default)

    def integer(self, key: str, default: Any = None) -> Any:
        return self.read(key, INTEGER, default)

    def value(self, key: Key) -> Any:
        """The same for a key with a unit."""
        if not self.has(key.name):
            return key.default
        try:
            return key.read(self._given[key.name].value)
        except Refused as error:
            self.problem(key.name, f"{key.name} = {_shown(self._given[key.name].value)}", str(error))
            return key.default

    def plain_value(self, key: str) -> object:
        """What the file says, unread; None when it says nothing."""
        return self._given[key].value if key in self._given else None

    def switched(self, key: str) -> bool:
        """A switch is there."""
        return key in self._given

    def says(self, key: str) -> bool:
        """The file has the key, be it null."""
        return key in self._given

    def taken(self, key: str) -> bool:
        """Something has been reported on `key`."""
        return key in self._report

    def given_keys(self) -> list[str]:
        """The keys that the file gives a value, in its order."""
        return [key for key in self._given if self.has(key)]

    def problem(self, key: str, message: str, remedy: str = "") -> None:
        """A mistake in the value of `key`."""
        span = self._given[key].span if key in self._given else Span(self._source)
        found = Problem.at(span, "bad-value", message, remedy)
        if found not in self.problems:  # several steps may ask for one key
            self.problems.put(found)

    # -- what becomes of it ---------------------------------------------------------------------------------------

    def note(self, key: str, status: Status, into: str = "", note: str = "") -> None:
        """A line of report."""
        value = spelled(self._given[key].value) if key in self._given else ""
        self._report.setdefault(key, []).append(Carried(key, value, status, into, note))

    def remark(self, key: str, value: str, status: Status, note: str) -> None:
        """A line about something that is no key of its own."""
        self._report.setdefault(key, []).insert(0, Carried(key, value, status, note=note))

    def exact(self, key: str, into: str = "", note: str = "") -> None:
        """Report that nothing is lost, if the file has `key` and nothing is reported yet."""
        if self.has(key) and key not in self._report:
            self.note(key, "exact", into, note)

    def dropped(self, key: str, why: str) -> None:
        """Report what is lost, if the file has `key` at all."""
        if self.has(key):
            self.note(key, "dropped", note=why)

    def knob(self, knob: Knob, note: str = "", status: Status = "exact") -> bool:
        """Read the keys of one step and add it, unless they switch it off -> whether it is in the recipe."""
        first = knob.keys[0]
        values = {key.param: self.value(key) for key in knob.keys}
        if values[first.param] is None or knob.off(values[first.param]):
            self.exact(first.name, note="off")
            for key in _own(knob)[1:]:
                self.exact(key.name, note=f"no effect: {first.name} is off")
            return False
        given = {param: value for param, value in values.items() if param and value is not None}
        return self.step(
            knob.step, {**knob.fixed, **given}, {key.param: key.name for key in _own(knob)}, note, status
        )

    def step(
        self,
        name: str,
        values: Mapping[str, Any],
        keys: Mapping[str, str],
        note: str = "",
        status: Status = "exact",
    ) -> bool:
        """Add the step `name` and report on the keys that its parameters come from (`keys`: parameter -> key)."""
        found = self._made(name, values, keys, self._names.step, "step")
        if found is None:
            return False
        self._steps[found.spec.role].append(Step(found.spec, found.params, found.qualified))
        self._reported(found.qualified, found.params, keys, note, status)
        return True

    def strategy(
        self,
        name: str,
        values: Mapping[str, Any] | None = None,
        keys: Mapping[str, str] | None = None,
        note: str = "",
    ) -> bool:
        """Make `name` the strategy; False, and reported, when nobody provides it."""
        found = self._made(name, values or {}, keys or {}, self._names.strategy, "strategy")
        if found is None:
            return False
        for key in (keys or {}).values():
            self._report.pop(key, None)  # what a strategy that is not here would have done with it
        self.fields["strategy"] = StrategyUse(found.spec, found.params, found.qualified)
        self._reported(f"strategy: {found.qualified}", found.params, keys or {}, note, "exact")
        return True

    def seed(self, key: str, none: Sequence[int] = (), bits: int = 64) -> None:
        """The strategy's seed; `none` are the values that ask for a random one, `bits` how many the engine has."""
        seed = self.integer(key)
        if seed is None or seed in none:
            self.exact(key, note="a new seed for every run")
            return
        seed %= 2**bits  # to an engine in C -5 is 2**32 - 5
        self.note(key, "approximated", f"seed: {seed}", "repeats a run, but numbers are drawn otherwise here")
        use: StrategyUse = self.fields["strategy"]
        self.fields["strategy"] = StrategyUse(use.spec, use.params, use.qualified, seed)

    def to_call(self, key: str, argument: str, value: object) -> None:
        """Something that is said at the call and not in a recipe."""
        self.call[argument] = value
        self.note(key, "dropped", note=f"no part of a recipe: Decoder.generate({argument}={value!r})")

    def rest(self, known: Mapping[str, str], unknown: str = "has no such parameter") -> None:
        """Report every key that nobody took: `known` says why, `unknown` what to say of all others."""
        for key in self.given_keys():
            if key in self._report:
                continue
            if key in known:
                self.dropped(key, known[key])
                continue
            close = difflib.get_close_matches(key[:50], [*known, *self._report], n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            self.dropped(key, f"{self.engine} {unknown}, as far as decodery knows{hint}")

    def finish(self) -> Read:
        """Raises `RecipeError` with every problem."""
        if not self._steps["stop"]:
            self.step("max_new_tokens", {"max_new_tokens": ENDLESS_TOKENS}, {})
            note = "there only the context ends it; a recipe has to"
            self.note("(no end)", "approximated", f"max_new_tokens: {ENDLESS_TOKENS}", note)
        if self.problems:
            problems = sorted(self.problems, key=lambda problem: (problem.line, problem.column))
            raise RecipeError(render(problems), problems)
        order = [key for key in self._given if key in self._report]
        order += [key for key in self._report if key not in self._given]
        return Read(
            {
                **self.fields,
                "processors": tuple(self._steps["processor"]),
                "stop": tuple(self._steps["stop"]),
            },
            tuple(line for key in order for line in self._report[key]),
            self.decoder,
            self.call,
        )

    def _made(
        self,
        name: str,
        values: Mapping[str, Any],
        keys: Mapping[str, str],
        lookup: Callable[[str], tuple[str, Any]],
        kind: str,
    ) -> Made | None:
        try:
            return make(name, values, lookup, kind)
        except NotHere as error:
            self._lost(keys, str(error))
        except BadValues as error:
            for param, found in error.problems:
                key = keys.get(param, next(iter(keys.values()), self.engine))
                inside = found.path.partition(".")[2]
                message = found.message.removeprefix(found.path)
                self.problem(key, f"{key}{'.' if inside else ''}{inside}{message}", found.remedy)
        return None

    def _lost(self, keys: Mapping[str, str], why: str) -> None:
        keys_given = [key for key in dict.fromkeys(keys.values()) if self.has(key)]
        for key in keys_given or list(keys.values())[:1]:
            self.note(key, "dropped", note=why)

    def _reported(
        self, name: str, params: object | None, keys: Mapping[str, str], note: str, status: Status
    ) -> None:
        values = {field: plain(value) for field, value in non_default_values(params).items()}
        written = f"{name}: {spelled(next(iter(values.values())))}" if len(values) == 1 else name
        if len(values) > 1:
            written = (
                f"{name}: {{{', '.join(f'{field}: {spelled(value)}' for field, value in values.items())}}}"
            )
        keys_given = [key for key in dict.fromkeys(keys.values()) if self.has(key)]
        for key in keys_given or list(keys.values())[:1]:
            by_default = "" if keys_given else f"the default of {self.engine}"
            self.note(key, status, written, "; ".join(filter(None, (by_default, note))))


def _own(knob: Knob) -> tuple[Key, ...]:
    return tuple(key for key in knob.keys if not key.shared)


def _shown(value: object, limit: int = 60) -> str:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else spelled(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
