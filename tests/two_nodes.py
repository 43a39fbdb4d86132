"""``python -m tests.two_nodes FOLDER``, run by test_cluster.py: a grid on two nodes, one of which dies midway and comes back.

Its augmentation is defined here, in a script. It leaves a file named after the node that it runs on, and waits there until both the
killed node and the one in its place have run it.
"""

import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from poisonlib import experiments
from poisonlib.augment import Augment
from poisonlib.experiments import Ledger
from poisonlib.experiments.cluster import NICENESS

FOLDER = Path(sys.argv[1])
SEEN, HOLD = FOLDER / "seen", FOLDER / "hold"
PATIENCE = 300  # seconds


@dataclass(frozen=True)
class Darken(Augment):
    factor: float = 0.5
    folder: str = str(FOLDER)

    def sample_params(self, n, shape, generator):
        return {}

    def apply(self, x, y, params, generator=None):
        if ray.is_initialized():
            Path(self.folder, "seen", ray.get_runtime_context().get_node_id()).touch()
            while Path(self.folder, "hold").exists():
                time.sleep(0.02)
        return self.factor * x, y


def wait_for(node) -> None:
    """Until the augmentation runs on a node."""
    deadline = time.monotonic() + PATIENCE
    while not (SEEN / node.node_id).exists():
        if time.monotonic() > deadline:
            print("nothing runs on a node", flush=True)
            os._exit(1)
        time.sleep(0.02)


def kill_and_restart(cluster: Cluster, node) -> None:
    """Kill a node while it trains a victim; victims go on when another trains on the node that comes in its place."""
    wait_for(node)
    cluster.remove_node(node, allow_graceful=False)
    wait_for(cluster.add_node(num_cpus=1))
    HOLD.unlink()


def main() -> None:
    SEEN.mkdir()
    HOLD.touch()
    os.environ[NICENESS] = "0"
    os.environ["POISONLIB_OUTPUTS"] = "/dev/null/nowhere"  # what the nodes see: they have no folder in common
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    ray.init(cluster.address, log_to_driver=False)  # on the head, as there is no other node yet
    second = cluster.add_node(num_cpus=1)
    os.environ["POISONLIB_OUTPUTS"] = str(FOLDER)
    matching = "gradient_matching(poison_rate=0.05, eps=0.2, steps=4, restarts=1, eval_samples=2)"
    tiny = dict(data="digits(size=8, limit=100)", model="patch_mlp", trials=2)
    table = experiments.grid("targeted", "quick", attack=matching, defence=["none", Darken(), "spectral_signatures"], **tiny)
    work = threading.Thread(target=experiments.run, args=(table,), kwargs={"engine": "ray", "device": "cpu"}, daemon=True)
    work.start()
    kill_and_restart(cluster, second)
    work.join(PATIENCE)
    print("the second node was killed and is back", flush=True)
    ray.shutdown()
    cluster.shutdown()
    alone = Ledger(FOLDER / "alone")
    os.environ["POISONLIB_OUTPUTS"] = str(FOLDER / "nothing cached")
    experiments.run(table, workers=0, ledger=alone)
    for one, other in zip(Ledger(FOLDER / "trials"), alone, strict=True):
        assert (one.measured(), one.code) == (other.measured(), other.code)
    print("the same records:", len(list(alone)))


if __name__ == "__main__":
    main()
