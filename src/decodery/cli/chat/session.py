"""A chat in progress: the recipe in force, the conversation, and how a message gets its answer."""

from __future__ import annotations

import contextlib
import secrets
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from ...contracts.params import param_values
from ...contracts.steps import Step, fill
from ...host.registry import Host
from ..console import Console
from ..play import Clock, draws
from .conversation import Conversation
from .layouts import Layout

if TYPE_CHECKING:
    from ...engine.decoder import Decoder
    from ...recipe.recipe import Recipe

_LEAST_ROOM = 16


class Chat:
    """What the commands of a chat change, and `answer`."""

    def __init__(
        self,
        console: Console,
        host: Host,
        decoder: Decoder,
        recipe: Recipe,
        layout: Layout,
        conversation: Conversation,
        seed: int | None,
    ) -> None:
        self.console, self.host, self.conversation = console, host, conversation
        self._decoder, self._layout = decoder, layout
        self.recipe, self.asked = recipe, 0
        self.use(recipe)
        self._seed = seed

    def use(self, recipe: Recipe) -> None:
        """Go on with this recipe, and with what the layout needs in it to end an answer."""
        from ...engine.pipeline import Pipeline  # noqa: PLC0415 (lazy: torch)

        recipe = _with_ends(recipe, self._layout, self.host)
        if recipe.strategy.seed not in (None, self.recipe.strategy.seed):
            self._seed = None  # what was said last goes
        self._decoder.pipeline = Pipeline.from_recipe(recipe, self.host)
        self.recipe = recipe

    @property
    def seed(self) -> int | None:
        """What the answers' seeds begin with: the option's, the recipe's, or one taken now; None where nothing is
        drawn."""
        given = self._seed if self._seed is not None else self.recipe.strategy.seed
        if given is None and draws(self.recipe):
            given = self._seed = secrets.randbits(32)
        return given

    def answer(self, message: str) -> str:
        """Print what the model says to it and keep both -> why it ended. Whatever is raised, nothing is kept.

        Ctrl-C ends the answer, and what was shown by then is kept.
        """
        # What a model or a tokenizer prints is no answer.
        with contextlib.redirect_stdout(sys.stderr):
            return self._answer(message)

    def _answer(self, message: str) -> str:
        facts = self._decoder.model.facts
        context = facts.encoder.max_length if facts.encoder is not None else facts.max_length
        asked = self.conversation.asked(message)
        fitted, ids = asked.fitted(self._layout.encode, context, self._room(context))
        self._tell_left_out(fitted.left_out - asked.left_out, context)
        shown, clock, reason = _Shown(self.console, self._layout.strips), Clock(), "interrupted"
        seed = None if self.seed is None else (self.seed + self.asked) % 2**64
        try:
            # What a model prints is no answer.
            with (
                contextlib.redirect_stdout(sys.stderr),
                self._decoder.stream([ids], n=1, seed=seed) as stream,
            ):
                for event in stream:
                    if event.token is not None:
                        clock.tick()
                    shown.push(event.text)
                reason = stream.result[0].finish_reason
        except KeyboardInterrupt:  # of the answer, not of the chat
            # Kept before anything is tidied up: an impatient hand presses Ctrl-C again.
            self._keep(fitted, shown.text, reason)
        else:
            self._keep(fitted, shown.text, reason)
        finally:
            clock.stop()
            shown.end()
        self._tell_reason(reason, shown.text, context)
        if self.console.verbose:
            self.console.say(str(clock))
        return reason

    # -- inside -----------------------------------------------------------------------------------------------

    def _keep(self, fitted: Conversation, text: str, reason: str) -> None:
        self.asked += 1
        if text or reason != "interrupted":
            self.conversation = fitted.answered(text)

    def _room(self, context: int | None) -> int:
        """How many tokens of the context are kept free for an answer: what the recipe lets it have, but no more than
        a quarter."""
        if context is None:
            return 0
        limits = [
            value
            for step in self.recipe.stop
            if step.spec.name == "max_new_tokens"
            for value in param_values(step.params).values()
            if isinstance(value, int)
        ]
        return min([*limits, max(context // 4, min(_LEAST_ROOM, context // 2))])

    def _tell_left_out(self, turns: int, context: int | None) -> None:
        if turns:
            what = "turn is" if turns == 1 else f"{turns} turns are"
            self.console.say(f"(the oldest {what} left out: the context has room for {context} tokens)")

    def _tell_reason(self, reason: str, text: str, context: int | None) -> None:
        say = self.console.say
        if reason == "interrupted":
            say("(stopped)" if text else "(stopped before the first word; the message was not kept)")
        elif reason == "context":
            say(f"(stopped: the context of {context} tokens is full)")
        elif reason == "error":
            self.console.error("error: the answer ended early because its scores went bad")
        elif not text:
            say(f"(an empty answer: {reason})")
        elif reason == "length" and self.console.err_terminal:
            say("(cut at max_new_tokens; /set max_new_tokens 1000 allows more)")


class _Shown:
    """An answer on its way to stdout; with `strips`, less the space around it."""

    def __init__(self, console: Console, strips: bool) -> None:
        self.text = ""
        self._console, self._strips, self._space = console, strips, ""

    def push(self, piece: str) -> None:
        """Space is held back until something follows it."""
        piece = self._space + piece
        if self._strips:
            piece = piece if self.text else piece.lstrip()
            end = len(piece.rstrip())
            piece, self._space = piece[:end], piece[end:]
        if piece:
            self.text += piece
            self._console.write(piece)

    def end(self) -> None:
        """An answer is a line at least, so that a pipe can count them."""
        self._console.line()


def _with_ends(recipe: Recipe, layout: Layout, host: Host) -> Recipe:
    """`recipe` with stop rules for the strings and tokens that end an answer in this layout, of which they are no
    part."""
    for name, field, values in (
        ("stop_strings", "strings", layout.stops),
        ("stop_token_ids", "ids", layout.ends),
    ):
        if values:
            stop = _with_rule(recipe.stop, name, field, values, host)
            recipe = replace(recipe, stop=stop, include_stop=False)
    return recipe


def _with_rule(
    rules: tuple[Step, ...], name: str, field: str, values: tuple[object, ...], host: Host
) -> tuple[Step, ...]:
    """The rule that is there gets the values that it lacks; else there is one more rule."""
    for place, rule in enumerate(rules):
        if rule.spec.name == name:
            have = tuple(getattr(rule.params, field))
            both = [*have, *(value for value in values if value not in have)]
            return (*rules[:place], replace(rule, params=fill(rule.spec, {field: both})), *rules[place + 1 :])
    qualified, spec = host.step(name)
    return (*rules, Step(spec, fill(spec, {field: list(values)}), qualified))


def with_limit(recipe: Recipe, most: int | None, host: Host) -> Recipe:
    """`recipe` with this `max_new_tokens` in place of its own."""
    if most is None:
        return recipe
    qualified, spec = host.step("max_new_tokens")
    rule = Step(spec, fill(spec, {"max_new_tokens": most}), qualified)
    return replace(recipe, stop=(*(r for r in recipe.stop if r.spec.name != "max_new_tokens"), rule))
