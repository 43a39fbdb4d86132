"""The explorers without a browser: what a control changes, what a bad state says, and that the numbers shown are right."""

import asyncio
import gc
import io
import os
import re
import subprocess
import sys
import threading
from dataclasses import dataclass, fields, replace

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("ipywidgets")

from poisonlib import attacks, augment, data, training
from poisonlib.attacks import metapoison
from poisonlib.augment import Augment, Pipeline
from poisonlib.data import Poison
from poisonlib.plots.card import GROUND, RADIUS
from poisonlib.plots.survival import Batch, batch_of, outcome, survival
from poisonlib.rng import stream
from poisonlib.widgets import Choice, Drawing, Panel, Real, Tick, Whole, Words, _trial, augmentations
from poisonlib.widgets._side import LABEL
from poisonlib.widgets.augmentations import State, _state
from poisonlib.widgets.augmentations._pictures import magnified

from .warm import FRESH

SMALL = State(augmentation="cutmix", seed=3)


@dataclass(frozen=True)
class Dish:
    name: str = "soup"
    spice: str = "none"
    salt: int = 2
    heat: float = 0.5
    vegan: bool = False

    def __post_init__(self):
        if self.spice == "bad":
            raise ValueError("spice='bad': choose another")


MENU = [
    Choice("name", "Dish", "what is cooked", ("soup", "rice")),
    Words("spice", "Spice", "names joined by +", ("pepper",)),
    Whole("salt", "Salt", "pinches", 0, 9),
    Real("heat", "Heat", "of the stove", 0.0, 1.0, 0.1),
    Tick("vegan", "Vegan", "nothing of animals"),
]


class Kitchen:
    """Renders blank pictures and keeps the states that it was given."""

    def __init__(self):
        self.states = []

    def render(self, state):
        self.states.append(state)
        if state.salt == 9:
            raise ValueError("salt=9: too much <salt>")
        return Drawing((1.0, 1.0))

    def panel(self, first=Dish(), **more):
        return Panel(first, MENU, self.render, lambda state: f"{state.name} with {state.salt} pinches", **more)


def figures():
    return [each for each in gc.get_objects() if type(each) is Drawing]


