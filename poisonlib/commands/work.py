"""The commands ``plan``, ``run`` and ``pretrain`` of ``python -m poisonlib``: what work costs, and to do it."""

import argparse
import contextlib
import dataclasses
import json
import math
import sys
from collections.abc import Iterator

from .. import check, notebooks
from ..selection import select
from ..words import plural


def add(verbs) -> None:
    """Add them to the command line's verbs."""
    for name, verb, what in (("plan", _plan, "what notebooks' trials would cost"), ("run", _run, "run notebooks")):
        one = verbs.add_parser(name, help=what)
        what = "names of notebooks, or all, and values of their parameters; see list"
        one.add_argument("words", nargs="+", metavar="NOTEBOOK|name=value", help=what).completer = _completions
        one.add_argument("--profile", help="short for profile=...; all then means those that have this profile")
        one.add_argument(
            "--again", action="store_true", help="short for again=True: repeat trials recorded with other code or data"
        )
        one.set_defaults(verb=verb)
        _add_engine(one)
    _add_json_and_workers(verbs.choices["plan"])
    _add_hours(verbs.choices["run"])
    _add_pretrain(verbs.add_parser("pretrain", help="make the feature extractors of transfer learning ahead of the trials"))


def _add_json_and_workers(plan: argparse.ArgumentParser) -> None:
    plan.add_argument("--json", action="store_true", help="print it as JSON, for programs")
    plan.add_argument("--workers", type=int, help="how many workers share the trials: tells the hours on them")


def _add_pretrain(pretrain: argparse.ArgumentParser) -> None:
    pretrain.add_argument("scenario", help="a scenario whose profiles have extractors, such as transfer")
    pretrain.add_argument("--profile", default="quick", help="by default quick")
    pretrain.add_argument("--model", action="append", help="another network than the profile's; may be given several times")
    what = "from how many starts: the victim's and, with 2, that of a grey box"
    pretrain.add_argument("--starts", type=int, default=1, help=what)
    what = "make what this attack's networks start from, too, such as the robust extractors of clean_label_backdoor; several times"
    pretrain.add_argument("--attack", action="append", default=[], help=what)
    what = "tell, too, how many of so many test images stay right under 20 steps of projected gradient ascent, of 8/255 or the"
    pretrain.add_argument("--robustness", type=int, default=0, metavar="IMAGES", help=f"{what} eps of the extractor's own training")
    pretrain.add_argument("--device", default="auto", help="auto, cpu or cuda")
    pretrain.set_defaults(verb=_pretrain)


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
    from ..experiments.cluster import Ray

    if arguments.engine == "ray":
        return Ray(arguments.address, arguments.per_gpu)
    if arguments.address or arguments.per_gpu != 1:
        raise ValueError("--address and --per-gpu go with --engine ray")
    return arguments.engine


def _add_hours(run: argparse.ArgumentParser) -> None:
    what = "work on the trials of all these notebooks, a seed of every cell at a time, until so many hours are over; then run the "
    what += "notebooks whose trials are all recorded. The same command goes on from there"
    run.add_argument("--hours", type=float, help=what)
    what = "with --hours: how many worker processes, by default one a core or GPU; 0 runs in this process"
    run.add_argument("--workers", type=int, help=what)


def given(arguments) -> dict[str, str]:
    """The values on a command line, as text."""
    values, short = {}, [f"profile={arguments.profile}"] * bool(arguments.profile) + ["again=True"] * arguments.again
    for text in [*(word for word in arguments.words if "=" in word), *short]:
        name, _, value = text.partition("=")
        if values.setdefault(name, value) != value:
            raise ValueError(f"{name}={value}: {name}={values[name]} is given, too; give one of them")
    return values


def chosen(arguments) -> list[tuple[str, dict]]:
    """The notebooks and their parameter values, all checked; says which of ``all`` are left out."""
    words = [word for word in arguments.words if "=" not in word]
    found, skipped = select(words, given(arguments))
    if skipped:
        print(f"poisonlib: skipped, as they lack this profile: {', '.join(skipped)}", file=sys.stderr)
    return found


def _plan(arguments) -> int:
    from ..experiments.snapshot import snapshot

    with snapshot():  # all plans are of one moment, and read the ledger once
        found = [_planned(arguments, name, values) for name, values in chosen(arguments)]
    if arguments.json:
        print(json.dumps([each for each in found if each], indent=1))
    return 0


def _planned(arguments, name: str, values: dict) -> dict | None:
    """A notebook's plan, which is printed unless it is to be JSON; None for one without trials."""
    from .. import experiments

    if not (trials := notebooks.trials(name, values)):
        return None
    how = {"engine": _engine(arguments), "workers": arguments.workers} | {k: values[k] for k in ("device", "again") if k in values}
    plan, a_cell = experiments.plan(trials, **how), len({trial.seed for trial in trials})
    if not arguments.json:
        print(f"{name}: {plan}\n{_power(a_cell)}", flush=True)
    return {"notebook": name, "trials a cell": a_cell, **dataclasses.asdict(plan)}


