"""How a conversation becomes the text that a model goes on with: its chat template, a transcript, or nothing at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ...contracts.errors import DecoderyError, InvalidInput
from ...contracts.protocols import Tokenizer
from ..messages import first_line
from .conversation import Messages

_MARK = "decodery-marks-this-place"


class Layout(Protocol):
    """stops     strings that end an answer
    ends      token ids that end an answer
    strips    space around an answer is no part of it
    about     what a person should know of a model that has this layout for want of another
    """

    stops: tuple[str, ...]
    ends: tuple[int, ...]
    strips: bool
    about: str

    def encode(self, messages: Messages) -> list[int]:
        """Token ids that end where the answer begins."""
        ...


@dataclass
class Transcript:
    """`User: ...`, `Assistant: ...`, a line each: for models that were taught no template."""

    tokenizer: Tokenizer
    stops: tuple[str, ...] = ("\nUser:", "\nAssistant:")
    ends: tuple[int, ...] = ()
    strips: bool = True
    about: str = (
        "has no chat template, so it goes on with a transcript, 'User: ...' and 'Assistant: ...'; "
        "a model that was not trained to chat will only play along"
    )

    def encode(self, messages: Messages) -> list[int]:
        return self.tokenizer.encode(self.text(messages))

    def text(self, messages: Messages) -> str:
        """The transcript up to where the answer begins."""
        lines = []
        for message in messages:
            role, content = message["role"], message["content"].strip()
            lines.append(f"{content}\n" if role == "system" else f"{role.capitalize()}: {content}")
        return "\n".join([*lines, "Assistant:"])


@dataclass
class Plain:
    """The texts as they are, one behind the other: the model goes on where a message ends."""

    tokenizer: Tokenizer
    stops: tuple[str, ...] = ()
    ends: tuple[int, ...] = ()
    strips: bool = False
    about: str = ""

    def encode(self, messages: Messages) -> list[int]:
        return self.tokenizer.encode("".join(message["content"] for message in messages))


class Template:
    """The tokenizer's own chat template, or a text in its place.

    The tokens that the template puts behind an answer end one, whether or not the model names them as its ends.
    """

    strips = True
    about = ""

    def __init__(self, tokenizer: Tokenizer, source: str | None = None) -> None:
        self._tokenizer, self._inner, self._source = tokenizer, tokenizer_object(tokenizer), source
        after = self._after_an_answer()
        self.ends = self._end_tokens(after)
        self.stops: tuple[str, ...] = () if self.ends or not after.strip() else (after.strip(),)

    def encode(self, messages: Messages) -> list[int]:
        # The template writes the beginning of the text itself.
        return self._tokenizer.encode(self.text(messages), special=False)

    def text(self, messages: Messages, answer_follows: bool = True) -> str:
        """The rendered conversation. Raises `InvalidInput` for what the template refuses."""
        try:
            return str(self._rendered(messages, answer_follows))
        except DecoderyError:
            raise
        except Exception as error:  # a template may raise what it likes
            raise InvalidInput(
                f"the chat template refuses this conversation: {first_line(error) or type(error).__name__}",
                remedy="some take no system text, others no two messages of one side in a row; "
                "--template transcript does without",
            ) from error

    def _rendered(self, messages: Messages, answer_follows: bool) -> str:
        if hasattr(self._inner, "apply_chat_template"):
            given: dict[str, Any] = {} if self._source is None else {"chat_template": self._source}
            return self._inner.apply_chat_template(  # type: ignore[no-any-return]
                messages, tokenize=False, add_generation_prompt=answer_follows, **given
            )
        from transformers.utils import chat_template_utils  # noqa: PLC0415 (lazy: seconds of start-up)

        texts = chat_template_utils.render_jinja_template(
            [messages],
            chat_template=self._source,
            add_generation_prompt=answer_follows,
            bos_token="",
            eos_token="",
        )
        return str(texts[0][0])

    def _after_an_answer(self) -> str:
        """What follows an answer in a conversation that goes no further."""
        said = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": _MARK}]
        try:
            return self.text(said, answer_follows=False).rpartition(_MARK)[2]
        except InvalidInput:
            return ""

    def _end_tokens(self, after: str) -> tuple[int, ...]:
        """The first token of it, where that is a special one."""
        ids = self._tokenizer.encode(after.strip(), special=False) if after.strip() else []
        special = getattr(self._inner, "all_special_ids", ())
        added = getattr(self._inner, "added_tokens_decoder", {})
        return tuple(ids[:1]) if ids and (ids[0] in special or ids[0] in added) else ()


def choose(name: str, tokenizer: Tokenizer) -> Layout:
    """`auto`, `transcript`, `none`, or the path of a Jinja template. Raises `InvalidInput`."""
    if name == "transcript" or (name == "auto" and not has_template(tokenizer)):
        return Transcript(tokenizer)
    if name == "none":
        return Plain(tokenizer)
    layout = Template(tokenizer, None if name == "auto" else _read(name))
    layout.text([{"role": "user", "content": "Hello"}])  # a template that is broken is told now
    return layout


def check_system(layout: Layout, system: str) -> str:
    """What to say where the template leaves the system text out, else "". Raises `InvalidInput` where it refuses it."""
    if not (system and isinstance(layout, Template)):
        return ""
    said = [{"role": "system", "content": system}, {"role": "user", "content": "Hello"}]
    return "" if system.strip() in layout.text(said) else "(the chat template leaves the system text out)"


def has_template(tokenizer: Tokenizer) -> bool:
    """Whether the tokenizer brings a chat template of its own."""
    inner = tokenizer_object(tokenizer)
    if not callable(getattr(inner, "apply_chat_template", None)):
        return False
    return bool(getattr(inner, "chat_template", True))


def tokenizer_object(tokenizer: Tokenizer) -> Any:
    """The object that the caller brought."""
    return getattr(tokenizer, "inner", tokenizer)


def _read(file: str) -> str:
    remedy = "--template takes auto, transcript, none, or a file with a Jinja chat template"
    try:
        return Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InvalidInput(f"--template {file!r} is not UTF-8", remedy=remedy) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidInput(f"--template {file!r} cannot be read: {reason}", remedy=remedy) from None
