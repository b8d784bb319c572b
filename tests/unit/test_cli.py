import subprocess
import sys

import click
import pytest

from ops.cli import COMMANDS, main

CONTEXT = click.Context(main)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_subcommand_is_where_the_table_says_and_tells_what_it_is_for(name: str) -> None:
    command = main.get_command(CONTEXT, name)
    assert command is not None
    assert command.name == name
    assert command.get_short_help_str()


@pytest.mark.parametrize(
    ("service", "needless"),
    [
        ("ingest", ("fastapi", "ortools", "simulators", "authlib", "yoyo")),
        ("relay", ("fastapi", "ortools", "simulators", "shapely", "yoyo")),
        ("api", ("paho", "simulators", "ops.demo", "ortools", "pandas", "yoyo")),
        ("fleet", ("geofence", "stock_tracker", "shapely", "fastapi", "yoyo")),
        ("demo", ("fastapi", "ortools", "ops.imports", "shapely", "yoyo")),
    ],
)
def test_a_service_that_is_started_again_imports_only_what_it_runs_on(
    service: str, needless: tuple[str, ...]
) -> None:
    loaded = subprocess.run(
        [
            *(sys.executable, "-c"),
            f"import sys; from ops.commands import {service}; print(*sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert set(needless).isdisjoint(loaded)


def test_an_unknown_subcommand_is_refused_with_the_way_to_the_list() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "ops.cli", "nonsense"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert "No such command 'nonsense'" in ran.stderr
    assert "--help" in ran.stderr
