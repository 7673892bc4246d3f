"""`requires:`: the packages, with their versions, that a recipe was written for."""

from __future__ import annotations

import importlib.metadata

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion

from ...host.selection import normalise
from ..report import Problems
from ..syntax.nodes import Node, ScalarNode, SequenceNode, is_refused

_LONGEST = 200
_EXAMPLE = 'write a package and its versions, for example "acme-decode>=0.3,<1"'


def required(node: Node, problems: Problems) -> tuple[tuple[str, ...], set[str]]:
    """(the requirements, the normalised names of those that are not installed); what is not met is reported."""
    if isinstance(node, ScalarNode) and node.value is None and not node.refused:
        return (), set()
    if not isinstance(node, SequenceNode):
        if not is_refused(node):
            problems.add(node.span, "requires", "requires is a list", f"write ['{_text(node)}']", "requires")
        return (), set()
    found: list[str] = []
    absent: set[str] = set()
    for index, item in enumerate(node.items):
        if problems.full:
            break
        path = f"requires[{index}]"
        requirement = _requirement(item, path, problems)
        if requirement is not None:
            if str(requirement) not in found:
                found.append(str(requirement))
            if not _is_met(requirement, item, path, problems):
                absent.add(normalise(requirement.name))
    return tuple(found), absent


def _requirement(node: Node, path: str, problems: Problems) -> Requirement | None:
    if is_refused(node):
        return None
    text = node.value if isinstance(node, ScalarNode) else None
    try:
        if not isinstance(text, str) or len(text) > _LONGEST:
            raise InvalidRequirement("it is no text of a reasonable length")
        requirement = Requirement(text)
    except InvalidRequirement:
        problems.add(node.span, "requires", "this names no package and its versions", _EXAMPLE, path)
        return None
    # "===" takes any text, quotes included, which the pip line of the remedy must not hold.
    arbitrary = any(part.operator == "===" for part in requirement.specifier)
    if requirement.url or requirement.marker or requirement.extras or arbitrary:
        message = "a recipe requires a package by name and versions, without addresses, extras and conditions"
        problems.add(node.span, "requires", message, _EXAMPLE, path)
        return None
    return requirement


def _is_met(requirement: Requirement, node: Node, path: str, problems: Problems) -> bool:
    """Reports what is not; False where the package is not there at all."""
    try:
        version = str(importlib.metadata.version(requirement.name))
    except importlib.metadata.PackageNotFoundError:
        message = f"{requirement.name} is not installed"
        problems.add(node.span, "requires", message, f"pip install '{requirement}'", path)
        return False
    try:
        good = requirement.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        good = False
    if not good:
        message = f"{requirement.name} {version} is installed; the recipe needs {requirement.specifier}"
        problems.add(node.span, "requires", message, f"pip install -U '{requirement}'", path)
    return True


def _text(node: Node) -> str:
    return node.text[:60] if isinstance(node, ScalarNode) else "acme-decode>=0.3"
