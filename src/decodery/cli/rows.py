"""Generated rows on their way to stdout: text or JSON lines, in the order of the prompts, early."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .console import Console


@dataclass
class RowState:
    """One row as far as it has come. `prompt` is what the user gave: a text or token ids."""

    prompt: str | list[int]
    prompt_index: int
    sample_index: int
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    reason: str | None = None
    score: float | None = None


def row_states(prompts: Sequence[str | list[int]], samples: int) -> list[RowState]:
    """`samples` rows a prompt, those of one prompt together: the order of the engine's rows."""
    return [RowState(prompt, p, s) for p, prompt in enumerate(prompts) for s in range(samples)]


class RowPrinter:
    """Prints rows in order.

    `live` shows the first unfinished row as it grows, otherwise each is shown when it is finished; `held`
    keeps everything until `close` (a progress bar has the terminal).
    """

    def __init__(
        self,
        console: Console,
        rows: list[RowState],
        *,
        live: bool = False,
        held: bool = False,
        has_text: bool = True,
    ) -> None:
        self.rows = rows
        self._console, self._live, self._held, self._has_text = console, live, held, has_text
        self._next = 0
        self._shown: int | None = None  # characters of row `_next` that are out; None before its beginning

    def push(self, index: int, token: int | None, text: str | None, reason: str | None) -> None:
        """One event: row `index` got `token`, which shows as `text`, and finished if there is a `reason`."""
        row = self.rows[index]
        if token is not None:
            row.tokens.append(token)
            if not self._has_text:
                row.text += f"{token}" if len(row.tokens) == 1 else f" {token}"
        if self._has_text:
            row.text += text or ""
        row.reason = row.reason or reason
        if not self._held:
            self._advance()

    def close(self) -> None:
        """Print what is kept. An unfinished row is marked "interrupted"; one without a token is left out."""
        for row in self.rows:
            row.reason = row.reason or ("interrupted" if row.tokens else "")
        self._advance()

    # A place is noted before it is printed: Ctrl-C right after a print must not make `close` print it again.

    def _advance(self) -> None:
        while self._next < len(self.rows):
            row = self.rows[self._next]
            if row.reason != "" and (row.reason or self._live):
                self._show(row)
            if row.reason is None:
                return
            begun, self._shown, self._next = self._shown is not None, None, self._next + 1
            if begun:
                self._end()

    def _show(self, row: RowState) -> None:
        if self._shown is None:
            self._shown = 0
            self._begin(row)
        piece, self._shown = row.text[self._shown :], len(row.text)
        if piece:
            self._console.write(piece)

    def _begin(self, row: RowState) -> None:
        console = self._console
        if len(self.rows) > 1:
            gap = "\n" if self._next > 0 else ""
            console.line(f"{gap}[prompt {row.prompt_index}, sample {row.sample_index}]", "bold")
        if console.out_terminal:
            is_text = isinstance(row.prompt, str) and self._has_text
            prompt = row.prompt if isinstance(row.prompt, str) else " ".join(map(str, row.prompt))
            console.write(prompt if is_text else f"{prompt} ", "dim")

    def _end(self) -> None:
        self._console.line()


class JsonPrinter(RowPrinter):
    """The same rows, one JSON object a line; `facts` (model, recipe, seed ...) are added to each."""

    def __init__(
        self,
        console: Console,
        rows: list[RowState],
        facts: Mapping[str, object],
        *,
        held: bool = False,
        has_text: bool = True,
    ) -> None:
        super().__init__(console, rows, held=held, has_text=has_text)
        self._facts = facts
        # UTF-8 is what JSON is written in; where stdout is something else, escapes say the same.
        self._ascii = (getattr(console.out, "encoding", None) or "").lower().replace("-", "") != "utf8"

    def _show(self, row: RowState) -> None:
        if self._shown is not None:
            return
        self._shown = 0
        data = {
            "prompt": row.prompt,
            "prompt_index": row.prompt_index,
            "sample_index": row.sample_index,
            "text": row.text if self._has_text else None,
            "tokens": row.tokens,
            "finish_reason": row.reason,
            **({} if row.score is None else {"sequence_score": row.score}),
            **self._facts,
        }
        self._console.line(json.dumps(data, ensure_ascii=self._ascii))

    def _end(self) -> None:
        pass
