"""`cordee webhook`: the words of `ops/webhooks.py` on the command line."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from api.commands import resend
from ingest.webhooks.rules import TOPICS
from ops import transaction, webhooks
from storage.pool import Connection
from storage.settings import Settings, real_ms

Result = TypeVar("Result")


def _do(work: Callable[[Connection], Awaitable[Result]]) -> Result:
    return transaction.within("cordee-webhook", webhooks.UnusableError, work)


@click.group("webhook")
def webhook() -> None:
    """Tell others of orders, alerts and visit reports by signed HTTP requests."""


@webhook.command()
@click.argument("url")
@click.option("--of", "kinds", type=click.Choice(list(TOPICS)), multiple=True, help="Default: all.")
@click.option("--organisation", default="default", show_default=True)
def add(url: str, kinds: tuple[str, ...], organisation: str) -> None:
    """Post to URL from now on. The secret that signs what is sent is shown this once."""
    allow_private = Settings().webhook_allow_private
    webhook_id, secret = _do(
        lambda conn: webhooks.add(conn, url, kinds, organisation, allow_private=allow_private)
    )
    click.echo(f"webhook {webhook_id}\nsecret {secret}")


@webhook.command("list")
def list_() -> None:
    """List all webhooks, with what waits for them and what has been given up."""
    for one in _do(webhooks.listed):
        click.echo(one.in_words())


@webhook.command()
@click.argument("webhook_id", type=int)
def remove(webhook_id: int) -> None:
    """Remove a webhook with its deliveries."""
    undelivered = _do(lambda conn: webhooks.remove(conn, webhook_id))
    click.echo(f"removed; {undelivered} undelivered messages with it")


@webhook.command()
@click.argument("webhook_id", type=int)
@click.option(
    "--hours",
    type=click.FloatRange(0, 24 * 31),
    default=24.0,
    show_default=True,
    help="How long the old secret signs too; 0 if it is in wrong hands.",
)
def rotate(webhook_id: int, hours: float) -> None:
    """Replace a webhook's secret. The new one is shown this once."""
    secret = _do(lambda conn: webhooks.rotate(conn, webhook_id, hours, real_ms()))
    click.echo(f"secret {secret}")


@webhook.command()
@click.argument("webhook_id", type=int)
@click.argument("state", type=click.Choice(["on", "off"]))
def switch(webhook_id: int, state: str) -> None:
    """Switch a webhook on or off. While it is off nothing is kept for it."""
    _do(lambda conn: webhooks.switch(conn, webhook_id, on=state == "on", now=real_ms()))


@webhook.command("resend")
@click.argument("delivery_id", type=int, required=False)
@click.option("--webhook", "webhook_id", type=int, help="All that is dead of one webhook.")
def resend_(delivery_id: int | None, webhook_id: int | None) -> None:
    """Send a dead delivery again, or all of a webhook, from the first attempt on."""
    if (delivery_id is None) == (webhook_id is None):
        raise click.UsageError("name a delivery, or a webhook by --webhook")
    again = _do(lambda conn: resend(conn, delivery_id=delivery_id, webhook_id=webhook_id))
    if not again:
        raise click.ClickException("nothing there is dead, or the webhook is off")
    click.echo(f"{again} will be sent again")
