"""The command `ipmb`. Only this file and the demo know of click and rich, so `import ipmb` does not load them."""

from __future__ import annotations

import sys

import click

import ipmb


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(
    ipmb.version().package,
    prog_name="ipmb",
    message=f"%(prog)s %(version)s, protocol {ipmb.version().protocol}",
)
def main() -> None:
    """A message bus between the processes of this machine."""


@main.command()
@click.option(
    "--seconds",
    type=click.FloatRange(2, 600),
    default=6.0,
    show_default=True,
    help="How long earth and moon talk.",
)
def demo(seconds: float) -> None:
    """Watch two processes talk, and go on talking when the controller is killed."""
    from ipmb.demo import run  # noqa: PLC0415 # rich takes longer to load than the rest of the command

    sys.exit(run(seconds))
