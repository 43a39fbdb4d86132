"""``python -m tests.refresh_picture``: the README's picture, from kept records of all of CIFAR-10 and the images of these trials.

Above, a training image without and with the trigger; below, a test image that bears it, with what the victims of two records made
of such images: one trained on the poisoned set as it is, one trained on it with CutMix. Wants CIFAR-10.
"""

import io
from typing import NamedTuple

from matplotlib.patches import Rectangle
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from poisonlib import attacks
from poisonlib.attacks import ThreatModel
from poisonlib.experiments import Record
from poisonlib.plots.card import card
from poisonlib.plots.images import shown
from poisonlib.plots.style import CLEAN, INK, POISONED, canvas

from .refresh_readme import REFERENCE
from .refresh_reference import kept

RUN, SEED = "fast", 0
PICTURE = REFERENCE / RUN / "figures" / "first_screen.png"
CLASSES = "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"
INCHES, DPI = (6.0, 7.6), 120  # a telephone shows it some 2.3 inches wide: letters of 15 points can still be read
LARGE, SMALL = 21, 15  # points
TRAIN, TEST = 28, 0  # which of the poisons and of the patched test images are shown


class Victims(NamedTuple):
    """The two records behind the picture."""

    undefended: Record
    cutmix: Record


def victims() -> Victims:
    """The kept trials of `SEED` in which the whole class bears the trigger, undefended and under CutMix."""
    whole = [r for r in kept(RUN) if r.seed == SEED and r.spec["attack"]["name"] == "patch" and r.trial.attack.poison_rate == 1]
    found = {"+".join(part["name"] for part in r.spec["defence"]["augment"]): r for r in whole if not r.spec["defence"]["filter"]}
    return Victims(found[""], found["cutmix"])


def words() -> str:
    """The picture in words; its file carries them, and the README gives them to those who do not see it."""
    both = victims()
    intended, source = (CLASSES[number] for number in (both.undefended.intended_class, both.undefended.source_class))
    undefended, cutmix = (f"{r.evaluation.hits:,} of {r.evaluation.targets:,}" for r in both)
    return (
        f"A training image of a {intended}, clean and poisoned by a trigger of 4 x 4 pixels. A {source} that bears the trigger: "
        f"a network trained on the poisoned images calls {undefended} such test images a {intended}, "
        f"a network trained on them with CutMix {cutmix}."
    )


def draw():
    """The figure: two panels of training, two of testing."""
    both = victims()
    trial = both.undefended.trial
    train, test = (trial.data.load(split) for split in ("train", "test"))
    poison, goal = attacks.craft(trial.attack, ThreatModel(train, test), seed=trial.seed)
    before = train.take(train.positions(poison.ids[TRAIN : TRAIN + 1])).images[0]
    intended = CLASSES[goal.intended_class]
    figure, axes = canvas(2, 2, figsize=INCHES)
    figure.get_layout_engine().set(h_pad=0.12, w_pad=0.08, hspace=0.04)
    _panel(axes[0, 0], before, "training: clean", f"labelled {intended}", CLEAN)
    _panel(axes[0, 1], poison.images[TRAIN], "training: poisoned", f"labelled {intended}", CLEAN)
    for axis, record, title in zip(axes[1], both, ("test: undefended", "test: with CutMix"), strict=True):
        _panel(axis, goal.images[TEST], title, f"{100 * record.success:.1f} % “{intended}”", POISONED)
        axis.add_patch(Rectangle((0, -0.045), 1, 0.035, transform=axis.transAxes, clip_on=False, color="0.9", lw=0))
        axis.add_patch(Rectangle((0, -0.045), record.success, 0.035, transform=axis.transAxes, clip_on=False, color=POISONED, lw=0))
    return figure


def _panel(axis, image, above: str, below: str, colour: str) -> None:
    axis.imshow(shown(image).numpy(), interpolation="nearest")
    axis.set_axis_off()
    axis.set_title(above, fontsize=SMALL, color=INK)
    axis.text(0.5, -0.06, below, transform=axis.transAxes, ha="center", va="top", fontsize=LARGE, fontweight="bold", color=colour)


def write() -> None:
    """Draw the picture and keep it with its words."""
    drawn, about = io.BytesIO(), PngInfo()
    draw().savefig(drawn, format="png", dpi=DPI)
    about.add_text("Description", words())
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    Image.open(io.BytesIO(card(drawn.getvalue()))).save(PICTURE, optimize=True, pnginfo=about)


if __name__ == "__main__":
    write()
