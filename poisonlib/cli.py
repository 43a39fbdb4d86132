"""``python -m poisonlib``: what there is, what it costs, run it, and read the results."""

import argparse
import json
import os
import sys

import argcomplete

from . import __version__
from .commands import benchmark, ledger, work


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 it failed, 2 refused before anything ran."""
    arguments = _parsed(argv)
    _find_own_modules()
    try:
        status = arguments.verb(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # who reads the output has read enough, as ``head`` does; Python would complain again when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (LookupError, ValueError, TypeError, OSError, ImportError, FloatingPointError) as error:
        print(f"poisonlib: {error.args[0] if isinstance(error, KeyError) and error.args else error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\npoisonlib: stopped; what has finished is recorded, the same command goes on from there", file=sys.stderr)
        return 1


def _find_own_modules() -> None:
    """Let modules of the user's own be imported from the working folder, as ``python -m poisonlib`` does by itself."""
    if not sys.flags.safe_path and not {"", os.getcwd()} & {*sys.path}:
        sys.path.append(os.getcwd())


def _parsed(argv: list[str] | None) -> argparse.Namespace:
    """The arguments; notebooks and values may stand after options, too, which argparse alone does not allow."""
    parser = _parser()
    argcomplete.autocomplete(parser)
    arguments, rest = parser.parse_known_args(argv)
    if rest and not ("words" in arguments and not any(text.startswith("-") for text in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        arguments.words += rest
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="poisonlib", description=__doc__)
    parser.add_argument("--version", action="version", version=f"poisonlib {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    what = "notebooks with their parameters; attacks, defences, data sets, models"
    _with_json(verbs.add_parser("list", help=what)).set_defaults(verb=_list)
    for group in (work, ledger, benchmark):
        group.add(verbs)
    verbs.add_parser("report", help="write a static HTML index of every figure, table and verdict").set_defaults(verb=_report)
    lab = verbs.add_parser("lab", help="open JupyterLab on copies of the notebooks, so that the originals stay as they are")
    lab.set_defaults(verb=_lab)
    what = "say what device, data sets and optional packages are here"
    _with_json(verbs.add_parser("doctor", help=what)).set_defaults(verb=_doctor)
    return parser


def _with_json(verb: argparse.ArgumentParser) -> argparse.ArgumentParser:
    verb.add_argument("--json", action="store_true", help="print it as JSON, for programs")
    return verb


def _list(arguments) -> int:
    from . import listing

    return _show(arguments, listing.facts(), listing.lines)


def _show(arguments, facts, lines) -> int:
    """Print facts for programs, or the lines that say them to a reader."""
    print(json.dumps(facts, indent=1, ensure_ascii=False) if arguments.json else "\n".join(lines(facts)))
    return 0


def _report(_) -> int:
    from .report import write

    print(write())
    return 0


def _lab(_) -> int:
    from . import lab

    folder, kept = lab.copies()
    print(f"{folder}: copies of the notebooks" + (f"; yours are kept: {', '.join(kept)}" if kept else ""), flush=True)
    return lab.start(folder)


def _doctor(arguments) -> int:
    from . import doctor

    return _show(arguments, doctor.facts(), doctor.lines)
