"""What `-m` names: a function, a directory, or an installed model. Never the network."""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..contracts.errors import (
    AmbiguousName,
    DecoderyError,
    ModelError,
    PluginError,
    UnknownName,
)
from ..contracts.specs import ModelSpec, resolve
from ..host.registry import Host
from .messages import DEBUG, first_line

_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*\Z")
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "spiece.model",
    "vocab.json",
    "vocab.txt",
)
_KINDS = "a transformers directory, package.module:function, or the name of an installed model"


def load_model(name: str, host: Host) -> tuple[object, object | None]:
    """`name` -> (model, its tokenizer or None). Raises `UnknownName`, `ModelError` or `PluginError`."""
    if name and Path(name).is_dir():
        return _from_directory(Path(name))
    if ":" in name:
        return _split(called(named_by("-m", name), f"-m {name!r}"), f"-m {name!r}")
    if name.startswith((".", "~", os.sep)) or Path(name).exists():
        raise UnknownName(f"-m {name!r} is no directory", remedy=f"-m takes {_KINDS}")
    qualified, spec = _registered(name, host)
    owner = f"model {qualified!r}"
    return _split(called(resolve(spec.factory, owner), owner), owner)


def names_of_models(host: Host) -> list[str]:
    """The registered models, the shortest way of writing each."""
    names = [qualified for qualified, _ in host.all(ModelSpec)]
    bare = [name.rpartition("/")[2] for name in names]
    return [short if bare.count(short) == 1 else name for name, short in zip(names, bare, strict=True)]


def check_device(name: str | None) -> None:
    """Raises `InvalidInput` for a device that torch does not know or cannot reach here."""
    from ..engine.io.arguments import as_device  # noqa: PLC0415 (lazy: start-up)

    if name is not None:
        as_device(name)


# -- package.module:function -----------------------------------------------------------------------


def named_by(option: str, name: str) -> object:
    """What "package.module:attribute" names; the current directory is looked at first."""
    if not _TARGET.match(name) or ".py:" in name:
        raise UnknownName(
            f"{option} {name!r} is not of the form package.module:function",
            remedy="dots instead of slashes, no .py: my_models.tiny:load",
        )
    module_name, _, attribute = name.partition(":")
    with contextlib.suppress(OSError):  # a directory that somebody has removed meanwhile
        here = os.getcwd()
        if here not in sys.path:
            sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        target: object = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and f"{module_name}.".startswith(f"{error.name}."):
            raise UnknownName(
                f"{option} {name!r}: there is no module {error.name!r}",
                remedy="it is looked for in the current directory, then where pip installs",
            ) from error
        raise _failed(f"{option} {name!r}: importing {module_name!r}", error) from error
    except (Exception, SystemExit) as error:
        raise _failed(f"{option} {name!r}: importing {module_name!r}", error) from error
    for part in attribute.split("."):
        if not hasattr(target, part):
            public = [n for n, value in vars(target).items() if callable(value) and not n.startswith("_")]
            raise UnknownName(
                f"{option} {name!r}: {module_name!r} has no {part!r}",
                remedy=f"it has: {', '.join(sorted(public)[:12]) or 'nothing to call'}",
            )
        target = getattr(target, part)
    return target


def called(target: object, place: str) -> object:
    """Functions and classes are called; anything else (an `nn.Module`, say) is the thing itself."""
    if not (inspect.isroutine(target) or inspect.isclass(target) or isinstance(target, functools.partial)):
        return target
    try:
        inspect.signature(target).bind()
    except TypeError as error:
        raise ModelError(
            f"{place} cannot be called without arguments: {error}",
            remedy="name a function that takes none and returns the model",
        ) from error
    except ValueError:
        pass  # some builtins have no signature; the call itself will tell
    return attempt(place, target)


def _split(value: object, place: str) -> tuple[object, object | None]:
    model, tokenizer = value if isinstance(value, tuple) and len(value) == 2 else (value, None)
    if model is None or isinstance(model, (str, bytes, int, float, dict, list, tuple, type)):
        shown = f"the class {model.__name__}" if isinstance(model, type) else f"a {type(model).__name__}"
        raise ModelError(
            f"{place} gives {shown}, not a model",
            remedy="it must return a model, or a pair (model, tokenizer)",
        )
    return model, tokenizer


# -- registered names ------------------------------------------------------------------------------


def _registered(name: str, host: Host) -> tuple[str, ModelSpec]:
    try:
        return host.model(name)
    except AmbiguousName:
        raise
    except UnknownName as error:
        # A name with a slash is likelier one of a model hub than of a plugin, so no advice to pip install it.
        reason = f": {error.message}" if "/" in name else ""
        raise UnknownName(f"unknown model {name!r}{reason}", remedy=_other_names(name, host)) from error


def _other_names(name: str, host: Host) -> str:
    """What to write instead of an unknown name."""
    installed = host.installed()
    if name == "demo" and all(info.id != "decodery-demo" for info in installed):
        return "pip install decodery-demo"
    known = names_of_models(host)
    parts = [f"did you mean {close!r}?" for close in difflib.get_close_matches(name, known, n=1)]
    parts.append(f"-m takes {_KINDS}; nothing is downloaded")
    parts.append(f"installed models: {', '.join(known) or 'none (pip install decodery-demo gives one)'}")
    disabled = [info.id for info in installed if not info.enabled]
    if disabled:
        parts.append(f"switched off by DECODERY_PLUGINS: {', '.join(disabled)}")
    broken = [info.id for info in installed if info.enabled and host.load(info).problem]
    if broken:
        parts.append(f"broken plugins: {', '.join(broken)} (see 'decodery plugins doctor')")
    return "; ".join(parts)


# -- transformers ----------------------------------------------------------------------------------

# Code that lies in a model directory is never run; `package.module:function` is the way to run one's own.
LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


def _from_directory(path: Path) -> tuple[object, object | None]:
    place = f"-m {str(path)!r}"
    if not (path / "config.json").is_file():
        raise ModelError(
            f"{place} is a directory without config.json",
            remedy="transformers writes one with save_pretrained; for a model of your own "
            "use -m package.module:function",
        )
    hf = transformers_offline()
    model = attempt(
        place, lambda: hf.AutoModelForCausalLM.from_pretrained(str(path), dtype="auto", **LOCAL).eval()
    )
    tokenizer = None
    if any((path / file).is_file() for file in TOKENIZER_FILES):
        tokenizer = attempt(
            f"the tokenizer of {place}", lambda: hf.AutoTokenizer.from_pretrained(str(path), **LOCAL)
        )
    return model, tokenizer


def transformers_offline() -> Any:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import transformers  # noqa: PLC0415 (lazy: 2 s of start-up)

    if "TRANSFORMERS_VERBOSITY" not in os.environ:
        transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers


# -- errors ----------------------------------------------------------------------------------------


def attempt(place: str, make: Callable[[], object]) -> object:
    """`make()`, whatever somebody else's code raises in it as an error of ours."""
    try:
        return make()
    except DecoderyError:
        raise
    except (Exception, SystemExit) as error:
        raise _failed(f"{place} cannot be loaded", error) from error


def _failed(doing: str, error: BaseException) -> DecoderyError:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return PluginError(
            f"{doing}: it needs the module {error.name!r}, which is not installed",
            remedy=f"install what provides it; {DEBUG}",
        )
    return ModelError(f"{doing}: {type(error).__name__}: {first_line(error)}", remedy=DEBUG)
