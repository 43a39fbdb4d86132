"""Where a long run is: the progress bars of another process, passed on to this one's standard error."""

import re
import sys
import time

BAR = re.compile(r"\d+%\|[^|]*\| *(\d+)/(\d+) \[")
PAUSE = 30.0  # seconds between lines in a file


class Progress:
    """A file that shows the progress bars written to it and drops everything else, such as warnings.

    On a terminal each bar overwrites the last one; in a file there is a line every half minute, one for each bar that is full, and
    the last one.
    """

    def __init__(self, clock=time.monotonic):
        self.clock, self.shown, self.line, self.left, self.last = clock, False, "", "", -PAUSE

    def write(self, text: str) -> None:
        """Take text as it comes, with any number of bars, or none."""
        bars = [line.strip() for line in re.split(r"[\r\n]", text) if BAR.search(line)]
        if not bars:
            return
        if sys.stderr.isatty():
            print(f"\r    {bars[-1]}", end="", file=sys.stderr, flush=True)
            self.shown = True
        else:
            for bar in bars:
                self._note(bar)

    def _note(self, bar: str) -> None:
        done, total = BAR.search(bar).groups()
        if bar == self.line:
            return
        if done != total and self.clock() - self.last < PAUSE:
            self.left = bar
            return
        self.last, self.line, self.left = self.clock(), bar, ""
        print(f"    {bar}", file=sys.stderr, flush=True)

    def flush(self) -> None:
        """Nothing is held back but what comes too often."""

    def close(self) -> None:
        """End the line of the last bar, and show it if it was held back."""
        if self.shown:
            print(file=sys.stderr, flush=True)
        elif self.left:
            print(f"    {self.left}", file=sys.stderr, flush=True)
