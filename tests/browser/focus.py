"""Going through a page with the keys alone, and what can be seen of the focus meanwhile."""

from pathlib import Path
from typing import Final, Literal

from playwright.sync_api import Locator, Page

SCRIPT: Final = Path(__file__).with_suffix(".js")
#: More than any page of the tests has to be gone through.
STEPS_MAX: Final = 300
#: A page that got another size knows how high the line on top is when a frame has been drawn.
DRAWN: Final = "() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))"


def round_trip(page: Page, key: Literal["Tab", "Shift+Tab"]) -> list[str]:
    """Press a key until the focus has gone round; return what is wrong with the way.

    The focus has to be seen wherever it comes to (WCAG 2.4.7), with nothing over it (2.4.11), and has to come to
    everything that can have it and away from it again (2.1.1, 2.1.2).
    """
    page.evaluate(DRAWN)
    page.evaluate(SCRIPT.read_text(encoding="utf-8"))
    page.evaluate("focusSeen.begin()")
    faults: list[str] = []
    for _ in range(STEPS_MAX):
        page.keyboard.press(key)
        seen = page.evaluate("focusSeen.look()")
        faults += seen["faults"]
        if seen["over"]:
            break
    else:
        faults.append(f"{STEPS_MAX} times {key}, and not round yet")
    return faults + [f"{name}: never reached" for name in page.evaluate("focusSeen.missed()")]


def reach(target: Locator, key: str = "Tab", steps_max: int = STEPS_MAX) -> None:
    """Press a key until something has the focus."""
    for _ in range(steps_max):
        if target.count() and target.evaluate("it => it === document.activeElement"):
            return
        target.page.keyboard.press(key)
    msg = f"{steps_max} times {key} never came to {target}"
    raise AssertionError(msg)
