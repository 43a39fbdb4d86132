"""The poison explorer without a browser: what its controls change, and that what it shows is what the package itself computes."""

import sys
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

pytest.importorskip("ipywidgets")

from poisonlib import experiments, filters, training
from poisonlib.experiments import Defence, crafting
from poisonlib.experiments.cache import Cache
from poisonlib.widgets import Drawing, _trial, poisons
from poisonlib.widgets.poisons import State, inside
from poisonlib.widgets.poisons import _pictures as pictures

ATTACKS = {"gradient_matching": "gradient_matching(steps=6)", "patch": "patch(poison_rate=0.4)"}
OF = _trial.trial_of


@pytest.fixture(scope="module", autouse=True)
def small(tmp_path_factory):
    """Three epochs on 300 images, poisons for as many, and a cache of its own."""

    def trial_of(*choices):
        trial = OF(*choices)
        trial = replace(trial, recipe=trial.recipe.lasting(3), data=replace(trial.data, limit=300))
        if getattr(trial.attack, "poison_rate", 0) == 0.08:  # more images than the smallest class then has
            return replace(trial, attack=replace(trial.attack, poison_rate=0.06))
        return trial

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POISONLIB_OUTPUTS", str(tmp_path_factory.mktemp("outputs")))
        patch.setattr(_trial, "trial_of", trial_of)
        yield


def source_of(attack, **more):
    return inside.known(State(attack=ATTACKS.get(attack, attack), **more).trial)


class TestPanel:
    def test_every_control_passes_its_value_on(self, monkeypatch):
        states = []
        monkeypatch.setattr(poisons, "render", lambda state: states.append(state) or Drawing((1.0, 1.0)))
        monkeypatch.setattr(poisons, "words", lambda state: state.view)
        panel = poisons.explorer()
        wanted = {"view": "craft", "attack": "patch", "defence": "mixup(k=4)", "page": 1, "seed": 3, "epoch": 9}
        for field, value in wanted.items():
            panel.controls[field].value = value
        assert states == [State(**dict(list(wanted.items())[:n])) for n in range(len(wanted) + 1)]
        assert set(panel.controls) == {field.name for field in fields(State)}
        assert all(widget.description and widget.tooltip for widget in panel.controls.values())

    def test_what_takes_long_is_said_before(self):
        assert poisons.notice(State()) == "Crafting gradient_matching, seed 0 ..."
        notices = [poisons.notice(State(view=view, defence="cutmix")) for view in poisons.VIEWS]
        assert all("training" in each and "takes some seconds ..." in each for each in notices[2:])
        assert len(set(notices)) == 4, "each kind of work is announced"
        assert "one of them with cutmix" in poisons.notice(State(view="training", defence="cutmix"))

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"page": 2}, "page=2: 8 poisons fill the pages 0 to 0"),
            ({"defence": "mixdown"}, "no defence 'mixdown'; choose none, or join with +: "),
            ({"defence": "mixup("}, "write a name, or name(number=value, ...), joined by +"),
            ({"defence": "mixup(k=900)", "view": "training"}, "a mix of k=900 distinct images cannot be drawn from a batch of n="),
            ({"attack": "gradient_matching(poison_rate=0)"}, "poisons no image: there is nothing to show"),
            ({"attack": "patch(poison_rate=0)", "view": "filters"}, "poisons no image: there is nothing to show"),
            ({"attack": "mnist"}, "has no 'mnist'; choose one of: "),
            ({"attack": "patch + noise"}, "give one name here, not 2 joined by +"),
        ],
    )
    def test_bad_states_say_why(self, change, words):
        panel = poisons.explorer(replace(State(attack=ATTACKS["gradient_matching"]), **change))
        assert "Not shown: " in panel.line.value
        assert words in panel.line.value.replace("&#x27;", "'")

    def test_there_is_no_other_view(self):
        with pytest.raises(ValueError, match="view='all': choose one of poisons, craft"):
            State(view="all")


