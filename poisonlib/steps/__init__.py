"""Steps: one file each, with a class ``Step`` that changes how a victim's gradient is made, whatever the batch.

``backward(network, loss, x, y, generator)`` leaves the gradient of a batch in the parameters and returns its loss: ``loss(x, y)``
is a number, ``generator`` a stream on x's device. ``release(gradients, generator)`` is the mechanism alone, gradients in,
gradients out, for an attacker who knows it. A step may say what it asks of the part of a network that is trained, or of this
machine: ``refuse(network)`` raises ValueError.
"""

from .. import registry


def names() -> list[str]:
    return registry.names(__name__)


def load(choice, **numbers):
    """One step: ``load("noisy_sgd", noise=0.01)``."""
    return registry.load(__name__, "Step", choice, **numbers)