class TestPanel:
    def test_every_control_passes_its_value_on(self):
        kitchen = Kitchen()
        panel = kitchen.panel()
        wanted = {"name": "rice", "spice": "pepper", "salt": 5, "heat": 0.7, "vegan": True}
        for field, value in wanted.items():
            panel.controls[field].value = value
        assert kitchen.states == [Dish(**dict(list(wanted.items())[:n])) for n in range(len(wanted) + 1)]
        assert "rice with 5 pinches" in panel.line.value
        assert panel.picture.value.startswith("<svg") and panel.tools.line.value.startswith("State(name='rice', spice='pepper'")

    def test_a_browsers_rounding_errors_do_not_reach_the_state(self):
        panel = Kitchen().panel()
        panel.controls["heat"].value = 0.1 + 0.2
        assert panel.state.heat == 0.3

    def test_changes_in_quick_succession_are_drawn_once(self):
        async def hurry():
            kitchen = Kitchen()
            panel = kitchen.panel()
            for salt in (3, 4, 5):
                panel.controls["salt"].value = salt
                await asyncio.sleep(0.01)
            early = len(kitchen.states)
            await asyncio.sleep(0.3)
            return early, [state.salt for state in kitchen.states]

        assert asyncio.run(hurry()) == (1, [2, 5])

    def test_a_state_that_cannot_be_drawn_gives_words_and_leaves_the_last_picture(self):
        panel = Kitchen().panel()
        before = panel.picture.value
        panel.controls["salt"].value = 9
        assert "Not shown: salt=9: too much &lt;salt&gt;" in panel.line.value and 'role="alert" class="error"' in panel.line.value
        assert "poisonlib-dim" in panel.picture._dom_classes
        panel.controls["spice"].value = "bad"
        assert "choose another" in panel.line.value
        assert panel.picture.value == before
        panel.controls["salt"].value, panel.controls["spice"].value = 1, "none"
        assert "soup with 1 pinches" in panel.line.value and "poisonlib-dim" not in panel.picture._dom_classes

    def test_a_fault_of_ours_is_named(self):
        panel = Panel(Dish(), MENU, lambda state: 1 / 0, str)
        assert "Not shown: ZeroDivisionError: division by zero" in panel.line.value

    def test_what_takes_long_is_announced_once(self, monkeypatch):
        said = []
        monkeypatch.setattr(Panel, "say", lambda self, words, kind="": said.append(words))
        panel = Kitchen().panel(notice=lambda state: "boiling ..." if state.vegan else "")
        for vegan in (True, False, True):
            panel.controls["vegan"].value = vegan
        assert said.count("boiling ...") == 1 and said[1] == "boiling ..."

    def test_what_is_known_early_is_shown_until_the_whole_is_drawn(self):
        """Once, with the notice: under a loop the panel is there before the work begins."""
        early, whole = Drawing((2.0, 1.0)).svg(LABEL, "B"), Drawing((1.0, 1.0)).svg(LABEL, "B")

        async def watch():
            kitchen = Kitchen()
            panel = kitchen.panel(notice=lambda state: "boiling ...", early=lambda state: Drawing((2.0, 1.0)))
            seen = [(panel.picture.value, "boiling" in panel.line.value, len(kitchen.states))]
            for salt in (2, 3):
                panel.controls["salt"].value = salt
                await asyncio.sleep(0.3)
                seen.append((panel.picture.value, "boiling" in panel.line.value, len(kitchen.states)))
            return seen

        assert asyncio.run(watch()) == [(early, True, 0), (whole, False, 1), (whole, False, 2)]
        kitchen = Kitchen()
        panel = kitchen.panel(notice=lambda state: "boiling ...", early=lambda state: Drawing((2.0, 1.0)))
        assert panel.picture.value == whole and len(kitchen.states) == 1, "no loop, nothing to wait for"

    def test_no_figure_is_left_behind(self):
        """Left to the collector, figures would bring on a search of the whole memory in the middle of some later drawing."""
        gc.collect()
        before = len(figures())
        gc.disable()
        try:
            panel = augmentations.explorer(SMALL)
            panel.controls["sample"].value = 1
            assert len(figures()) == before and not gc.isenabled(), "what was off stays off"
        finally:
            gc.enable()

    def test_nothing_is_collected_while_it_draws(self):
        active = []
        panel = Panel(Dish(), MENU, lambda state: active.append(gc.isenabled()) or Drawing((1.0, 1.0)), str)
        assert active == [False] and gc.isenabled() and panel.picture.value

    def test_a_value_outside_the_offer_is_offered_as_well(self):
        panel = Kitchen().panel(Dish(name="cake", salt=20, heat=3.0))
        assert panel.state == Dish(name="cake", salt=20, heat=3.0)
        assert panel.controls["name"].options == ("soup", "rice", "cake")

    def test_the_picture_has_a_name_for_those_who_do_not_see_it(self):
        assert f'role="img" aria-label="{LABEL}"' in Kitchen().panel().picture.value

    def test_slow_work_blocks_no_other_control(self):
        """A vegan dish takes long: meanwhile another one is drawn, and what failed is said only where it is still wanted."""
        release = threading.Event()

        def words(state):
            if state.vegan:
                release.wait(20)
                raise ValueError("nothing vegan is left")
            return f"{state.name} with {state.salt} pinches"

        async def cook():
            panel = Panel(Dish(), MENU, lambda state: Drawing((1.0, 1.0)), words, notice=lambda s: "cooking ..." if s.vegan else "")
            panel.controls["vegan"].value = True
            await asyncio.sleep(0.3)
            busy = panel.line.value
            panel.controls["vegan"].value, panel.controls["salt"].value = False, 5
            await asyncio.sleep(0.3)
            meanwhile = panel.line.value
            release.set()
            await asyncio.sleep(0.2)
            after = panel.line.value
            panel.controls["vegan"].value = True
            await asyncio.sleep(0.4)
            return busy, meanwhile, after, panel.line.value

        busy, meanwhile, after, failed = asyncio.run(cook())
        assert 'class="busy">cooking ...' in busy and "soup with 5 pinches" in meanwhile and after == meanwhile
        assert "Not shown: nothing vegan is left" in failed

    def test_controls_without_an_effect_are_disabled(self):
        panel = Kitchen().panel(useful=lambda state: {"name", "vegan"} | ({"salt"} if state.name == "soup" else set()))
        assert [field for field, widget in panel.controls.items() if widget.disabled] == ["spice", "heat"]
        panel.controls["name"].value = "rice"
        assert panel.controls["salt"].disabled and not panel.controls["name"].disabled

    def test_a_preset_sets_every_control_and_is_drawn_once(self):
        kitchen = Kitchen()
        panel = kitchen.panel(presets={"Salty": Dish(name="rice", salt=12), "Plain": Dish()})
        panel.tools.presets.children[0].click()
        assert kitchen.states == [Dish(), Dish(name="rice", salt=12)] and panel.state == Dish(name="rice", salt=12)
        assert panel.tools.presets.children[1].description == "Plain"

    def test_one_state_is_kept_beside_the_next_and_both_change_places(self):
        panel = Kitchen().panel()
        panel.tools.keep.value = True
        panel.controls["salt"].value = 5
        assert not panel.kept.layout.display and "2 pinches" in panel.kept.line.value and "5 pinches" in panel.line.value
        panel.tools.swap.click()
        assert "5 pinches" in panel.kept.line.value and "2 pinches" in panel.line.value and panel.state.salt == 2
        panel.tools.keep.value = False
        assert panel.kept.layout.display == "none" and panel.tools.swap.disabled

    def test_two_pictures_in_a_page_share_no_clip(self):
        clips = [set(re.findall(r'clipPath id="([^"]+)"', augmentations.render(SMALL).svg("x", salt))) for salt in "AB"]
        assert clips[0] and not clips[0] & clips[1]

    def test_a_state_is_a_line_that_can_be_pasted(self):
        panel = Kitchen().panel()
        panel.controls["heat"].value = 0.7
        assert panel.tools.line.value == "State(heat=0.7)"
        panel.tools.line.value = "kitchen.State(name='cake', salt=12, heat=1)"
        assert panel.state == Dish(name="cake", salt=12, heat=1.0) and "cake with 12 pinches" in panel.line.value

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("State(pepper=3)", "pepper is not known"),
            ("State(salt='much')", "salt='much': choose a whole number"),
            ("State(salt=__import__('os').getpid())", "is no state: write it like State()"),
            ("State(", "is no state"),
            ("Other(salt=1)", "Other is not known"),
            ("State(spice='bad')", "choose another"),
        ],
    )
    def test_a_line_that_is_no_state_says_why(self, line, words):
        panel = Kitchen().panel()
        panel.tools.line.value = line
        assert words in panel.line.value.replace("&#x27;", "'") and panel.picture.value.startswith("<svg")

    def test_executed_for_its_outputs_it_is_a_picture_too(self, monkeypatch):
        panel = Kitchen().panel()
        assert "image/png" not in panel._repr_mimebundle_()
        monkeypatch.setenv("POISONLIB_STILL", "1")
        assert panel._repr_mimebundle_()["image/png"].startswith(b"\x89PNG")


