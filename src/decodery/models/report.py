"""What detection found, made to be read."""

from __future__ import annotations

from dataclasses import dataclass

from ..contracts.protocols import ModelFacts


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

    @property
    def advice(self) -> str:
        """The one line that would improve it, "" if there is none."""
        given_up = [warning for warning in self.warnings if "was tried and given up" in warning]
        if given_up:
            return "a cache that holds: see the warning"
        if self.adapter == "rows":
            return "a forward that takes all rows at once, (B, T)"
        if self.facts.max_length is None and self.adapter not in ("state", "step"):
            return "Decoder(model, max_length=...): how long a text it takes is not known"
        return self.hint

    def __str__(self) -> str:
        facts, can = self.facts, self.facts.capabilities
        abilities = [name for name in ("masks", "select", "static") if getattr(can, name)]
        by = f" by {can.rewind_by}" if can.rewind_by else ""
        told = "".join(self.warnings)
        lines = [
            f"{self.model}: adapter '{self.adapter}'",
            f"  because     {self.evidence}",
            # What a warning tells already is not told twice.
            *(f"  not         {name}: {reason}" for name, reason in self.rejected if reason not in told),
            f"  verified    {self._verified()}",
            f"  vocabulary  {_said(facts.vocab_size)}, eos {_listed(facts.eos)}, bos {_said(facts.bos)}, "
            f"pad {_said(facts.pad)}",
            f"  context     {_said(facts.max_length)}",
            f"  runs on     {facts.device}, {str(facts.dtype).removeprefix('torch.')}",
            f"  can         {', '.join([*abilities, f'rewind: {can.rewind}{by}'])}",
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
        return f"{self.compared} tokens; steps differ from the whole text by {self.difference:.1e}, log-probability"

    def _speeds(self) -> list[str]:
        if self.speed is None:
            return []
        cached = f"{_number(self.speed.cached)} tokens/s"
        if self.speed.whole is None:
            return [f"{cached} over {self.speed.tokens} tokens"]
        return [
            f"{cached} with its cache, {_number(self.speed.whole)} without, over {self.speed.tokens} tokens"
        ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _said(value: int | None) -> str:
    return "unknown" if value is None else str(value)


def _listed(values: tuple[int, ...]) -> str:
    return ", ".join(map(str, values)) or "unknown"
