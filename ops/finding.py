"""What `cordee doctor` says of one thing that it has looked at."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; what is bad says what to do."""

    is_bad: bool
    text: str

    @property
    def mark(self) -> str:
        """A word before the text, for eyes and for grep."""
        return "BAD" if self.is_bad else "ok "
