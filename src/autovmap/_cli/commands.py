"""The command line: `python -m autovmap COMMAND`.

A command is a row of `COMMANDS`: its name and help, a function that adds its options, and one
that runs it and returns the exit code. What it needs is imported when it runs, so that `--help`
needs nothing.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from autovmap._cli import explain

DONE, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130
EXIT_CODES = """\
exit codes:
  0    done
  1    failed: the message on stderr says at what
  2    the command line was wrong
  130  interrupted
"""


@dataclass(frozen=True)
class Command:
    """One subcommand."""

    name: str
    help: str
    description: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: what stands after `python -m autovmap`; None: what this process was given.

    Raises:
        SystemExit: with 0 after `--help` and `--version`, with 2 for a wrong command line.
    """
    options = build_parser().parse_args(arguments)
    try:
        return options.run(options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `... | head`: nobody reads on, which is no failure
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:
        print(f"autovmap: {error}", file=sys.stderr)
        return FAILED


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    from autovmap import __version__

    parser = argparse.ArgumentParser(
        prog="python -m autovmap",
        description="Declare base ranks once, call with any batch: a library for JAX.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"autovmap {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        subparser = commands.add_parser(
            command.name,
            help=command.help,
            description=command.description,
            epilog=EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_options(subparser)
        subparser.set_defaults(run=command.run)
    return parser


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """An option's type: a whole number from `low` to `high`.

    >>> whole_number(1, 10)("7")
    7
    """

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"{number} is not between {low} and {high}")
        return number

    return parse


def _add_demo_options(parser: argparse.ArgumentParser) -> None:
    picture = parser.add_mutually_exclusive_group()
    picture.add_argument(
        "--out",
        type=explain.out_file(".png", ".svg", ".pdf"),
        default=Path("nile.png"),
        metavar="FILE.png",
        help="the picture, or .svg or .pdf (default: %(default)s)",
    )
    picture.add_argument(
        "--no-picture", action="store_const", const=None, dest="out", help="draw no picture"
    )
    parser.add_argument(
        "--grid",
        type=whole_number(10, 2_000),
        default=200,
        metavar="N",
        help="try N by N variances (default: %(default)s)",
    )
    parser.add_argument(
        "--series",
        type=whole_number(1, 10_000),
        default=1_000,
        metavar="N",
        help="draw N series from the model (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=whole_number(0, 2**31 - 1),
        default=0,
        metavar="N",
        help="draw others (default: %(default)s)",
    )


def _run_demo(options: argparse.Namespace) -> int:
    from autovmap._demo.run import Settings, run_demo

    run_demo(Settings(options.grid, options.series, options.seed, options.out))
    return DONE


COMMANDS = (
    Command(
        name="demo",
        help="maximum likelihood for the Nile's flow, on a grid and on bootstrap series",
        description=(
            "A Kalman filter's log-likelihood, written for one series and two variances,\n"
            "called for the flow of the Nile at Aswan on a grid of variances, and for many\n"
            "bootstrap series at once. It prints the calls' plans, their time against a\n"
            "Python loop and the most likely variances, and draws a picture if matplotlib\n"
            "is installed. It takes about ten seconds."
        ),
        add_options=_add_demo_options,
        run=_run_demo,
    ),
    Command(
        name="explain",
        help="what a call would do with arrays of these shapes",
        description=explain.DESCRIPTION,
        add_options=explain.add_options,
        run=explain.run,
    ),
)
