"""Shape annotations are checked while the tests run (jaxtyping with beartype), and torch uses one thread, as the workers do."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from jaxtyping import install_import_hook

install_import_hook("poisonlib", "beartype.beartype")

import torch

torch.set_num_threads(1)


def pytest_collection_modifyitems(items):
    """Marks by what a test wants, so that ``pytest -m "not slow and not browser"`` leaves it out: see pyproject.toml."""
    for item in items:
        reasons = " ".join(mark.kwargs.get("reason", "") for mark in item.iter_markers("skipif"))
        wants = {
            "browser": "Chromium" in reasons,
            "gpu": "GPU" in reasons or "CUDA" in reasons,
            "data": "real" in item.fixturenames,
        }
        for name in (name for name, wanted in wants.items() if wanted):
            item.add_marker(name)
