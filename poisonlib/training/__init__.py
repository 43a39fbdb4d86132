"""Training victims: recipes as data, one loop, evaluation by counting."""

from .evaluate import count_correct as count_correct
from .evaluate import features as features
from .evaluate import logits as logits
from .fit import batch_sizes as batch_sizes
from .fit import epochs as epochs
from .fit import fit as fit
from .fit import initialise as initialise
from .numerics import Numerics as Numerics
from .numerics import settings as settings
from .recipe import Recipe as Recipe
from .recipe import load as load
from .recipe import names as names
