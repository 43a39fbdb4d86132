"""Counts in sentences."""

import pytest

from poisonlib.words import plural


@pytest.mark.parametrize(("count", "said"), [(0, "0 trials"), (1, "1 trial"), (2, "2 trials"), (21, "21 trials")])
def test_a_noun_is_singular_after_one_alone(count, said):
    assert plural(count, "trial") == said
