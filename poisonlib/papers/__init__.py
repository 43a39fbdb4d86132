"""What the papers claim, and how our trials compare with it."""

from .cells import Point as Point
from .claims import Claim as Claim
from .claims import Finding as Finding
from .claims import Paper as Paper
from .claims import Table as Table
from .claims import load as load
from .claims import names as names
from .compare import compare as compare
from .comparison import Comparison as Comparison
from .designs import trials as trials
from .networks import networks as networks
from .pairs import seed_by_seed as seed_by_seed
from .rates import points as points
from .rates import table_points as table_points