def test_every_field_of_the_augmentation_explorer_has_a_control_with_a_label_and_a_word_of_help():
    panel = augmentations.explorer(SMALL)
    assert set(panel.controls) == {field.name for field in fields(State)}
    assert panel.state == SMALL and "Not shown" not in panel.line.value
    labels = [widget.description for widget in panel.controls.values()]
    assert all(labels) and len(set(labels)) == len(labels)
    assert all(widget.tooltip for widget in panel.controls.values())


class TestAugmentationExplorer:
    def test_same_state_same_bytes(self):
        first = augmentations.render(SMALL).png(), augmentations.samples(SMALL, 20).png()
        augmentations.render(replace(SMALL, k=3, seed=4)).png()
        _state._prepare.cache_clear()
        _state._surviving.cache_clear()
        _state._outcomes.cache_clear()
        assert first == (augmentations.render(SMALL).png(), augmentations.samples(SMALL, 20).png())

    def test_it_shows_itself_in_a_notebook(self):
        assert augmentations.render(SMALL)._repr_png_().startswith(b"\x89PNG")

    def test_what_a_notebook_keeps_is_small_and_looks_the_same_on_a_cards_ground(self):
        figure = augmentations.render(SMALL)
        kept, shown = figure._repr_png_(), figure.png()
        small, large = (np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).astype(int) for file in (kept, shown))
        assert len(kept) < 0.5 * len(shown) and small.shape == large.shape
        gap = abs(small - large * np.array(GROUND) // 255)[RADIUS:-RADIUS, RADIUS:-RADIUS]
        assert gap.mean() < 0.5 and np.quantile(gap, 0.999) < 16

    def test_numbers_in_the_text_win_over_sliders(self):
        assert replace(SMALL, augmentation="mixup(k=2) + laplace", k=3, noise=0.2).label == "mixup + laplace(scale=0.2)"
        assert replace(SMALL, augmentation="cutmix", alpha=0.5, probability=0.25).label == "cutmix(alpha=0.5, probability=0.25)"
        assert replace(SMALL, augmentation="none").label == "no augmentation"

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"augmentation": "mixup + laplace", "k": 4}, "augmented: 4-way mixup + laplace(scale=0.06)"),
            ({"augmentation": "mixup(k=2)", "alpha": 0.5}, "augmented: 2-way mixup(alpha=0.5)"),
            ({"augmentation": "cutmix", "probability": 0.25}, "augmented: cutmix(probability=0.25)"),
            ({"augmentation": "none"}, "augmented: no augmentation"),
        ],
    )
    def test_the_caption_names_what_was_applied_with_its_numbers(self, change, words):
        stage = augmentations.render(replace(SMALL, **change)).axes[0]
        assert words in [text.get_text().replace("\n", " ") for text in stage.texts]

    def test_a_long_caption_stays_on_the_picture_and_off_the_others(self):
        every = "cutmix + cutout(share=0.3) + mixup + laplace + gaussian"
        figure = augmentations.render(replace(SMALL, augmentation=every, alpha=0.5, probability=0.25))
        figure.canvas.draw()
        boxes = [text.get_window_extent() for text in figure.axes[0].texts]
        assert all(figure.bbox.x0 <= box.x0 and box.y1 <= figure.bbox.y1 for box in boxes)
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"augmentation": "mixup(k=20)"}, "a mix of k=20 distinct images cannot be drawn from a batch of n=8"),
            ({"augmentation": "mixdown"}, "has no 'mixdown'; choose one of: "),
            ({"augmentation": "mixup("}, "write a name, or name(number=value, ...), joined by +"),
            ({"augmentation": "mixup(z=1)"}, "mixup has no argument z; it has: k, alpha, variant"),
            ({"image": 500}, "image=500: the attack poisons 1"),
        ],
    )
    def test_bad_states_say_why(self, change, words):
        panel = augmentations.explorer(SMALL)
        picture = panel.picture.value
        for field, value in change.items():
            widget = panel.controls[field]
            if hasattr(widget, "max"):
                widget.max = max(widget.max, value)
            widget.value = value
        assert "Not shown: " in panel.line.value and "Traceback" not in panel.line.value
        assert words in panel.line.value.replace("&#x27;", "'")
        assert panel.picture.value == picture

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"attack": "patch(poison_rate=0)"}, "image=0: the attack poisons 0 images"),
            ({"data": "mnist"}, "has no 'mnist'; choose one of: "),
            ({"attack": "patch(eps=1)"}, "patch has no argument eps; it has: poison_rate, size, variant"),
        ],
    )
    def test_bad_beginnings_say_why(self, change, words):
        panel = augmentations.explorer(replace(SMALL, **change))
        assert words in panel.line.value.replace("&#x27;", "'")
        assert not panel.picture.value
        with pytest.raises(ValueError, match="choose one of none, undefended, defended"):
            State(victim="somebody")

    def test_the_words_say_what_is_left(self):
        state = replace(SMALL, augmentation="none")
        words = augmentations.words(state)
        assert "under no augmentation, not mixed with other images." in words
        assert "It keeps 100% of its label and 100% of the perturbation's norm, on 100% of its pixels." in words
        assert "On average, 100% of the perturbation's norm is left" in augmentations.samples_words(state, 4)
        mixed = replace(SMALL, augmentation="mixup(k=2, alpha=None)")
        partner = augmentations.prepare(mixed).batch.labels[augmentations.prepare(mixed).partners[0]]
        assert f"mixed with images of class {partner}. It keeps" in augmentations.words(mixed)

    def test_partners_and_their_shares_of_the_label(self):
        example = augmentations.prepare(replace(SMALL, augmentation="mixup(k=4, alpha=None)"))
        assert len(example.partners) == 3 and 0 not in example.partners
        assert sum(example.label.values()) == pytest.approx(1)
        assert example.label[example.own_class] >= 0.25

    def test_the_predictions_are_the_chosen_victims(self, monkeypatch):
        asked = []

        def victim(trial, defence):
            asked.append(defence)
            return lambda x: torch.eye(10)[torch.tensor([4, 5, 6])] * 100

        monkeypatch.setattr(_state, "victim", victim)
        state = replace(SMALL, augmentation="cutout", seed=11)
        undefended = augmentations.words(replace(state, victim="undefended"))
        defended = augmentations.words(replace(state, victim="defended"))
        found = "victim predicts 4 (100%) for the clean image, 5 (100%) for the poison, 6 (100%) after augmentation."
        assert f"The undefended {found}" in undefended and f"The defended {found}" in defended
        assert asked == [Pipeline(), augment.pipeline("cutout")]

    def test_many_samples_replace_the_one_in_detail(self):
        panel = augmentations.explorer(SMALL)
        one = panel.picture.value
        panel.controls["many"].value = True
        assert panel.picture.value != one and f"of {augmentations.LIVE} samples" in panel.line.value

    def test_large_images_have_fewer_samples_and_a_trial_is_made_once(self, monkeypatch):
        assert augmentations.live(SMALL) == augmentations.LIVE
        monkeypatch.setattr(augmentations, "VALUES", 1)
        assert augmentations.live(SMALL) == augmentations.LEAST
        assert SMALL.trial is replace(SMALL, noise=0.5).trial


