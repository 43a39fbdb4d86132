"""The same trials as on other processors: ``make hardware``, which calls ``python -m tests.hardware NAME`` once for each.

Undefended victims of both quick scenarios and, for the backdoor, under CutMix: the seeds that are also recorded on an Intel
processor, with three victims of each goal. NAME is that of an instruction set in the Makefile, whose variables are set when this
is called. The records go to ``outputs/reference/hardware/NAME/trials``.
"""

import os
import sys

from poisonlib import experiments, paths
from poisonlib.experiments import Ledger, Trial

SEEDS, STARTS = range(12), 3
HOME = paths.root() / "outputs" / "reference" / "hardware"


def trials() -> list[Trial]:
    """The trials of one processor, by scenario, attack, defence, seed and start."""
    how = dict(profile="quick", trials=len(SEEDS), first_seed=SEEDS[0], starts=STARTS)
    patch = experiments.grid("backdoor", attack="patch(poison_rate=1.0)", defence=["none", "cutmix(probability=1.0)"], **how)
    return patch + experiments.grid("targeted", attack="gradient_matching", **how)


def main(name: str) -> None:
    os.environ["POISONLIB_OUTPUTS"] = str(paths.root() / "outputs" / "hardware" / name)
    home = Ledger.open(HOME / name / "trials")
    for record in experiments.run(trials()):
        home.put(record)


if __name__ == "__main__":
    main(sys.argv[1])