@pytest.mark.exact
def test_every_view_and_every_preset_is_shown():
    panel = poisons.explorer(State(attack=ATTACKS["gradient_matching"]))
    for view in poisons.VIEWS:
        panel.controls["view"].value = view
        assert "Not shown" not in panel.line.value and panel.picture.value.startswith("<svg"), (view, panel.line.value)
    for preset in panel.tools.presets.children:
        preset.click()
        assert "Not shown" not in panel.line.value, preset.description


def test_the_play_button_goes_through_the_victims_epochs():
    panel = poisons.explorer(State(attack="patch", view="training"))
    play = next(each for each in panel.tools.below.children if type(each).__name__ == "Play")
    assert not play.disabled and (play.min, play.max) == (1, poisons.EPOCHS)
    last, picture = panel.line.value, panel.picture.value
    play.value = 1
    assert panel.state.epoch == 1 and "after 1 of 3 epochs" in panel.line.value and panel.picture.value != picture
    play.value = 3
    assert panel.line.value == last, "there are three epochs here"
    panel.controls["view"].value = "filters"
    assert play.disabled and panel.controls["page"].disabled and not panel.controls["defence"].disabled


@pytest.mark.parametrize("view", poisons.VIEWS)
@pytest.mark.parametrize("attack", ATTACKS)
def test_every_view_shows_every_attack_the_same_each_time(attack, view):
    state = State(view=view, attack=ATTACKS[attack], defence="cutmix")
    first = poisons.render(state).png()
    assert first.startswith(b"\x89PNG") and first == poisons.render(state).png()
    assert poisons.words(state).endswith(".")


class TestTrials:
    def test_each_attack_has_the_profile_that_has_numbers_for_it(self):
        targeted, backdoor = (experiments.profile(name, "quick") for name in ("targeted", "backdoor"))
        for attack in ("gradient_matching", "noise", "watermark"):
            trial = OF("digits", attack, 0)
            assert (trial.data, trial.recipe) == (targeted.data, targeted.recipe)
            assert trial.attack.eps == targeted.attacks[attack]["eps"]
        assert OF("digits", "patch", 0).data == backdoor.data

    def test_only_an_attacker_who_adapts_crafts_again_for_a_defence(self):
        assert source_of("gradient_matching", defence="mixup") == source_of("gradient_matching", defence="cutmix")
        adaptive = source_of("gradient_matching(steps=6, adaptive='surrogate')", defence="mixup")
        assert adaptive.defence == experiments.defence("mixup")


class TestEarly:
    def test_the_images_and_the_target_are_those_of_the_craft(self):
        source = source_of("gradient_matching")
        (base, goal), (made, its_goal) = inside.chosen(source), inside.poison(source)
        train = _trial.images(source, "train")
        assert torch.equal(base.ids, made.ids) and torch.equal(base.images, train.images[train.positions(made.ids)])
        assert torch.equal(goal.images, its_goal.images) and goal.intended_class == its_goal.intended_class

    def test_nothing_is_trained_or_optimised_for_it(self, monkeypatch):
        monkeypatch.setattr(training, "train", None)
        state = State(attack="gradient_matching(poison_rate=0.02)", seed=7)
        assert poisons.early(state).png().startswith(b"\x89PNG")
        with pytest.raises(TypeError):
            poisons.render(state)

    def test_what_is_crafted_at_once_has_none_and_other_views_have_words(self):
        assert poisons.early(State(attack="patch")) is None
        state = State(attack="patch", view="filters")
        assert [text.get_text() for text in poisons.early(state).texts] == [poisons.notice(state)]


def test_the_words_count_the_poisons_and_the_pages():
    state = State(attack="patch(poison_rate=1.0)")
    made, goal = inside.poison(source_of("patch(poison_rate=1.0)"))
    text = poisons.words(replace(state, page=1))
    assert f"{len(made)} of 300 training images are poisoned, all of class {goal.intended_class}, and keep" in text
    assert f"{len(goal.images)} test images of class {goal.source_class} to be classified as {goal.intended_class}." in text
    assert "Poisons 8 to 15 are shown." in text
    assert list(pictures.page_of(made, 3)) == list(range(24, len(made)))


