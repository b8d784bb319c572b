"""Cordée's own processes as children, kept alive.

A service that dies is started again, as compose would do, and said so; one that dies five times
stops the whole.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from ops.embedded import Child, ServerError, start
from storage.settings import Settings

RESTARTS_MAX = 5


@dataclass(slots=True)
class Services:
    """The running children, by their names, with what is needed to start them again."""

    settings: Settings
    folder: Path
    children: dict[str, Child] = field(default_factory=dict)
    commands: dict[str, tuple[str, ...]] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    #: By service, its own user of the broker and password; without, the settings'.
    logins: dict[str, tuple[str, str]] = field(default_factory=dict)

    def start(self, name: str, *arguments: str) -> None:
        """Start `cordee NAME ARGUMENTS` with these settings; its output goes to NAME.log."""
        self.commands[name] = arguments
        self.children[name] = start(
            name,
            [sys.executable, "-m", "ops.cli", name, *arguments],
            self.folder / f"{name}.log",
            environment=environment(self.settings) | self._login(name),
        )
        (self.folder / f"{name}.pid").write_text(f"{self.children[name].process.pid}\n")

    def _login(self, name: str) -> dict[str, str]:
        if name not in self.logins:
            return {}
        user, password = self.logins[name]
        return {"CORDEE_BROKER_USER": user, "CORDEE_BROKER_PASSWORD": password}

    def keep_alive(self) -> None:
        """Start what has died again.

        Raises:
            ServerError: One service died too often; the message ends with the end of its log.
        """
        for name, child in list(self.children.items()):
            if child.process.poll() is None:
                continue
            self.restarts[name] = self.restarts.get(name, 0) + 1
            if self.restarts[name] > RESTARTS_MAX:
                raise ServerError(f"{name} died {RESTARTS_MAX} times.\n{child.last_words()}")
            self.start(name, *self.commands[name])

    def stop(self, name: str) -> None:
        """Stop one service; it finishes what it has in hand."""
        self.children.pop(name).stop()
        (self.folder / f"{name}.pid").unlink(missing_ok=True)

    def stop_all(self) -> None:
        """Stop every service, the last started first."""
        for name in reversed(list(self.children)):
            self.stop(name)


def environment(settings: Settings) -> dict[str, str]:
    """Return settings as the environment variables that a child reads them from."""
    return {f"CORDEE_{name.upper()}": str(value) for name, value in settings.model_dump().items()}
