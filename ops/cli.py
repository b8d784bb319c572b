"""The `cordee` command: one subcommand a process, and what operators do by hand.

Each subcommand's module is imported when it is asked for, and no other: a service that was killed is
back the sooner. Importing makes hundreds of thousands of objects, none of which becomes garbage: the
collector, which would look at all of them again and again, stands meanwhile, and never looks at them
afterwards. That is a sixth to a fifth of what the API's imports cost (docs/PERFORMANCE.md).
"""

import gc
from importlib import import_module
from typing import Final

import click

#: Each subcommand, and where it is: below `ops.commands`, or wherever a full name says.
COMMANDS: Final = {
    "api": "api:api",
    "backup": "backup:backup",
    "bench": "benchmarks.command:bench",
    "clean": "demo:clean",
    "demo": "demo:demo",
    "docs": "docs:docs",
    "doctor": "health:doctor",
    "health": "health:health",
    "import": "imports:import_",
    "ingest": "ingest:ingest",
    "machine": "people:machine",
    "migrate": "fleet:migrate",
    "person": "person:person",
    "provision": "provision:provision",
    "relay": "relay:relay",
    "replay": "replay:replay",
    "replay-rules": "replay:replay_rules",
    "restore": "backup:restore",
    "retention": "retention:retention",
    "seed": "fleet:seed",
    "simulate": "fleet:simulate",
    "stock": "stock:stock",
    "user": "people:user",
    "verify": "verify:verify",
    "webhook": "webhook:webhook",
}


class Commands(click.Group):
    """The subcommands of `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Name all, in alphabetical order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one; None for a name that is none."""
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name].split(":")
        full = module if "." in module else f"ops.commands.{module}"
        gc.disable()
        try:
            command: click.Command = getattr(import_module(full), name)
        finally:
            gc.enable()
        gc.freeze()
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cordee")
def main() -> None:
    """Keep a maintenance company and its travelling technicians in step."""


if __name__ == "__main__":
    main()
