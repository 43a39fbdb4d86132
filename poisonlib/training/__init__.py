"""Training and evaluation: recipes as data, one training loop, evaluation by counting."""

from .evaluate import Evaluation as Evaluation
from .evaluate import count_correct as count_correct
from .evaluate import evaluate as evaluate
from .evaluate import features as features
from .evaluate import logits as logits
from .fit import batch_sizes as batch_sizes
from .fit import epochs as epochs
from .fit import fit as fit
from .numerics import Numerics as Numerics
from .numerics import settings as settings
from .optimizer import make_optimizer as make_optimizer
from .recipe import Recipe as Recipe
from .recipe import load as load
from .recipe import names as names
from .train import initialise as initialise
from .train import train as train
from .views import leaves_features as leaves_features
