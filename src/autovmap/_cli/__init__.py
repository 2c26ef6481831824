"""The command line: `python -m autovmap`."""

from autovmap._cli.commands import main as main
