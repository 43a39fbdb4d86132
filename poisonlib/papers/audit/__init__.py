"""An audit of the printed numbers: exact arithmetic on the transcribed claims, without records and without torch.

Whatever it finds says nothing about intent, and nothing about whether a result is right: a slip of the pen, another number of
trials than the stated one, and rounding are enough for every one of them.
"""

from .counts import Grim as Grim
from .counts import allowing as allowing
from .counts import counts as counts
from .counts import percentage as percentage
from .counts import ruled_out as ruled_out
from .errors import ErrorCheck as ErrorCheck
from .errors import check_error as check_error
from .errors import follows as follows
from .errors import standard_error as standard_error
from .repeats import BENCHMARK_WORDS as BENCHMARK_WORDS
from .repeats import Condition as Condition
from .repeats import conditions as conditions
from .repeats import together as together
from .sentences import Said as Said
from .sentences import sentences as sentences
from .summary import FLAGS as FLAGS
from .summary import Audit as Audit
from .summary import audit as audit
from .sums import Sum as Sum
from .sums import sums as sums
from .words import behind as behind
from .words import impossible as impossible
from .words import off_rule as off_rule
from .words import overview as overview
from .words import repeated as repeated
from .words import rules as rules
from .words import unconfirmed as unconfirmed
from .words import wrong as wrong