def _power(trials: int) -> str:
    """What so many trials a cell can show, for hits and misses at 80 % power and one defence."""
    from ..experiments import rules
    from ..papers import power

    rule = rules()
    seen = {start: power.detectable(start, trials, rule.gate, alpha=rule.level) for start in (0.9, 0.45)}
    drops = [f"from {start:.0%} to {math.floor(100 * least)}%" for start, least in seen.items() if least is not None]
    tell = f"a drop {' or '.join(drops)}" if drops else f"no drop from {max(seen):.0%}"
    wanted = power.trials_for_equivalence(0.45, rule.margin["success"], alpha=rule.level)
    agreement = f"agreement within {100 * rule.margin['success']:g} points of a printed rate takes {wanted}"
    return f"    {plural(trials, 'trial')} a cell tell{'s' * (trials == 1)} {tell}; {agreement}"


def _run(arguments) -> int:
    if arguments.hours is not None or _engine(arguments) != "processes":
        return _campaign(arguments)
    if arguments.workers is not None:
        raise ValueError(
            f"--workers {arguments.workers}: goes with --hours or --engine; notebooks choose their number of workers themselves"
        )
    books = chosen(arguments)
    if lacking := _lacking():
        raise ValueError(f"{lacking}; --hours works on the trials without it")
    return _execute(books)


def _lacking() -> str:
    """What keeps notebooks from being run here, "" where they can be."""
    missing = " and ".join(notebooks.lacking())
    return missing and f"running notebooks needs {missing}, not installed here: pip install -r requirements.txt"


def _execute(books: list[tuple[str, dict]]) -> int:
    import papermill
    from nbclient.exceptions import DeadKernelError

    failed = []
    for place, (name, values) in enumerate(books, start=1):
        print(f"[{place}/{len(books)}] {name} {' '.join(f'{k}={v}' for k, v in values.items())}", flush=True)
        try:
            print(f"    -> {notebooks.execute(name, values)}", flush=True)
        except papermill.PapermillExecutionError as error:
            print(f"    failed in cell {error.exec_count}: {error.ename}: {error.evalue}", file=sys.stderr)
            failed.append(name)
        except DeadKernelError:
            print("    failed: its kernel died; the system ends processes for which memory does not suffice", file=sys.stderr)
            failed.append(name)
    if failed:
        print(f"poisonlib: {len(failed)} failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _campaign(arguments) -> int:
    """Work on the trials of all notebooks until the hours are over, then run those notebooks that lack none."""
    from ..experiments.campaign import Campaign

    books = chosen(arguments)
    tables = {name: notebooks.trials(name, values) for name, values in books}
    how = {key: values[key] for _, values in books for key in ("device", "again") if key in values}
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
    complete = [(name, values) for name, values in books if standings[name].complete]
    if complete and (lacking := _lacking()):
        print(f"poisonlib: {', '.join(name for name, _ in complete)}: all trials are recorded; {lacking}", file=sys.stderr)
        complete = []
    return (_execute(complete) if complete else 0) or int(bool(failed))


def _pretrain(arguments) -> int:
    from .. import experiments

    check.whole("robustness", arguments.robustness, 0)
    profile = experiments.profile(arguments.scenario, arguments.profile)
    if profile.extractor is None:
        raise ValueError(f"the profile {profile.name} of {arguments.scenario} trains from scratch; it has no extractor")
    for extractor in dict.fromkeys(_extractors(arguments, profile)):
        made = experiments.pretrain(extractor, profile.numerics, arguments.device)
        print(f"{made.extractor}: accuracy {made.accuracy:.2%}, digest {made.digest}", flush=True)
        if arguments.robustness:
            print(f"    {_withstands(extractor, profile.numerics, arguments)}", flush=True)
    return 0


def _withstands(extractor, numerics, arguments) -> str:
    """``"under projected gradient ascent (eps 8/255, 20 steps): accuracy 21.30% of 1000 images"``."""
    from ..experiments.robustness import robust_accuracy

    eps = getattr(extractor.step, "eps", 8 / 255)
    share, count = robust_accuracy(extractor, numerics, eps=eps, limit=arguments.robustness, device=arguments.device)
    return f"under projected gradient ascent (eps {255 * eps:.3g}/255, 20 steps): accuracy {share:.2%} of {count} images"


def _extractors(arguments, profile) -> Iterator:
    """Those of each network and start, each followed by those that the attacks want of it."""
    from .. import experiments, models

    for model in [models.load(text) for text in arguments.model or [profile.model]]:
        for start in range(arguments.starts):
            own = dataclasses.replace(profile.extractor, model=model, seed=start).resolved()
            yield own
            how = dict(model=model, extractor=own, trials=1)
            for attack in arguments.attack:
                (trial,) = experiments.grid(arguments.scenario, profile.name, attack=attack, **how)
                yield from trial.extractors
