"""`cordee api`."""

import click

from api.serve import serve
from ops.commands.running import log_json
from storage.settings import Settings


@click.command()
def api() -> None:
    """Serve the API and the page."""
    settings = Settings()
    log_json()
    serve(settings)
