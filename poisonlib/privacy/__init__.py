"""What DP-InstaHide and DP-SGD certify, and what they do not: theorems, exact audits, tight accounting. Floats in, floats out.

No torch here; NumPy and SciPy only, and dp-accounting (requirements-dp.txt) for the functions of `accounting` and `dp_sgd`.
"""

from .accounting import laplace_delta, laplace_epsilon, laplace_success, use_chance
from .assumptions import (
    Example,
    all_examples,
    bare_labels,
    clipped_mass,
    clipped_noise,
    dirichlet_log_ratio,
    dirichlet_weights,
    disjoint_groups,
    replaced_record,
    self_mixing,
    several_epochs,
    whole_epoch,
    wide_data,
)
from .attack_cost import (
    group_delta,
    least_nonnegative_cost,
    least_nonpositive_cost,
    most_success,
    most_success_on_curve,
    poisons_certified,
    printed_nonpositive_cost,
)
from .brackets import Bracket, attacked_epsilon, bracket, clopper_pearson
from .densities import LaplaceMixture, WorstCase, extreme_records, independent_outputs, mixup_density, without, worst_log_ratio
from .dp_sgd import dp_sgd_delta, dp_sgd_epsilon, dp_sgd_success_naive, dp_sgd_success_tight, dp_sgd_training_epsilon
from .epochs import grouped_bound, grouped_epoch, permuted_bound, permuted_epoch
from .proof import Step, audit_proof
from .readings import Reading, honest_readings
from .success import dp_sgd_success_shuffled, instahide_success
from .theorem import bound_a, bound_b, epsilon, group_epsilon, noise_for_epsilon, simple_bound, width_floor

__all__ = [
    "Bracket",
    "Example",
    "LaplaceMixture",
    "Reading",
    "Step",
    "WorstCase",
    "all_examples",
    "attacked_epsilon",
    "audit_proof",
    "bare_labels",
    "bound_a",
    "bound_b",
    "bracket",
    "clipped_mass",
    "clipped_noise",
    "clopper_pearson",
    "dirichlet_log_ratio",
    "dirichlet_weights",
    "disjoint_groups",
    "dp_sgd_delta",
    "dp_sgd_epsilon",
    "dp_sgd_success_naive",
    "dp_sgd_success_shuffled",
    "dp_sgd_success_tight",
    "dp_sgd_training_epsilon",
    "epsilon",
    "extreme_records",
    "group_delta",
    "group_epsilon",
    "grouped_bound",
    "grouped_epoch",
    "honest_readings",
    "independent_outputs",
    "instahide_success",
    "laplace_delta",
    "laplace_epsilon",
    "laplace_success",
    "least_nonnegative_cost",
    "least_nonpositive_cost",
    "mixup_density",
    "most_success",
    "most_success_on_curve",
    "noise_for_epsilon",
    "permuted_bound",
    "permuted_epoch",
    "poisons_certified",
    "printed_nonpositive_cost",
    "replaced_record",
    "self_mixing",
    "several_epochs",
    "simple_bound",
    "use_chance",
    "whole_epoch",
    "wide_data",
    "width_floor",
    "without",
    "worst_log_ratio",
]
