"""The commands ``ledger upgrade|check|export|merge`` of ``python -m poisonlib``: looking after the records."""

import sys

from ..words import plural


def add(verbs) -> None:
    """Add them to the command line's verbs."""
    ledger = verbs.add_parser("ledger", help="look after the records").add_subparsers(required=True, metavar="COMMAND")
    folder = "the records' folder, by default trials/ in the output folder"
    upgrade = ledger.add_parser("upgrade", help="rewrite records of older versions under today's names")
    upgrade.add_argument("folder", nargs="?", help=folder)
    upgrade.set_defaults(verb=_upgrade)
    check = ledger.add_parser("check", help="read every record: which are damaged, which have no checksum, which trials failed")
    check.add_argument("folder", nargs="?", help=folder)
    check.set_defaults(verb=_check)
    export = ledger.add_parser("export", help="write one table, a row a record, for other programs")
    export.add_argument("file", metavar="FILE", help="its name, which ends in .csv or .parquet")
    export.add_argument("--of", metavar="FOLDER", help=folder)
    export.set_defaults(verb=_export)
    merge = ledger.add_parser(
        "merge",
        help="take over the records of another machine, each of them checked",
        description="Take over the records in a folder, unless a record of the trial is here. Files that are no sound records are "
        "listed, and the exit status is 1; the others are merged all the same.",
    )
    merge.add_argument("folder", help="the other machine's records: trials/ in its output folder")
    merge.add_argument("--into", metavar="FOLDER", help="where to, by default trials/ in the output folder")
    merge.add_argument("--other-code", action="store_true", help="also those recorded with other code or data than is here")
    merge.set_defaults(verb=_merge)


def _opened(folder: str | None):
    """The ledger in a folder. Raises FileNotFoundError where there is none."""
    from ..experiments import Ledger

    ledger = Ledger.open(folder)
    if not ledger.root.is_dir():
        raise FileNotFoundError(f"there is no folder {ledger.root}")
    return ledger


def _upgrade(arguments) -> int:
    ledger = _opened(arguments.folder)
    print(f"{plural(ledger.upgrade(), 'record')} rewritten in {ledger.root}")
    return 0


def _check(arguments) -> int:
    from ..experiments.inspection import inspect

    found = inspect(_opened(arguments.folder))
    print(found)
    return 1 if found.damaged else 0


def _export(arguments) -> int:
    from ..experiments import Ledger
    from ..experiments.export import export

    ledger = Ledger.open(arguments.of)
    if not ledger.stored:
        raise FileNotFoundError(f"there are no records in {ledger.root}")
    written = export(ledger.sound(), arguments.file)
    print(f"{plural(written, 'record')} written to {arguments.file}")
    if left := len(ledger.stored) - written:
        print(f"poisonlib: left out, as they hold no sound record: {plural(left, 'file')} in {ledger.root}", file=sys.stderr)
    return 0


def _merge(arguments) -> int:
    from ..experiments import Ledger
    from ..experiments.ledger import DAMAGED

    source, ledger = _opened(arguments.folder), Ledger.open(arguments.into)
    merge = ledger.merge(source, other_code=arguments.other_code)
    print(f"{ledger.root}: {merge}")
    return 1 if merge.of(DAMAGED) else 0
