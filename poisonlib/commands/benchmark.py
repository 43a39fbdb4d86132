"""The commands ``benchmark`` and ``export`` of ``python -m poisonlib``."""

import argparse
import re
import sys


def add(verbs) -> None:
    """Add both to the command line's verbs."""
    scored = verbs.add_parser(
        "benchmark",
        help="score poisons that anyone crafted for the setups of Just How Toxic",
        description="Check poisons against the benchmark's rules and score them on victims. POISONS holds a folder for each setup, "
        "named by its number, with the public format's three pickles or poisons.safetensors. The exit status is 1 where some were "
        "refused; the others are scored all the same.",
    )
    scored.add_argument("poisons", metavar="POISONS", help="the folder")
    scored.add_argument("--title", help="what the leaderboard calls them, by default the folder's name")
    scored.add_argument("--budget", type=int, default=8, help="largest change of a pixel, in steps of 1/255, by default 8")
    scored.add_argument(
        "--victim", action="append", default=[], help="an architecture other than the profile's; several times for several"
    )
    scored.add_argument("--workers", type=int, help="processes; 0 runs in this one")
    scored.set_defaults(verb=_score)
    exported = verbs.add_parser("export", help="craft poisons for setups and write them as the benchmark's tester wants them")
    exported.add_argument("folder", metavar="FOLDER", help="where to; each setup gets a folder named by its number")
    exported.add_argument("--attack", required=True, help="such as 'gradient_matching(eps=8/255)'")
    exported.add_argument("--numbers", type=_numbers, help="which setups, as 0-19, by default all")
    exported.add_argument("--bundle", action="store_true", help="write poisons.safetensors in place of pickles")
    exported.set_defaults(verb=_export)
    for one in (scored, exported):
        one.add_argument("--setups", required=True, metavar="FILE", help="the setups' pickle, such as cifar10_from_scratch.pickle")
        one.add_argument("--scenario", default="targeted", help="by default targeted: training from scratch")
        one.add_argument("--profile", default="quick", help="the scale of the experiment, by default quick")
        images = one.add_mutually_exclusive_group()
        images.add_argument("--data", help="another data set than the profile's")
        images.add_argument(
            "--limit",
            type=int,
            help="training images of CIFAR-10 that each setup has, base images included: 2500 in transfer",
        )
        one.add_argument("--device", default="auto", help="auto, cpu or cuda")


def _numbers(text: str) -> range:
    if not (found := re.fullmatch(r"(\d+)(?:-(\d+))?", text)) or int(found[2] or found[1]) < int(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r}: write a number, or two as in 0-19")
    return range(int(found[1]), int(found[2] or found[1]) + 1)


def _score(arguments) -> int:
    from ..benchmark import score

    names = ("title", "scenario", "profile", "limit", "budget", "device", "workers")
    how = {name: getattr(arguments, name) for name in names} | {"victims": arguments.victim, "source": arguments.data}
    try:
        made = score(arguments.poisons, arguments.setups, **how)
    except RuntimeError as error:  # of trials, with what the first was stopped by
        print(f"poisonlib: {error}", file=sys.stderr)
        return 1
    for name, why in made.refused.items():
        print(f"poisonlib: {name}: {why}", file=sys.stderr)
    content = made.to_json()
    for label, rate in content["victims"].items():
        found = f"{100 * rate['success']:.1f} % of {rate['trials']} setups"
        interval = f"95 % interval {100 * rate['low']:.1f} to {100 * rate['high']:.1f}"
        print(f"{made.title} on {label}: {found} ({interval}), accuracy {rate['accuracy']:.1%}")
    counts = f"{len(made.records)} setups scored, {len(made.refused)} refused, {len(content['missing'])} of {made.count} missing"
    print(f"{counts}: {made.path}")
    return 1 if made.refused else 0


def _export(arguments) -> int:
    from .. import experiments
    from ..benchmark import export, on_setups, read_setups

    known = read_setups(arguments.setups)
    numbers = range(len(known)) if arguments.numbers is None else arguments.numbers
    if numbers.stop > len(known):
        raise ValueError(f"--numbers {numbers.start}-{numbers.stop - 1}: the setups are numbered from 0 to {len(known) - 1}")
    how = dict(trials=len(numbers), first_seed=numbers.start) | ({"data": arguments.data} if arguments.data else {})
    trials = experiments.grid(arguments.scenario, arguments.profile, attack=arguments.attack, **how)
    for path in export(on_setups(trials, known, arguments.limit), arguments.folder, arguments.device, arguments.bundle):
        print(path)
    return 0
