"""The unified benchmark of "Just How Toxic" (Schwarzschild et al., arXiv:2006.12557, section 5) as a tool: poisons that anyone
crafted for its setups are checked and scored, and ours are written in its format.
"""

from .export import export as export
from .export import packed as packed
from .export import write as write
from .export import write_bundle as write_bundle
from .score import Score as Score
from .score import leaderboard as leaderboard
from .score import score as score
from .score import scores as scores
from .setups import on_setups as on_setups
from .setups import read_setups as read_setups
from .setups import seeded_setups as seeded_setups
from .setups import write_setups as write_setups
from .submission import Submission as Submission
from .submission import read as read
