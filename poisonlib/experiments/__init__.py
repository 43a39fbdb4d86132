"""Trials as pure functions of a description and a seed, a ledger of their records, and the runner that fills it."""

from .crafting import craft as craft
from .designs import design as design
from .extractor import Extractor as Extractor
from .grid import check as check
from .grid import grid as grid
from .ledger import Ledger as Ledger
from .ledger import frame as frame
from .networks import pretrain as pretrain
from .plan import plan as plan
from .profiles import profile as profile
from .profiles import profiles as profiles
from .profiles import rules as rules
from .profiles import scenarios as scenarios
from .record import Record as Record
from .run import run as run
from .spec import Defence as Defence
from .spec import Trial as Trial
from .spec import defence as defence
