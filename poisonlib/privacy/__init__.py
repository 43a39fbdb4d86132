"""Differential-privacy bounds for DP-InstaHide and DP-SGD: theorems, exact audits on small data sets, and tight accounting.

This package exports what the notebooks and figures use; its modules hold the rest. It needs NumPy and SciPy but not PyTorch. The
functions of `accounting` and `dp_sgd` also need Google's dp-accounting (``requirements-dp.txt``).
"""

from .accounting import laplace_epsilon as laplace_epsilon
from .assumptions import Example as Example
from .assumptions import all_examples as all_examples
from .attack_cost import least_nonpositive_cost as least_nonpositive_cost
from .attack_cost import printed_nonpositive_cost as printed_nonpositive_cost
from .brackets import Bracket as Bracket
from .brackets import bracket as bracket
from .densities import extreme_records as extreme_records
from .densities import independent_outputs as independent_outputs
from .densities import mixup_density as mixup_density
from .densities import without as without
from .densities import worst_log_ratio as worst_log_ratio
from .dp_sgd import dp_sgd_training_epsilon as dp_sgd_training_epsilon
from .proof import audit_proof as audit_proof
from .readings import Reading as Reading
from .readings import honest_readings as honest_readings
from .success import dp_sgd_success_shuffled as dp_sgd_success_shuffled
from .success import instahide_success as instahide_success
from .theorem import bound_a as bound_a
from .theorem import bound_b as bound_b
from .theorem import epsilon as epsilon
from .theorem import simple_bound as simple_bound
from .theorem import width_floor as width_floor