def test_the_crafting_is_that_of_the_poisons():
    source = source_of("gradient_matching")
    values, (made, goal) = inside.trace(source), inside.poison(source)
    assert len(values) == 6 and values[-1] < values[0]
    known = crafting.with_surrogates(source, _trial.CPU, Cache.open())
    assert values[-1].item() == pytest.approx(source.attack.objective(known, made, goal, 0), rel=0.3)
    assert f"is {values[0]:.2f} before the first step and {values[-1]:.3f} before the last of 6" in poisons.words(
        State(view="craft", attack=ATTACKS["gradient_matching"])
    )
    assert inside.trace(source_of("noise")) is None
    assert "noise optimises nothing" in poisons.words(State(view="craft", attack="noise"))


def test_the_words_say_whether_the_poisons_transfer_to_a_network_that_the_attacker_does_not_have(monkeypatch):
    source = source_of("gradient_matching")
    made, goal = inside.poison(source)
    train, clean = _trial.images(source, "train"), inside.victim(source, "clean").network
    judge = replace(crafting.threat_model(source, _trial.CPU), surrogates=(clean,))
    base = replace(made, images=train.images[train.positions(made.ids)])
    with training.settings(source.numerics):
        wanted = [source.attack.objective(judge, each, goal, source.seed) for each in (made, base)]
    assert inside.held_out(source) == pytest.approx(wanted, abs=1e-4)
    state = State(view="craft", attack=ATTACKS["gradient_matching"])
    last = f"it is {wanted[0]:.2f}, and {wanted[1]:.2f} for the same images unpoisoned: "
    assert f"On a clean network that the attacker does not have, {last}" in poisons.words(state)
    for values, says in (
        ((0.5, 0.7), "0.70 for the same images unpoisoned: the poisons transfer."),
        ((0.7, 0.7), "do not transfer."),
    ):
        monkeypatch.setattr(inside, "held_out", lambda _, values=values: values)
        assert poisons.words(state).endswith(says)


def test_an_attack_without_a_surrogate_has_no_transfer():
    assert inside.held_out(source_of("noise")) is None and inside.held_out(source_of("patch")) is None
    assert "does not have" not in poisons.words(State(view="craft", attack="noise"))


class TestVictims:
    @pytest.mark.parametrize(("kind", "defence"), [("clean", "none"), ("undefended", "none"), ("defended", "mixup(k=2)")])
    def test_the_last_entry_is_what_a_victim_trained_in_one_go_says(self, kind, defence):
        trial = State(attack=ATTACKS["gradient_matching"], defence="mixup(k=2)").trial
        train = crafting.images(trial.data, "train", _trial.CPU)
        made, goal = experiments.craft(trial, "cpu")
        network = training.initialise(trial.model, train, trial.seed)
        how = {"seed": trial.seed, "augment": experiments.defence(defence).augment, "numerics": trial.numerics}
        with training.settings(trial.numerics):
            training.fit(network, train if kind == "clean" else train.with_poison(made), trial.recipe, **how)
            expected = training.logits(network, goal.images, trial.numerics).softmax(1).mean(0)
        victim = inside.victim(trial, kind)
        assert victim.probabilities.shape == (3, 10) and not victim.network.training
        assert torch.equal(victim.probabilities[-1], expected)
        assert inside.victim(trial, kind) is victim

    def test_one_that_filters_trains_on_what_is_kept(self, monkeypatch):
        trial = State(attack=ATTACKS["gradient_matching"], defence="deep_knn(multiple=4.0)").trial
        train, sets, trained = inside.poisoned_set(inside.known(trial)), [], training.train
        points = inside.features(inside.known(trial))[0]

        def watched(model, images, *rest, **how):
            sets.append(images)
            return trained(model, images, *rest, **how)

        monkeypatch.setattr(training, "train", watched)
        inside.victim(trial, "defended")
        keep = filters.load("deep_knn", multiple=4.0).score(points, train.labels).keep
        assert 0 < keep.sum() < len(train)
        assert torch.equal(sets[-1].ids, train.ids[keep])

    def test_the_words_give_the_last_probabilities(self):
        state = State(view="training", attack=ATTACKS["patch"], defence="cutmix")
        text, goal = poisons.words(state), inside.poison(source_of("patch"))[1]
        for kind, name in pictures.titles(state.trial).items():
            last = inside.victim(state.trial, kind).probabilities[-1]
            assert f"{name}: {last[goal.intended_class]:.0%} and {last[goal.source_class]:.0%}" in text
        assert f"after 3 of 3 epochs, the average for {len(goal.images)} images" in text
        first = poisons.words(replace(state, epoch=1))
        start = inside.victim(state.trial, "undefended").probabilities[0]
        assert (
            f"undefended: {start[goal.intended_class]:.0%} and {start[goal.source_class]:.0%}" in first and "after 1 of 3" in first
        )
        assert "defended" not in pictures.titles(replace(state, defence="none").trial)


