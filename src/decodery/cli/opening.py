"""From what the command line names to a decoder: model, tokenizer, roles, device, adapter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, cast

from ..contracts.errors import DecoderyError
from ..host.registry import Host
from .console import Console
from .usage import UsageMistake

if TYPE_CHECKING:
    from ..engine.decoder import Decoder
    from ..engine.graph.asked import Compile
    from ..models.sliding import Overflow
    from ..recipe.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Named:
    """What the options of that name say; None where they were not given."""

    model: str
    tokenizer: str | None = None
    roles: Sequence[str] = ()
    device: str | None = None
    adapter: str = "auto"
    overflow: str | None = None
    compile: str = "none"
    cache_prompt: bool = False


def open_decoder(
    console: Console,
    host: Host,
    named: Named,
    recipe: Recipe,
    *,
    without_tokenizer: Callable[[str], DecoderyError] | None,
) -> Decoder:
    """Load the model and what goes with it. `without_tokenizer` makes the error for a model that comes without a
    tokenizer where text is wanted; None where ids will do. Raises what loading and the engine raise."""
    overflow, roles = as_overflow(named.overflow), as_roles(named.roles)
    if roles and recipe.strategy.spec.draw != "custom":  # one with a loop of its own may look for any
        console.say(f"strategy {recipe.strategy.qualified!r} opens no other model: --role is of no use to it")
    from .models import check_device, load_model  # noqa: PLC0415 (lazy: start-up)
    from .tokenizer import load_tokenizer  # noqa: PLC0415

    with console.waiting(f"loading {named.model}"):
        loaded, own = load_model(named.model, host)
        tokenizer = own if named.tokenizer is None else load_tokenizer(named.tokenizer)
        if tokenizer is None and without_tokenizer is not None:
            raise without_tokenizer(named.model)
        from ..engine.decoder import Decoder  # noqa: PLC0415 (lazy: torch)

        check_device(named.device)
        models = {role: load_model(other, host)[0] for role, other in roles.items()}
        decoder = Decoder(
            loaded,
            recipe,
            tokenizer=tokenizer,
            adapter=named.adapter,
            models=models,
            device=named.device,
            overflow=overflow,
            compile=cast("Compile", named.compile),
            cache_prompt=named.cache_prompt,
            host=host,
        )
    if named.compile == "full":
        console.say("the forward is compiled before the second token, which can take a minute the first time")
    return decoder


def as_roles(texts: Sequence[str]) -> dict[str, str]:
    """`--role draft=demo-draft` -> {"draft": "demo-draft"}."""
    return _pairs(texts, "--role", "ROLE=MODEL, like draft=demo-draft")


def as_role_prompts(texts: Sequence[str]) -> dict[str, str]:
    """`--role-prompt negative="a bad story"` -> {"negative": "a bad story"}."""
    return _pairs(texts, "--role-prompt", 'ROLE=TEXT, like negative="a bad story"')


def as_overflow(text: str | None) -> Overflow:
    """`stop`, `slide`, or `slide=K` -> what `Decoder(overflow=...)` takes."""
    word, equals, number = (text or "stop").partition("=")
    if not equals and word == "stop":
        return "stop"
    if not equals and word == "slide":
        return "slide"
    if word == "slide" and number.isdecimal() and 0 < int(number) < 2**31:
        return {"slide": int(number)}
    raise UsageMistake(f"--overflow {text!r} is nothing to do", remedy="write stop, slide, or slide=512")


def refuse_no_model(host: Host) -> NoReturn:
    """Raises `UsageMistake` naming the models that are installed."""
    from .models import names_of_models  # noqa: PLC0415 (lazy: imports the plugins)

    installed = [f"-m {name}" for name in names_of_models(host)]
    other = "-m also takes a transformers directory or package.module:function"
    if installed:
        raise UsageMistake("there is no model", remedy=f"installed: {', '.join(installed)}; {other}")
    raise UsageMistake("there is no model", remedy=f"pip install decodery-demo gives -m demo; {other}")


def check_seed(seed: int | None) -> None:
    """Raises `UsageMistake` for a number that is no seed."""
    if seed is not None and not 0 <= seed < 2**64:
        raise UsageMistake(f"--seed {seed} is no seed", remedy="give a whole number from 0 to 2**64 - 1")


def _pairs(texts: Sequence[str], option: str, form: str) -> dict[str, str]:
    found = {}
    for text in texts:
        role, equals, value = text.partition("=")
        if not (role and equals and value):
            raise UsageMistake(f"{option} {text!r} names no role", remedy=f"write {form}")
        found[role] = value
    return found
