"""``python -m tests.benchmarks``: P1 to P15 as one table, then what it does not cover; exits with the number beyond a limit.

With names, such as ``bench_craft``, only these.
"""

import importlib
import sys

from . import performance

OTHERS = ("bench_fast", "bench_ledger", "bench_widgets")

if __name__ == "__main__":
    table = 0 if sys.argv[1:] else performance.main([])
    sys.exit(table + sum(importlib.import_module(f"tests.benchmarks.{name}").main() for name in sys.argv[1:] or OTHERS))