class TestFeatures:
    def test_the_plane_is_that_of_numpys_svd(self):
        points = torch.randn(40, 7, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 8)
        found, values = inside.plane(points), points.double().numpy()
        left, sizes, _ = np.linalg.svd(values - values.mean(0), full_matrices=False)
        ours, theirs = found.project(points).numpy(), left[:, :2] * sizes[:2]
        assert np.allclose(ours * np.sign((ours * theirs).sum(0)), theirs, atol=1e-9)
        assert np.allclose(found.shares.numpy(), (sizes**2 / (sizes**2).sum())[:2])
        assert (found.axes.gather(1, found.axes.abs().argmax(1, keepdim=True)) > 0).all()

    @pytest.mark.parametrize("points", [torch.ones(5, 4), torch.rand(5, 1), torch.rand(1, 4)])
    def test_no_plane_where_there_is_none(self, points):
        with pytest.raises(ValueError, match="two of each are needed, and not all images alike"):
            inside.plane(points)

    @pytest.mark.parametrize("attack", ATTACKS)
    def test_every_image_of_the_two_classes_is_in_one_group(self, attack):
        source = source_of(attack)
        (groups, _), train, (made, goal) = inside.groups(source), inside.poisoned_set(source), inside.poison(source)
        sizes = {name: len(points) for name, points in groups.items()}
        assert sizes["poisons"] == len(made) and sizes["target"] == len(goal.images)
        assert sizes["intended"] + sizes["poisons"] == (train.labels == goal.intended_class).sum()
        assert sizes["source"] == (train.labels == goal.source_class).sum()
        both = torch.cat([groups[name] for name in ("intended", "poisons", "source")])
        assert torch.allclose(both.mean(0), torch.zeros(2, dtype=torch.float64), atol=1e-5), "the plane is centred on them"