def options(field) -> tuple[str, ...]:
    return next(control.options for control in augmentations.controls() if control.field == field)


class TestMenus:
    @pytest.mark.parametrize("text", augmentations.DATA)
    def test_every_data_set_is_one_that_can_be_read(self, text):
        assert options("data") == augmentations.DATA
        assert isinstance(data.source(text), data.Data)

    def test_a_data_set_that_is_not_there_says_where_to_get_it(self, tmp_path, monkeypatch):
        monkeypatch.setenv("POISONLIB_DATA", str(tmp_path))
        for text in augmentations.DATA[1:]:
            _trial.crafting.images.cache_clear()
            line = augmentations.explorer(replace(SMALL, data=text)).line.value
            assert "Not shown: " in line and "POISONLIB_DOWNLOAD=1" in line, line

    def test_every_victim_and_every_preset_is_shown(self, monkeypatch):
        trial = _trial.trial_of
        monkeypatch.setattr(_trial, "trial_of", lambda *choices: replace(made := trial(*choices), recipe=made.recipe.lasting(1)))
        panel = augmentations.explorer(SMALL)
        for text in options("victim"):
            panel.controls["victim"].value = text
            assert "Not shown" not in panel.line.value and (text == "none" or f"The {text} victim predicts" in panel.line.value)
        for preset in panel.tools.presets.children:
            preset.click()
            assert "Not shown" not in panel.line.value, preset.description

    def test_the_presets_show_what_they_say(self):
        cut, drowned, crafted = (augmentations.PRESETS[name] for name in augmentations.PRESETS)
        left = [survival(each.batch, [each.outcome]) for each in map(augmentations.prepare, (cut, drowned))]
        assert 0 < left[0].area.item() < 1 and left[1].area.item() == 1 and left[1].energy.item() < 0.5
        assert crafted.trial.attack.surrogates

    def test_photographs_are_poisoned_within_the_papers_bound(self):
        """The bound of digits would make noise of them."""
        trial = replace(SMALL, data="cifar(classes=10, limit=2000)", attack="gradient_matching").trial
        assert trial.attack.eps == pytest.approx(16 / 255) and trial.data.limit == 2000
        assert replace(SMALL, attack="gradient_matching").trial.attack.eps == pytest.approx(136 / 255)
        assert replace(SMALL, data="digits(limit=300)", attack="noise").trial.attack.eps == pytest.approx(136 / 255)

    @pytest.mark.parametrize(
        ("largest", "factor"), [(1.0, 1), (0.53, 1), (0.4, 2), (16 / 255, 10), (8 / 255, 20), (1 / 255, 200), (0.0, 500)]
    )
    def test_a_change_is_magnified_as_far_as_it_can_be_read(self, largest, factor):
        assert magnified(largest) == factor

    def test_sliders_without_an_effect_are_disabled(self):
        def off(**change):
            return {field for field, widget in augmentations.explorer(replace(SMALL, **change)).controls.items() if widget.disabled}

        assert off(augmentation="cutmix") == {"k", "share", "noise"}
        assert off(augmentation="mixup(k=2) + laplace") == {"k", "probability", "share"}
        assert off(augmentation="none", many=True) == {"k", "alpha", "probability", "share", "noise", "sample", "victim"}

    def test_every_attack_and_augmentation_is_shown(self, monkeypatch):
        whole = metapoison.minimise
        monkeypatch.setattr(metapoison, "minimise", lambda *how: whole(*how[:4], 1, how[5]))  # one step instead of 40: seconds
        panel = augmentations.explorer(SMALL)
        for field in ("attack", "augmentation"):
            for text in options(field):
                panel.controls[field].value = text
                assert (
                    "Not shown" not in panel.line.value and f" {text.split(' + ')[0]}".replace("none", "no aug") in panel.line.value
                )
        assert set(attacks.names()) - set(options("attack")) == {"external"}, "which needs poisons from elsewhere"


