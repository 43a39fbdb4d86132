"""Parts of a trial that takes a tenth of a second: what a test of everything around trials runs."""

from poisonlib import data, models, training

TINY = dict(
    data=data.source("digits", size=8, limit=100),
    model=models.load("cifar_resnet", depth=8, width=2, shortcut="projection"),
    recipe=training.load("quick", epochs=1, batch_size=50),
)
