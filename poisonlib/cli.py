"""``python -m poisonlib``: what there is, what it costs, run it, and read the results."""

import argparse
import contextlib
import dataclasses
import json
import sys

import argcomplete

from . import __version__, commands, notebooks
from .selection import select


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 it failed, 2 refused before anything ran."""
    arguments = _parsed(argv)
    try:
        return arguments.verb(arguments)
    except (LookupError, ValueError, TypeError, OSError) as error:
        print(f"poisonlib: {error.args[0] if error.args and not isinstance(error, OSError) else error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\npoisonlib: stopped; what has finished is recorded, the same command goes on from there", file=sys.stderr)
        return 1


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
    for name, verb, what in (("plan", _plan, "what notebooks' trials would cost"), ("run", _run, "run notebooks")):
        one = verbs.add_parser(name, help=what)
        what = "names of notebooks, or all, and values of their parameters; see list"
        given = one.add_argument("words", nargs="+", metavar="NOTEBOOK|name=value", help=what)
        given.completer = _completions
        one.add_argument("--profile", help="short for profile=...; all then means those that have this profile")
        one.add_argument(
            "--again", action="store_true", help="short for again=True: repeat trials recorded with other code or data"
        )
        one.set_defaults(verb=verb)
        if name == "plan":
            _with_json(one).add_argument("--workers", type=int, help="how many workers share the trials: tells the hours on them")
        _add_engine(one)
    _add_hours(one)
    pretrain = verbs.add_parser("pretrain", help="make the feature extractors of transfer learning ahead of the trials")
    pretrain.add_argument("scenario", help="a scenario whose profiles have extractors, such as transfer")
    pretrain.add_argument("--profile", default="quick", help="by default quick")
    pretrain.add_argument("--model", action="append", help="another network than the profile's; may be given several times")
    pretrain.add_argument(
        "--starts", type=int, default=1, help="from how many starts: the victim's and, with 2, that of a grey box"
    )
    pretrain.add_argument("--device", default="auto", help="auto, cpu or cuda")
    pretrain.set_defaults(verb=_pretrain)
    ledger = verbs.add_parser("ledger", help="look after the records").add_subparsers(required=True, metavar="COMMAND")
    upgrade = ledger.add_parser("upgrade", help="rewrite records of older versions under today's names")
    upgrade.add_argument("folder", nargs="?", help="the records' folder, by default trials/ in the output folder")
    upgrade.set_defaults(verb=_upgrade)
    check = ledger.add_parser("check", help="read every record: which are damaged, which have no checksum, which trials failed")
    check.add_argument("folder", nargs="?", help="the records' folder, by default trials/ in the output folder")
    check.set_defaults(verb=_check)
    export = ledger.add_parser("export", help="write one table, a row a record, for other programs")
    export.add_argument("file", metavar="FILE", help="its name, which ends in .csv or .parquet")
    export.add_argument("--of", metavar="FOLDER", help="the records' folder, by default trials/ in the output folder")
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
    commands.add(verbs)
    verbs.add_parser("report", help="write a static HTML index of every figure, table and verdict").set_defaults(verb=_report)
    lab = verbs.add_parser("lab", help="open JupyterLab on copies of the notebooks, so that the originals stay as they are")
    lab.set_defaults(verb=_lab)
    what = "say what device, data sets and optional packages are here"
    _with_json(verbs.add_parser("doctor", help=what)).set_defaults(verb=_doctor)
    return parser


def _with_json(verb: argparse.ArgumentParser) -> argparse.ArgumentParser:
    verb.add_argument("--json", action="store_true", help="print it as JSON, for programs")
    return verb


def _completions(parsed_args, **_) -> list[str]:
    """What a shell offers after ``run`` and ``plan``: notebooks, and the parameters of those that are named already."""
    there = notebooks.names()
    named = [word for word in parsed_args.words or [] if word in there]
    return ["all", *there, *(f"{key}=" for name in named for key in notebooks.parameters(name))]


def _add_engine(verb: argparse.ArgumentParser) -> None:
    what = "processes of this machine, or ray: a cluster, on which the trials of all notebooks are run before the notebooks"
    verb.add_argument("--engine", choices=["processes", "ray"], default="processes", help=what)
    what = "with --engine ray: the cluster's head, HOST:PORT, or auto; by default RAY_ADDRESS or this machine alone"
    verb.add_argument("--address", help=what)
    verb.add_argument("--per-gpu", type=int, default=1, help="with --engine ray: how many trials share a GPU, by default 1")


def _engine(arguments):
    """What ``run(..., engine=...)`` takes."""
    from .experiments.cluster import Ray

    if arguments.engine == "ray":
        return Ray(arguments.address, arguments.per_gpu)
    if arguments.address or arguments.per_gpu != 1:
        raise ValueError("--address and --per-gpu go with --engine ray")
    return arguments.engine


def _add_hours(run: argparse.ArgumentParser) -> None:
    what = "work on the trials of all these notebooks, breadth-first by seed, until so many hours are over; then run the notebooks "
    run.add_argument("--hours", type=float, help=f"{what} whose trials are all recorded. The same command goes on from there")
    what = "with --hours: how many worker processes, by default one a core or GPU; 0 runs in this process"
    run.add_argument("--workers", type=int, help=what)


def _given(arguments) -> dict[str, str]:
    given, short = {}, [f"profile={arguments.profile}"] * bool(arguments.profile) + ["again=True"] * arguments.again
    for text in [*(word for word in arguments.words if "=" in word), *short]:
        name, _, value = text.partition("=")
        given[name] = value
    return given


def _chosen(arguments) -> list[tuple[str, dict]]:
    """The notebooks and their parameter values, all checked; says which of ``all`` are left out."""
    words = [word for word in arguments.words if "=" not in word]
    chosen, skipped = select(words, _given(arguments))
    if skipped:
        print(f"poisonlib: skipped, as they lack this profile: {', '.join(skipped)}", file=sys.stderr)
    return chosen


def _list(arguments) -> int:
    from . import listing

    return _show(arguments, listing.facts(), listing.lines)


def _show(arguments, facts, lines) -> int:
    """Print facts for programs, or the lines that say them to a reader."""
    print(json.dumps(facts, indent=1, ensure_ascii=False) if arguments.json else "\n".join(lines(facts)))
    return 0


def _plan(arguments) -> int:
    from . import experiments

    common, found = {"engine": _engine(arguments), "workers": arguments.workers}, []
    for name, values in _chosen(arguments):
        if trials := notebooks.trials(name, values):
            how = common | {key: values[key] for key in ("device", "again") if key in values}
            planned, a_cell = experiments.plan(trials, **how), len({trial.seed for trial in trials})
            found.append({"notebook": name, "trials a cell": a_cell, **dataclasses.asdict(planned)})
            if not arguments.json:
                print(f"{name}: {planned}\n{_power(a_cell)}", flush=True)
    if arguments.json:
        print(json.dumps(found, indent=1))
    return 0


def _power(trials: int) -> str:
    """What so many trials a cell can show, for hits and misses at 80 % power."""
    from .papers import power

    seen = [(start, power.detectable(start, trials)) for start in (0.9, 0.45)]
    drops = [f"{start:.0%} to {'none' if least is None else f'{least:.0%}'}" for start, least in seen]
    wanted = power.trials_for_equivalence(0.45, 0.10)
    drop = f"{trials} trials a cell tell a drop from {' or from '.join(drops)}"
    return f"    {drop}; agreement within 10 points of a printed rate takes {wanted}"


def _run(arguments) -> int:
    if arguments.hours is not None or _engine(arguments) != "processes":
        return _campaign(arguments)
    if arguments.workers is not None:
        raise ValueError(
            f"--workers {arguments.workers}: goes with --hours or --engine; notebooks choose their number of workers themselves"
        )
    return _execute(_chosen(arguments))


def _execute(chosen: list[tuple[str, dict]]) -> int:
    import papermill

    failed = []
    for place, (name, values) in enumerate(chosen, start=1):
        print(f"[{place}/{len(chosen)}] {name} {' '.join(f'{k}={v}' for k, v in values.items())}", flush=True)
        try:
            print(f"    -> {notebooks.execute(name, values)}", flush=True)
        except papermill.PapermillExecutionError as error:
            print(f"    failed in cell {error.exec_count}: {error.ename}: {error.evalue}", file=sys.stderr)
            failed.append(name)
    if failed:
        print(f"poisonlib: {len(failed)} failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _campaign(arguments) -> int:
    """Work on the trials of all notebooks until the hours are over, then run those notebooks that lack none."""
    from .experiments.campaign import Campaign

    chosen = _chosen(arguments)
    tables = {name: notebooks.trials(name, values) for name, values in chosen}
    how = {key: values[key] for _, values in chosen for key in ("device", "again") if key in values}
    trials = [trial for table in tables.values() for trial in table]
    engine = _engine(arguments)
    campaign = Campaign(trials, arguments.hours, workers=arguments.workers, engine=engine, **how)
    with contextlib.nullcontext() if engine == "processes" else engine.connected():
        print(f"recorded: {campaign.standing()}\n{campaign.outlook()}", flush=True)
        finished, failed = campaign.work()
        print(f"{finished}\nthe same command goes on from here: {campaign.outlook()}", flush=True)
    if failed:
        print(f"poisonlib: {failed}", file=sys.stderr)
    standings = {name: campaign.standing(table) for name, table in tables.items()}
    for name, standing in standings.items():
        if not standing.complete:
            print(f"{name}: {standing}; it is run when all are recorded", flush=True)
    return _execute([(name, values) for name, values in chosen if standings[name].complete]) or int(bool(failed))


def _pretrain(arguments) -> int:
    from . import experiments, models

    profile = experiments.profile(arguments.scenario, arguments.profile)
    if profile.extractor is None:
        raise ValueError(f"the profile {profile.name} of {arguments.scenario} trains from scratch; it has no extractor")
    chosen = [models.load(text) for text in arguments.model or [profile.model]]
    for model in chosen:
        for start in range(arguments.starts):
            extractor = dataclasses.replace(profile.extractor, model=model, seed=start)
            made = experiments.pretrain(extractor, profile.numerics, arguments.device)
            print(f"{made.extractor}: accuracy {made.accuracy:.2%}, digest {made.digest}", flush=True)
    return 0


def _report(_) -> int:
    from .report import write

    print(write())
    return 0


def _check(arguments) -> int:
    from .experiments import Ledger
    from .experiments.inspection import inspect

    ledger = Ledger.open(arguments.folder)
    if not ledger.root.is_dir():
        raise FileNotFoundError(f"there is no folder {ledger.root}")
    found = inspect(ledger)
    print(found)
    return 1 if found.damaged else 0


def _lab(_) -> int:
    from . import lab

    folder, kept = lab.copies()
    print(f"{folder}: copies of the notebooks" + (f"; yours are kept: {', '.join(kept)}" if kept else ""), flush=True)
    return lab.start(folder)


def _upgrade(arguments) -> int:
    from .experiments import Ledger

    ledger = Ledger.open(arguments.folder)
    if not ledger.root.is_dir():
        raise FileNotFoundError(f"there is no folder {ledger.root}")
    print(f"{ledger.upgrade()} records rewritten in {ledger.root}")
    return 0


def _export(arguments) -> int:
    from .experiments import Ledger
    from .experiments.export import export

    ledger = Ledger.open(arguments.of)
    if not ledger.stored:
        raise FileNotFoundError(f"there are no records in {ledger.root}")
    written = export(ledger.sound(), arguments.file)
    print(f"{written} records written to {arguments.file}")
    if left := len(ledger.stored) - written:
        print(f"poisonlib: {left} files in {ledger.root} are no sound records and are left out", file=sys.stderr)
    return 0


def _merge(arguments) -> int:
    from .experiments import Ledger
    from .experiments.ledger import DAMAGED

    source, ledger = Ledger.open(arguments.folder), Ledger.open(arguments.into)
    if not source.root.is_dir():
        raise FileNotFoundError(f"there is no folder {source.root}")
    merge = ledger.merge(source, other_code=arguments.other_code)
    print(f"{ledger.root}: {merge}")
    return 1 if merge.of(DAMAGED) else 0


def _doctor(arguments) -> int:
    from . import doctor

    return _show(arguments, doctor.facts(), doctor.lines)
