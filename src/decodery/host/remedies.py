"""What would mend a broken plugin: the line for pip where there is one, else whom to ask and how to go on without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from .. import __version__
from .loader import LoadedPlugin, PluginInfo
from .selection import normalise


@dataclass(frozen=True, slots=True)
class Unmet:
    """A requirement of a plugin that what is installed does not meet. `installed` is "" where nothing is."""

    requirement: str
    installed: str = ""

    def __str__(self) -> str:
        found = f"{self.installed} is installed" if self.installed else "not installed"
        return f"{self.requirement} ({found})"


def unmet(info: PluginInfo) -> list[Unmet]:
    """What the plugin's own metadata asks for and this environment lacks; extras are not asked for."""
    return list(_unmet(info.requires))


def _unmet(requirements: Sequence[str]) -> Iterator[Unmet]:
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415 (lazy: `plugins list`)

    for text in requirements:
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            yield Unmet(text, "no requirement that pip can read; nothing of the kind")
            continue
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        plain = f"{wanted.name}{wanted.specifier}"
        try:
            # Our own is the code that runs, whatever an old record beside it says.
            found = __version__ if normalise(wanted.name) == "decodery" else version(wanted.name)
        except PackageNotFoundError:
            yield Unmet(plain)
            continue
        if not wanted.specifier.contains(found, prereleases=True):
            yield Unmet(plain, found)


def remedy(plugin: LoadedPlugin, lacking: Sequence[Unmet]) -> str:
    """One line that says what to do about the plugin's problem, "" where it has none."""
    if lacking:
        return f"pip install {' '.join(_quoted(each.requirement) for each in lacking)}"
    if not plugin.errors:
        return ""
    info, error = plugin.info, plugin.errors[0]
    without = f"'--no-plugin {info.id}' goes on without it"
    missing = (error.name or "") if isinstance(error, ImportError) else ""
    top, own = missing.partition(".")[0], info.module.partition(".")[0].partition(":")[0]
    if top == own:
        return f"its package is incomplete: pip install --force-reinstall {info.id}; {without}"
    if top == "decodery":
        return f"it is written for another decodery than {__version__}: pip install --upgrade {info.id}; {without}"
    if isinstance(error, ModuleNotFoundError) and missing != top and _is_there(top):
        return f"it is written for another version of the package that has {top!r}: ask its author; {without}"
    if isinstance(error, ModuleNotFoundError) and missing:
        return f"{info.id} does not say which package has the module {top!r}: ask its author; {without}"
    return f"pip install --upgrade {info.id}, if there is a newer one than {info.version}; {without}"


def _is_there(module: str) -> bool:
    """Whether a top-level module could be imported; nothing is."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _quoted(requirement: str) -> str:
    return requirement if requirement.replace("-", "").replace("_", "").isalnum() else f"'{requirement}'"
