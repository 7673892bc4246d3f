"""YAML events -> a positioned tree, within limits.

The tree is ours, because an error message needs the place of every key and value, and because YAML's tags,
anchors and merge keys have no business in a recipe. What is refused is reported and stepped over, so that one
run finds as many mistakes as it can.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from .report import Problems, Source, Span
from .syntax.events import EventReader, complaint
from .syntax.nodes import MAX_DEPTH, MAX_NODES, Budget, Entry, MappingNode, Node, ScalarNode, SequenceNode
from .syntax.scalars import MAX_NUMBER, NumberTooLong, ambiguity, resolve

_STAND_IN = "\N{REPLACEMENT CHARACTER}"
_WORD = re.compile(r"[^\s,\[\]{}]{1,80}")
_NodeEvent = ScalarEvent | SequenceStartEvent | MappingStartEvent | AliasEvent


def parse(
    text: str, source: Source, problems: Problems, line: int = 1, budget: Budget | None = None
) -> Node | None:
    """The one document in `text`; None when it is empty or cannot be read to its end.

    `text` has been through `syntax.text.clean`; its first line is `line` of `source`.
    """
    builder = _Builder(source, problems, line, budget or Budget())
    reader = EventReader(text)
    whole = False
    try:
        whole = all(map(builder.take, reader.events()))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark or reader.get_mark()
        problems.add(builder.span(mark, 1), "syntax", *complaint(error))
    except (yaml.YAMLError, ValueError, OverflowError):
        # An escape beyond Unicode leaves PyYAML as a bare ValueError of chr().
        problems.add(
            builder.span(reader.get_mark(), 1),
            "syntax",
            "not YAML: there is no such character",
            "escapes end at \\U0010FFFF",
        )
    for token in reader.directives:
        problems.add(
            builder.span(token.start_mark, token.end_mark.column),
            "directive",
            "directives are not read",
            "take the line out; a recipe is always YAML 1.2",
        )
    return builder.root if whole else None


@dataclass(slots=True)
class _Frame:
    """A collection being built; `key` waits for its value, `seen` has the line of each key so far."""

    node: SequenceNode | MappingNode
    key: ScalarNode | None = None
    seen: dict[str, int] = field(default_factory=dict)


class _Builder:
    def __init__(self, source: Source, problems: Problems, line: int, budget: Budget) -> None:
        self.source, self.problems, self.first_line, self.budget = source, problems, line, budget
        self.root: Node | None = None
        self.stack: list[_Frame] = []
        self.documents = 0

    def span(self, start: Any, length: int) -> Span:
        return Span(self.source, start.line + self.first_line, start.column + 1, length)

    def take(self, event: Event) -> bool:
        """Take one event in; False when there is no point in going on."""
        if self.problems.full:
            return False
        if isinstance(event, _NodeEvent):
            return self._take_node(event)
        if isinstance(event, (SequenceEndEvent, MappingEndEvent)):
            node = self.stack.pop().node
            node.span = self._span_until(node.span, event.end_mark)
            self._deliver(node)
        elif isinstance(event, DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                self.problems.add(
                    self.span(event.start_mark, 3),
                    "second-document",
                    "a second document begins here",
                    "one file is one recipe: move this part to a file of its own",
                )
                return False
        return True

    def _take_node(self, event: _NodeEvent) -> bool:
        span = self._span_until(self.span(event.start_mark, 1), event.end_mark)
        self.budget.nodes += 1
        if self.budget.nodes > MAX_NODES:
            self.problems.add(
                span,
                "too-many-nodes",
                f"the recipe has more than {MAX_NODES:,} values",
                "a recipe names steps and numbers; keep data out of it",
            )
            return False
        refused = self._refuse_properties(event, span)
        if isinstance(event, AliasEvent):
            self._deliver(ScalarNode(span, "", None, refused=True))
        elif isinstance(event, ScalarEvent):
            self._deliver(self._scalar(event, span, refused))
        elif len(self.stack) >= MAX_DEPTH:
            self.problems.add(
                span,
                "too-deep",
                f"nested more than {MAX_DEPTH} levels deep",
                "parameters are numbers, names and short lists",
            )
            return False
        else:
            kind = SequenceNode if isinstance(event, SequenceStartEvent) else MappingNode
            self.stack.append(_Frame(kind(span, flow=bool(event.flow_style), refused=refused)))
        return True

    def _refuse_properties(self, event: _NodeEvent, span: Span) -> bool:
        """Report what YAML can hang on a node: an anchor, a tag, or being an alias."""
        if not isinstance(event, AliasEvent) and event.anchor is None and event.tag is None:
            return False
        word = Span(self.source, span.line, span.column, self._word_length(span))
        if isinstance(event, AliasEvent):
            self.problems.add(word, "alias", f"aliases (*{event.anchor}) are not read", "write the value out")
            return True
        if event.anchor is not None:
            self.problems.add(
                word, "anchor", f"anchors (&{event.anchor}) are not read", "take the anchor out"
            )
        if event.tag is not None:
            self.problems.add(word, "tag", "tags (!...) are not read", "take the tag out; values need none")
        return True

    def _scalar(self, event: ScalarEvent, span: Span, refused: bool) -> ScalarNode:
        text, plain = event.value, event.style is None
        if any("\ud800" <= char <= "\udfff" for char in text):
            # JSON spells characters beyond U+FFFF as two escapes, which PyYAML leaves apart.
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            if _STAND_IN in text:
                self.problems.add(
                    span,
                    "hidden-character",
                    "half of a character in this string",
                    "write characters beyond U+FFFF as \\U and eight digits",
                )
        node = ScalarNode(
            span, text, text, plain, refused=refused or (_STAND_IN in text and bool(self.problems))
        )
        frame = self.stack[-1] if self.stack else None
        if frame and isinstance(frame.node, MappingNode) and frame.key is None:
            self._check_key(node)
        elif plain:
            try:
                node.value = resolve(text)
                node.ambiguous = ambiguity(text) if isinstance(node.value, str) else None
            except NumberTooLong:
                self.problems.add(
                    span, "number", f"a number of more than {MAX_NUMBER} characters", "write fewer digits"
                )
                node.refused = True
        return node

    def _check_key(self, key: ScalarNode) -> None:
        if key.plain and key.text == "<<":
            self.problems.add(key.span, "merge-key", "merge keys (<<) are not read", "write the keys out")
            key.refused = True
        elif key.text == "" and not key.refused:
            self.problems.add(key.span, "key", "a key is missing before this ':'", "write 'name: value'")
            key.refused = True

    def _deliver(self, node: Node) -> None:
        """Hand a finished node to the collection around it."""
        if not self.stack:
            self.root = node
            return
        frame = self.stack[-1]
        if isinstance(frame.node, SequenceNode):
            frame.node.items.append(node)
            return
        if frame.key is None:
            if not isinstance(node, ScalarNode):
                self.problems.add(
                    node.span,
                    "key",
                    "a key is a name, not a list or mapping",
                    "put text that begins with a bracket in quotes",
                )
                node = ScalarNode(node.span, "", "", refused=True)
            frame.key = node
            return
        key, frame.key = frame.key, None
        if key.refused or key.text not in frame.seen:
            frame.seen[key.text] = key.span.line
            frame.node.entries.append(Entry(key, node))
        else:
            first = frame.seen[key.text]
            self.problems.add(
                key.span,
                "duplicate-key",
                f"{key.text!r} comes twice; the first is in line {first}",
                "keep one of them",
            )

    def _span_until(self, start: Span, end: Any) -> Span:
        """From `start` to `end`, or to the end of the line when `end` is in a later one."""
        if end.line + self.first_line == start.line:
            return Span(self.source, start.line, start.column, end.column + 1 - start.column)
        rest = self.source.line(start.line)[start.column - 1 :]
        return Span(self.source, start.line, start.column, len(rest.rstrip()))

    def _word_length(self, span: Span) -> int:
        match = _WORD.match(self.source.line(span.line), span.column - 1)
        return len(match.group()) if match else 1