class TestFilters:
    @pytest.mark.parametrize("attack", ATTACKS)
    def test_the_counts_are_the_filters_own(self, attack):
        source = source_of(attack)
        train, (made, _) = inside.poisoned_set(source), inside.poison(source)
        network = inside.victim(source, "undefended").network
        points = training.features(network, train.images, source.numerics)
        bad = torch.isin(train.ids, made.ids)
        found = inside.filtered(source)
        assert list(found) == filters.names()
        words = poisons.words(State(view="filters", attack=ATTACKS[attack]))
        rate = len(made) / 300
        told = {name: {"expected": rate} for name in ("spectral_signatures", "deep_knn")}
        told["random_removal"] = {"inner": f"spectral_signatures(expected={rate})"}
        for name, report in found.items():
            result = filters.load(name, **told.get(name, {})).score(points, train.labels)
            assert (report.removed, report.poisons_removed) == (int((~result.keep).sum()), int((~result.keep & bad).sum()))
            assert report.auc == filters.roc(result.scores, bad)[2]
            counts = f"{report.removed} removed, {report.poisons_removed} of {len(made)} poisons, ROC area {report.auc:.2f}"
            alone = f", one round alone {min(result.rounds)} to {max(result.rounds)}" if result.rounds else ""
            assert f"{name}: {counts}{alone}" in words
        assert len(found["activation_clustering"].rounds) == 5

    def test_the_features_are_those_of_the_victim_without_a_defence(self):
        trial = State(attack=ATTACKS["gradient_matching"], defence="mixup(k=2)").trial
        assert inside.known(trial).defence == Defence()
        assert inside.features(inside.known(trial))[0].shape == (300, 64)

    def test_the_filter_of_the_defence_is_shown_beside_the_packages_own(self):
        trial = State(attack=ATTACKS["gradient_matching"], defence="deep_knn(multiple=9.0)").trial
        found = inside.filtered(trial)
        assert list(found) == [*filters.names(), "deep_knn(multiple=9.0)"]
        assert found["deep_knn(multiple=9.0)"].removed > found["deep_knn"].removed


OWN = """
from dataclasses import dataclass
import torch
from poisonlib.attacks import Attack
from poisonlib.data import Goal, Poison
from poisonlib.filters import Filter, FilterResult

@dataclass(frozen=True)
class Negatives(Attack):
    count: int = 5  # images of each of the classes 0 and 1 that become their negatives

    def craft(self, threat_model, seed):
        train, aim = threat_model.train, threat_model.test.of_class(2).take(torch.arange(1))
        at = torch.cat([(train.labels == label).nonzero()[: self.count, 0] for label in (0, 1)])
        base = train.take(at[train.ids[at].argsort()])
        return Poison(base.ids, 255 - base.images), Goal(aim.images, aim.labels, aim.ids, 0)

    def trace(self, threat_model, seed):
        return torch.tensor([8.0, 5.0, 4.0])

@dataclass(frozen=True)
class Largest(Filter):
    count: int = 20  # images that are removed: those with the largest features

    def score(self, features, labels):
        norms = features.norm(dim=1).double()
        return FilterResult(norms < norms.sort().values[-self.count], norms)
"""


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    """The name of a module on Python's path that holds an attack and a filter of the user's own."""
    (tmp_path / "own_choices.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_choices"
    sys.modules.pop("own_choices", None)


def test_an_attack_and_a_filter_of_ones_own_are_shown_in_every_view(own_module):
    state = State(attack=f"{own_module}.Negatives", defence=f"{own_module}.Largest(count=30)")
    said = {}
    for view in poisons.VIEWS:
        panel = poisons.explorer(replace(state, view=view))
        said[view] = panel.line.value
        assert panel.picture.value and "Not shown" not in panel.line.value, panel.line.value
    assert "10 of 300 training images are poisoned, all of the classes 0, 1, and keep" in said["poisons"]
    assert f"The objective of {own_module}.Negatives is 8.00 before the first step and 4.000 before" in said["craft"]
    assert f"{own_module}.Largest(count=30): 30 removed" in said["filters"]
    assert panel.controls["attack"].value == state.attack, "what the menu does not offer is added"


@pytest.mark.exact
def test_every_attack_and_defence_of_the_menus_works_or_says_what_to_get():
    panel = poisons.explorer(State(attack=ATTACKS["patch"], view="training"))
    for text in panel.controls["defence"].options:
        panel.controls["defence"].value = text
        line = panel.line.value
        assert "Not shown" not in line or "pip install -r requirements-opacus.txt" in line, line
    panel = poisons.explorer(State(attack=ATTACKS["patch"]))
    for text in panel.controls["attack"].options:
        panel.controls["attack"].value = text
        assert "Not shown" not in panel.line.value