OWN = """
from dataclasses import dataclass
import torch
from poisonlib.augment import Augment

@dataclass(frozen=True)
class Half(Augment):
    k: int = 2  # rows that are kept are the first 1 / k; no slider may change it

    def sample_params(self, n, shape, generator):
        return {}

    def apply(self, x, y, params, generator=None):
        rows = x.shape[2] // self.k
        return torch.cat([x[:, :, :rows], torch.zeros_like(x[:, :, rows:])], 2), y
"""


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    """The name of a module on Python's path that holds an augmentation of the user's own."""
    (tmp_path / "own_augmentations.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_augmentations"
    sys.modules.pop("own_augmentations", None)


OWN_DATA = """
from dataclasses import dataclass
import torch
from poisonlib.data import Data, from_arrays

@dataclass(frozen=True)
class Grey(Data):
    level: float = 0.5

    def load(self, split, download=False):
        images = torch.full((60, 12, 12), self.level) + torch.arange(60)[:, None, None] / 200
        return from_arrays(images, torch.arange(60) % 3, ("a", "b", "c"))
"""


def test_a_data_set_of_ones_own_is_shown_by_its_import_path(tmp_path, monkeypatch):
    (tmp_path / "own_images.py").write_text(OWN_DATA)
    monkeypatch.syspath_prepend(tmp_path)
    panel = augmentations.explorer(replace(SMALL, data="own_images.Grey(level=0.25)", attack="patch(poison_rate=0.5)"))
    assert panel.controls["data"].value == "own_images.Grey(level=0.25)"
    assert panel.picture.value and "Poison 0 of 10 of patch(poison_rate=0.5), class " in panel.line.value


class TestOwnAugmentation:
    def test_it_is_typed_into_the_text_field_by_its_import_path(self, own_module):
        panel = augmentations.explorer(SMALL)
        before = panel.picture.value
        panel.controls["augmentation"].value = f"{own_module}.Half + laplace"
        assert f"under {own_module}.Half + laplace(scale=0.06)" in panel.line.value and panel.picture.value != before
        kept = augmentations.prepare(replace(SMALL, augmentation=f"{own_module}.Half")).outcome
        assert (kept.image[:, 6:] == 0).all() and (kept.image[:, :6] > 0).any()

    def test_sliders_change_only_this_packages_augmentations(self, own_module):
        assert replace(SMALL, augmentation=f"{own_module}.Half + mixup", k=3).pipeline.parts[0].k == 2
        assert replace(SMALL, augmentation=f"{own_module}.Half(k=4) + mixup", k=3).label == f"{own_module}.Half(k=4) + mixup(k=3)"

    def test_a_victim_trains_with_it(self, own_module):
        trial = replace(SMALL.trial, recipe=SMALL.trial.recipe.lasting(1))
        plain, own = (_state.victim(trial, augment.pipeline(text)) for text in ("none", f"{own_module}.Half"))
        assert any(not torch.equal(a, b) for a, b in zip(plain.parameters(), own.parameters(), strict=True))

    def test_a_class_that_was_changed_is_shown_as_it_is_now(self, own_module):
        state = replace(SMALL, augmentation=f"{own_module}.Half", many=True)
        before = [augmentations.explorer(replace(state, many=many)).picture.value for many in (False, True)]
        module = sys.modules[own_module]
        exec(OWN.replace("x.shape[2] // self.k", "2"), vars(module))
        after = [augmentations.explorer(replace(state, many=many)).picture.value for many in (False, True)]
        assert before[0] != after[0] and before[1] != after[1]

    def test_one_that_cannot_be_imported_says_so(self):
        line = augmentations.explorer(replace(SMALL, augmentation="own_augmentations.Half")).line.value
        assert "Not shown: own_augmentations.Half cannot be imported" in line


@pytest.mark.parametrize(("explorer", "module"), [("augmentations", "torch._inductor"), ("poisons", "torch._dynamo")])
def test_the_first_picture_does_not_wait_for_torchs_compiler(explorer, module, tmp_path):
    """Importing it takes longer than all else: nothing but an optimiser may need it, and its work comes after what is known."""
    code = f"""
import asyncio, sys
from poisonlib.widgets import {explorer} as explorer
async def first():
    panel = explorer.explorer()
    while not panel.picture.value:
        await asyncio.sleep(0.01)
    return panel.picture.value[1:4], {module!r} in sys.modules
print(*asyncio.run(first()))
sys.stdout.flush()
__import__('os')._exit(0)  # without waiting for the work that has begun
"""
    environment = {**os.environ, "POISONLIB_OUTPUTS": str(tmp_path)}
    done = subprocess.run([FRESH, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "svg False", done.stdout + done.stderr


def test_a_victim_is_trained_on_the_poisoned_set_once():
    trial = replace(_trial.trial_of("digits", "patch(poison_rate=1.0)", 0), recipe=training.load("quick", epochs=1))
    defence = augment.pipeline("cutmix")
    network = _state.victim(trial, defence)
    assert not network.training and _state.victim(trial, defence) is network
    train = _trial.images(trial, "train").with_poison(_trial.craft(trial)[0])
    again = training.initialise(trial.model, train, trial.seed)
    with training.settings(trial.numerics):
        training.fit(again, train, trial.recipe, seed=trial.seed, augment=defence, numerics=trial.numerics)
    assert all(torch.equal(a, b) for a, b in zip(network.state_dict().values(), again.state_dict().values(), strict=True))


def hand_made():
    """Eight images of 8 x 8 pixels; the first has a perturbation of 0.5 on 2 x 2 pixels, rows 2, 3 and columns 3, 4."""
    clean = torch.linspace(0, 0.4, 8)[:, None, None, None].repeat(1, 1, 8, 8)
    poisoned = clean.clone()
    poisoned[0, :, 2:4, 3:5] += 0.5
    return Batch(clean, poisoned, torch.arange(8) % 2)


@dataclass(frozen=True)
class Fixed(Augment):
    """An augmentation with the same box in every sample: rows 0..2, so half of the hand-made perturbation."""

    part: Augment

    def sample_params(self, n, shape, generator):
        return {"box": torch.tensor([[0, 0, 3, 8]]).repeat(n, 1), "partner": torch.arange(n).roll(1)}

    def apply(self, x, y, params, generator=None):
        return self.part.apply(x, y, params, generator)


class TestSurvival:
    @pytest.mark.parametrize("name", ["cutout", "cutmix"])
    def test_half_of_the_pixels_by_hand(self, name):
        batch = hand_made()
        left = survival(batch, [outcome(batch, Pipeline((Fixed(augment.load(name)),)), 0)])
        assert (left.area.item(), left.signal.item()) == (0.5, pytest.approx(0.5))
        assert left.energy.item() == pytest.approx(0.5**0.5)

    @pytest.mark.parametrize("name", ["cutout", "cutmix(probability=1.0)"])
    def test_random_boxes_against_counting_pixels_one_by_one(self, name):
        batch, part = hand_made(), augment.load(name)
        left = survival(batch, [outcome(batch, part, 5, i) for i in range(30)])
        for i in range(30):
            top, left_, bottom, right = part.sample_params(8, (1, 8, 8), stream(5, i))["box"][0].tolist()
            kept = [(r, c) for r in (2, 3) for c in (3, 4) if not (top <= r < bottom and left_ <= c < right)]
            assert left.area[i].item() == len(kept) / 4
            assert left.energy[i].item() == pytest.approx((len(kept) / 4) ** 0.5)
        assert len(set(left.area.tolist())) > 1

    def test_mixup_leaves_the_images_own_weight_everywhere_and_noise_cancels(self):
        batch = hand_made()
        mixed = outcome(batch, augment.pipeline("mixup(k=3) + laplace(scale=0.3)"), 1)
        left = survival(batch, [mixed])
        assert left.area.item() == 1
        assert left.energy.item() == pytest.approx(mixed.weights[0].item(), abs=1e-5)
        assert (mixed.image - outcome(batch, augment.pipeline("mixup(k=3)"), 1).image).abs().max() > 0.1

    def test_an_image_that_was_left_as_it_is_is_refused(self):
        batch = replace(hand_made(), poisoned=hand_made().clean)
        with pytest.raises(ValueError, match="nothing to survive"):
            survival(batch, [outcome(batch, Pipeline(), 0)])

    def test_a_batch_holds_the_image_and_others_as_the_victim_sees_them(self):
        train = _trial.images(_trial.trial_of("digits", "patch", 0), "train")
        ids = train.ids.sort().values[:400]
        poison = Poison(ids, 255 - train.images[train.positions(ids)])
        batch = batch_of(train, poison, 7, 0)
        at = train.positions(ids[7:8])
        assert torch.equal(batch.clean[:1], train.images[at] / 255)
        assert torch.allclose(batch.poisoned[:1], 1 - batch.clean[:1])
        assert torch.equal(batch.clean[1:], batch.poisoned[1:])
        assert len(batch.labels) == 8 and batch.labels[0] == train.labels[at]
        with pytest.raises(ValueError, match="the attack poisons 400 images"):
            batch_of(train, poison, 400, 0)
