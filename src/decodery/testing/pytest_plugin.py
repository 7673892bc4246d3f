"""What decodery adds to pytest: `--decodery-conformance PLUGIN`, the fixture `decodery_host`, and the number of checks
that ran. Loaded whenever pytest starts where decodery is installed, so it imports nothing until it is asked to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..host.registry import Host

MARK = "decodery_check"
_OPTION = "--decodery-conformance"
_INI = {
    "decodery_expected_failures": "check or name.check, a colon, and why it may fail (the latter must)",
    "decodery_samples": 'name, a colon, and parameters to try, as JSON: {"a": 0.2}',
    "decodery_neutral": "name, a colon, and the parameters at which it does nothing, as JSON",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("decodery").addoption(
        _OPTION,
        action="append",
        default=[],
        metavar="PLUGIN",
        help="try every claim of an installed decodery plugin; without paths, nothing else is run",
    )
    for name, words in _INI.items():
        parser.addini(name, f"for {_OPTION}: {words}", type="linelist", default=[])


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption(_OPTION) and config.args_source is not config.ArgsSource.ARGS:
        config.args[:] = []


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    if config.getoption(_OPTION):
        from .collecting import conformance_items  # noqa: PLC0415 (lazy: torch)

        settings = {name: config.getini(name) for name in _INI}
        for plugin in config.getoption(_OPTION):
            items += conformance_items(session, plugin, settings)
    for item in items:
        spec = _checked_spec(item)
        if spec is not None:
            # A property and not an attribute: it reaches the reports of other processes (xdist) too.
            item.user_properties.append((MARK, (_package(spec), spec.name)))


def _checked_spec(item: pytest.Item) -> Any:
    """The spec of a case of `parametrize_with_checks`, or of `--decodery-conformance`."""
    params = getattr(getattr(item, "callspec", None), "params", vars(item))
    check = params.get("check")
    return params.get("spec") if type(check).__module__ == f"{__package__}.conformance" else None


def _package(spec: Any) -> str:
    """Whose record it is, by the module that its factory, or its parameters, are in."""
    factory = getattr(spec, "factory", None) or getattr(spec, "path", "")
    home = factory if isinstance(factory, str) else getattr(factory, "__module__", "")
    return home.partition(":")[0].partition(".")[0].replace("_", "-")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    ran: Counter[tuple[str, str]] = Counter()
    for outcome in ("passed", "failed", "xfailed", "xpassed"):
        for report in terminalreporter.getreports(outcome):
            if report.when == "call":
                ran.update(tuple(value) for name, value in report.user_properties if name == MARK)
    packages = list(dict.fromkeys(package for package, _ in ran))
    for package in packages:
        own = {name: count for (whose, name), count in ran.items() if whose == package}
        # Nobody has to be told whose they are where all are the tester's own.
        whose = f" of {package}" if len(packages) > 1 else ""
        each = ", ".join(f"{name} {count}" for name, count in own.items())
        terminalreporter.write_line(
            f"decodery: {sum(own.values())} checks of {len(own)} records{whose} ran: {each}"
        )


@pytest.fixture
def decodery_host(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Host]:
    """`decodery.testing.isolated_host`; and for the time of the test no installed plugin is seen by anyone else."""
    from .hosts import isolated_host  # noqa: PLC0415 (lazy: start-up of pytest)

    monkeypatch.setenv("DECODERY_PLUGINS", "")
    return isolated_host
