"""``python -m poisonlib``: what there is, what it costs, run it, and read the results."""

import argparse
import sys

from . import notebooks


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 it failed, 2 refused before anything ran."""
    arguments = _parsed(argv)
    try:
        return arguments.verb(arguments)
    except (LookupError, ValueError, TypeError, FileNotFoundError) as error:
        print(f"poisonlib: {error.args[0] if error.args else error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\npoisonlib: stopped; what has finished is recorded, the same command goes on from there", file=sys.stderr)
        return 1


def _parsed(argv: list[str] | None) -> argparse.Namespace:
    """The arguments; values such as ``trials=3`` may stand after options, too, which argparse alone does not allow."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if rest and not ("values" in arguments and all("=" in text and text[0] != "-" for text in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        arguments.values += rest
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m poisonlib", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    verbs.add_parser("list", help="notebooks with their parameters; attacks, defences, data sets, models").set_defaults(verb=_list)
    work = ("plan", _plan, "what a notebook's trials would cost"), ("run", _run, "run a notebook, or all of them")
    for name, verb, what in work:
        one = verbs.add_parser(name, help=what)
        one.add_argument("notebook", help="a notebook's name, or all")
        one.add_argument("values", nargs="*", metavar="name=value", help="parameters; see list")
        one.add_argument("--profile", help="short for profile=...")
        one.add_argument(
            "--again", action="store_true", help="short for again=True: repeat trials recorded with other code or data"
        )
        one.set_defaults(verb=verb)
    ledger = verbs.add_parser("ledger", help="look after the records").add_subparsers(required=True, metavar="COMMAND")
    upgrade = ledger.add_parser("upgrade", help="rewrite records of older versions under today's names")
    upgrade.add_argument("folder", nargs="?", help="the records' folder, by default trials/ in the output folder")
    upgrade.set_defaults(verb=_upgrade)
    verbs.add_parser("report", help="write a static HTML index of every figure, table and verdict").set_defaults(verb=_report)
    verbs.add_parser("doctor", help="say what device, data sets and optional packages are here").set_defaults(verb=_doctor)
    return parser


def _given(arguments) -> dict[str, str]:
    given, short = {}, [f"profile={arguments.profile}"] * bool(arguments.profile) + ["again=True"] * arguments.again
    for text in [*arguments.values, *short]:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"{text!r}: write name=value")
        given[name] = value
    return given


def _chosen(arguments) -> list[tuple[str, dict]]:
    """The notebooks and their parameter values, all checked. With ``all``, a parameter goes to the notebooks that have it."""
    given = _given(arguments)
    if arguments.notebook != "all":
        name = notebooks.path(arguments.notebook).stem
        return [(name, notebooks.read_parameters(name, given))]
    every = {name: notebooks.parameters(name) for name in notebooks.names()}
    if unknown := sorted(set(given) - {key for known in every.values() for key in known}):
        raise LookupError(f"no notebook has a parameter {', '.join(unknown)}")
    theirs = {name: {k: v for k, v in given.items() if k in known} for name, known in every.items()}
    return [(name, notebooks.read_parameters(name, values)) for name, values in theirs.items()]


def _list(_) -> int:
    from . import attacks, augment, data, experiments, filters, models, steps, training

    for name in notebooks.names():
        print(f"{name}\n    {notebooks.title(name)}")
        for each in notebooks.parameters(name).values():
            print(f"      {each.name}={each.default!r}  {each.help}")
    for room in (data, models, attacks, augment, filters, steps):
        print(f"{room.__name__.rpartition('.')[2]}: {', '.join(room.names())}")
    print("classes of your own: by their import path, such as my_package.my_module.MyAugment(k=3)")
    print(f"recipes: {', '.join(training.names())}")
    for scenario in experiments.scenarios():
        print(f"profiles of {scenario}: {', '.join(experiments.profiles(scenario))}")
    return 0


def _plan(arguments) -> int:
    from . import experiments

    for name, values in _chosen(arguments):
        if trials := notebooks.trials(name, values):
            how = {key: values[key] for key in ("device", "again") if key in values}
            print(f"{name}: {experiments.plan(trials, **how)}")
            print(_power(len({trial.seed for trial in trials})))
    return 0


def _power(trials: int) -> str:
    """What so many trials a cell can show, for hits and misses at 80 % power."""
    from .papers import power

    seen = [(start, power.detectable(start, trials)) for start in (0.9, 0.45)]
    drops = [f"{start:.0%} to {'none' if least is None else f'{least:.0%}'}" for start, least in seen]
    wanted = power.trials_for_equivalence(0.45, 0.10)
    return f"    {trials} trials a cell tell a drop from {' or from '.join(drops)}; agreement within 10 points takes {wanted}"


def _run(arguments) -> int:
    import papermill

    failed = []
    for name, values in _chosen(arguments):
        print(f"{name} {' '.join(f'{k}={v}' for k, v in values.items())}", flush=True)
        try:
            print(f"    -> {notebooks.execute(name, values)}", flush=True)
        except papermill.PapermillExecutionError as error:
            print(f"    failed in cell {error.exec_count}: {error.ename}: {error.evalue}", file=sys.stderr)
            failed.append(name)
    if failed:
        print(f"poisonlib: {len(failed)} failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _report(_) -> int:
    from .report import write

    print(write())
    return 0


def _upgrade(arguments) -> int:
    from .experiments import Ledger

    ledger = Ledger.open(arguments.folder)
    if not ledger.root.is_dir():
        raise FileNotFoundError(f"there is no folder {ledger.root}")
    print(f"{ledger.upgrade()} records rewritten in {ledger.root}")
    return 0


def _doctor(_) -> int:
    from .doctor import lines

    print("\n".join(lines()))
    return 0
