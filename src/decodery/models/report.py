"""What detection found, made to be read."""

from __future__ import annotations

from dataclasses import dataclass

from ..contracts.protocols import Capabilities, ModelFacts


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens a second that one row gets, greedily, over `tokens` new ones.

    cached  as the adapter drives the model; whole  with the whole text fed each step, None where it was not measured
    """

    tokens: int
    cached: float
    whole: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What detection found. `str()` is meant to be read.

    model       the model's class or the function's name
    adapter     who drives it, and `evidence` for that, in words
    rejected    (adapter, why not) in the order tried
    warnings    what a user should know before trusting the text
    difference  the largest of cached steps against the whole context, in log-probability, over `compared` tokens; None
                without a cache or where it was not verified. 0 tokens: there is no whole context to compare with
    speed       measured on request
    hint        what the adapter would do better with
    summary     the adapter in a line, as its record has it
    """

    model: str
    adapter: str
    evidence: str
    facts: ModelFacts
    rejected: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    difference: float | None = None
    compared: int = 0
    speed: Speed | None = None
    hint: str = ""
    summary: str = ""

    @property
    def advice(self) -> str:
        """The one line that would improve it, "" if there is none."""
        given_up = [warning for warning in self.warnings if "was tried and given up" in warning]
        if given_up:
            return self.hint or "a cache that holds: see the warning"
        if self.adapter == "rows":
            return "a forward that takes all rows at once, (B, T)"
        if self.facts.max_length is None and self.adapter not in ("state", "step"):
            return "Decoder(model, max_length=...): how long a text it takes is not known"
        if not self.hint and not self.facts.eos:
            return "Decoder(model, tokenizer=... or eos_token_id=...): which token ends a text is not known"
        return self.hint

    def __str__(self) -> str:
        facts = self.facts
        told = "".join(self.warnings)
        # What a warning tells already is not told twice.
        others = [(name, reason) for name, reason in self.rejected if reason not in told]
        lines = [
            f"{self.model}: adapter '{self.adapter}'",
            *(f"  which is    {line}" for line in [self.summary] if line),
            f"  because     {self.evidence}",
            *(f"  not         {', '.join(names)}: {reason}" for reason, names in _together(others)),
            f"  verified    {self._verified()}",
            f"  vocabulary  {_told('tokens', facts.vocab_size)}; {_specials(facts)}",
            f"  context     {_told('tokens', facts.max_length)}"
            + ("" if facts.max_length else ": a text may become as long as it likes"),
            f"  runs on     {facts.device}, {str(facts.dtype).removeprefix('torch.')}",
            f"  can         {', '.join(_abilities(facts.capabilities))}",
            *(f"  speed       {line}" for line in self._speeds()),
            *(f"  warning     {warning}" for warning in self.warnings),
            *(f"  better with {line}" for line in [self.advice] if line),
        ]
        return "\n".join(lines)

    def _verified(self) -> str:
        if self.difference is None:
            return "nothing: no cache is used" if self.adapter in ("stateless", "rows") else "no"
        if not self.compared:
            return "no: one token a call, and no call with the whole text to compare with"
        return (
            f"its cache: over {self.compared} tokens the answers are those without it, "
            f"to {self.difference:.1e} in log-probability"
        )

    def _speeds(self) -> list[str]:
        if self.speed is None:
            return []
        cached = f"{_number(self.speed.cached)} tokens/s"
        if self.speed.whole is None:
            return [f"{cached}, the whole text fed at each step, over {self.speed.tokens} tokens"]
        return [
            f"{cached} with its cache, {_number(self.speed.whole)} without, over {self.speed.tokens} tokens"
        ]


def _together(others: list[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """(name, reason) -> (reason, names), in the order in which a reason came first."""
    groups: dict[str, list[str]] = {}
    for name, reason in others:
        groups.setdefault(reason, []).append(name)
    return list(groups.items())


def _abilities(can: Capabilities) -> list[str]:
    """For somebody who has not read what the capabilities are called."""
    by = {"crop": " by cropping", "counter": " by a counter", "replay": " by feeding the rest again"}.get(
        can.rewind_by, ""
    )
    return [
        *(["left-pad prompts of unequal length"] if can.masks else []),
        *(["fork and reorder rows"] if can.select else []),
        *(["keep its cache in one place (static)"] if can.static else []),
        {
            "none": "not take tokens back",
            "uniform": f"take tokens back{by}, as many in every row",
            "ragged": f"take tokens back{by}, a number of its own in every row",
        }[can.rewind],
    ]


def _specials(facts: ModelFacts) -> str:
    found = {"eos": facts.eos, "bos": facts.bos, "pad": facts.pad}
    unknown = [name for name, value in found.items() if value in (None, ())]
    known = [
        f"{name} {', '.join(map(str, value)) if isinstance(value, tuple) else value}"
        for name, value in found.items()
        if name not in unknown
    ]
    return ", ".join([*known, *([f"{_and(unknown)} unknown"] if unknown else [])])


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _told(unit: str, value: int | None) -> str:
    return "unknown" if value is None else f"{value} {unit}"
