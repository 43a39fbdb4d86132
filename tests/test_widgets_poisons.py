"""The poison explorer without a browser: what its controls change, and that what it shows is what the package itself computes."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

pytest.importorskip("ipywidgets")

from poisonlib import experiments, filters, training
from poisonlib.experiments import Defence
from poisonlib.widgets import Drawing, _trial, inside, poisons
from poisonlib.widgets import _inside_pictures as pictures
from poisonlib.widgets.poisons import State

ATTACKS = {"gradient_matching": "gradient_matching(steps=6)", "patch": "patch(share=0.4)"}
OF = _trial.trial_of


@pytest.fixture(scope="module", autouse=True)
def small(tmp_path_factory):
    """Three epochs on 300 images, and a cache of its own."""

    def trial_of(*choices):
        trial = OF(*choices)
        return replace(trial, recipe=trial.recipe.lasting(3), data=replace(trial.data, limit=300))

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
        wanted = {"view": "craft", "attack": "patch", "defence": "mixup(k=4)", "page": 1, "seed": 3}
        for field, value in wanted.items():
            panel.controls[field].value = value
        assert states == [State(**dict(list(wanted.items())[:n])) for n in range(len(wanted) + 1)]
        assert set(panel.controls) == {field.name for field in fields(State)}
        assert all(widget.description and widget.tooltip for widget in panel.controls.values())

    def test_what_takes_long_is_said_before(self):
        assert poisons.notice(State()) == "Crafting gradient_matching, seed 0 ..."
        notices = [poisons.notice(State(view=view, defence="cutmix")) for view in poisons.VIEWS]
        assert all("training" in each and "some seconds ..." in each for each in notices[2:])
        assert len(set(notices)) == 4, "each kind of work is announced"
        assert "one under cutmix" in poisons.notice(State(view="training", defence="cutmix"))

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"page": 2}, "page=2: 8 poisons end on page 0, counted from 0"),
            ({"defence": "mixdown"}, "no defence 'mixdown'; choose none, or join with +: "),
            ({"defence": "mixup("}, "write a name, or name(number=value, ...), joined by +"),
            ({"defence": "mixup(k=900)", "view": "training"}, "a mix of k=900 distinct images cannot be drawn from a batch of n="),
            ({"attack": "gradient_matching(budget=0)"}, "poisons no image: there is nothing to look into"),
            ({"attack": "patch(share=0)", "view": "filters"}, "poisons no image: there is nothing to look into"),
            ({"attack": "mnist"}, "has no 'mnist'; choose one of: "),
            ({"attack": "patch + noise"}, "one name is wanted here, not 2 joined by +"),
        ],
    )
    def test_bad_states_say_why(self, change, words):
        panel = poisons.explorer(replace(State(attack=ATTACKS["gradient_matching"]), **change))
        assert "Not shown: " in panel.line.value
        assert words in panel.line.value.replace("&#x27;", "'")

    def test_there_is_no_other_view(self):
        with pytest.raises(ValueError, match="view='all': choose one of poisons, craft"):
            State(view="all")


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


class TestBeginning:
    def test_it_is_the_crafts_own_choice_of_images_and_target(self):
        source = source_of("gradient_matching")
        (clean, goal), (made, its_goal) = inside.beginning(source), inside.poison(source)
        train = _trial.images(source, "train")
        assert torch.equal(clean.rows, made.rows) and torch.equal(clean.images, train.images[train.positions(made.rows)])
        assert torch.equal(goal.images, its_goal.images) and goal.wanted == its_goal.wanted

    def test_nothing_is_trained_or_optimised_for_it(self, monkeypatch):
        monkeypatch.setattr(training, "fit", None)
        state = State(attack="gradient_matching(budget=0.02)", seed=7)
        assert poisons.early(state).png().startswith(b"\x89PNG")
        with pytest.raises(TypeError):
            poisons.render(state)

    def test_what_is_crafted_at_once_has_none_and_other_views_have_words(self):
        assert poisons.early(State(attack="patch")) is None
        state = State(attack="patch", view="filters")
        assert [text.get_text() for text in poisons.early(state).texts] == [poisons.notice(state)]


def test_the_words_count_the_poisons_and_the_pages():
    state = State(attack="patch(share=1.0)")
    made, goal = inside.poison(source_of("patch(share=1.0)"))
    text = poisons.words(replace(state, page=1))
    assert f"{len(made)} of 300 training images are poisoned, all of class {goal.wanted}" in text
    assert "Shown are poisons 8 to 15." in text and f"{len(goal.images)} test images" in text
    assert list(pictures.page_of(made, 3)) == list(range(24, len(made)))


def test_the_crafting_is_that_of_the_poisons():
    source = source_of("gradient_matching")
    values, (made, goal) = inside.trace(source), inside.poison(source)
    assert len(values) == 6 and values[-1] < values[0]
    scene = experiments.crafted.scene(source, _trial.CPU, experiments.models.Cache.open())
    assert values[-1].item() == pytest.approx(source.attack.objective(scene, made, goal, 0), rel=0.3)
    assert f"from {values[0]:.2f} before the first step to {values[-1]:.3f}" in poisons.words(
        State(view="craft", attack=ATTACKS["gradient_matching"])
    )
    assert inside.trace(source_of("noise")) is None
    assert "noise does not optimise" in poisons.words(State(view="craft", attack="noise"))


class TestVictims:
    @pytest.mark.parametrize(("kind", "defence"), [("clean", "none"), ("undefended", "none"), ("defended", "mixup(k=2)")])
    def test_the_last_entry_is_what_a_victim_trained_in_one_go_says(self, kind, defence):
        trial = State(attack=ATTACKS["gradient_matching"], defence="mixup(k=2)").trial
        train = experiments.crafted.images(trial.data, "train", _trial.CPU)
        made, goal = experiments.craft(trial, "cpu")
        network = training.initialise(trial.model, train, trial.seed)
        how = {"seed": trial.seed, "augment": experiments.defence(defence).augment, "numerics": trial.numerics}
        with training.settings(trial.numerics):
            training.fit(network, train if kind == "clean" else train.with_poison(made), trial.recipe, **how)
            wanted = training.logits(network, goal.images, trial.numerics).softmax(1).mean(0)
        victim = inside.victim(trial, kind)
        assert victim.probabilities.shape == (3, 10) and not victim.network.training
        assert torch.equal(victim.probabilities[-1], wanted)
        assert inside.victim(trial, kind) is victim

    def test_one_that_filters_trains_on_what_is_kept(self, monkeypatch):
        trial = State(attack=ATTACKS["gradient_matching"], defence="deep_knn(multiple=4.0)").trial
        train, sizes, epochs = inside.poisoned_set(inside.known(trial)), [], training.epochs
        points = inside.features(inside.known(trial))[0]
        monkeypatch.setattr(
            training, "epochs", lambda network, seen, *rest, **how: sizes.append(seen) or epochs(network, seen, *rest, **how)
        )
        inside.victim(trial, "defended")
        keep = filters.load("deep_knn", multiple=4.0).judge(points, train.labels).keep
        assert 0 < keep.sum() < len(train)
        assert torch.equal(sizes[-1].rows, train.rows[keep])

    def test_the_words_give_the_last_probabilities(self):
        state = State(view="training", attack=ATTACKS["patch"], defence="cutmix")
        text, goal = poisons.words(state), inside.poison(source_of("patch"))[1]
        for kind, name in pictures.titles(state.trial).items():
            last = inside.victim(state.trial, kind).probabilities[-1]
            assert f"{name}: {last[goal.wanted]:.0%} (true class {last[goal.labels[0]]:.0%})" in text
        assert f"{len(goal.images)} images of class {goal.labels[0]} are on average" in text
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
        with pytest.raises(ValueError, match="a plane needs two of each, and not all alike"):
            inside.plane(points)

    @pytest.mark.parametrize("attack", ATTACKS)
    def test_every_image_of_the_two_classes_is_in_one_group(self, attack):
        source = source_of(attack)
        (groups, _), train, (made, goal) = inside.groups(source), inside.poisoned_set(source), inside.poison(source)
        sizes = {name: len(points) for name, points in groups.items()}
        assert sizes["poisons"] == len(made) and sizes["target"] == len(goal.images)
        assert sizes["base"] + sizes["poisons"] == (train.labels == goal.wanted).sum()
        assert sizes["true"] == (train.labels == goal.labels[0]).sum()
        both = torch.cat([groups[name] for name in ("base", "poisons", "true")])
        assert torch.allclose(both.mean(0), torch.zeros(2, dtype=torch.float64), atol=1e-5), "the plane is centred on them"


class TestFilters:
    @pytest.mark.parametrize("attack", ATTACKS)
    def test_the_counts_are_the_filters_own(self, attack):
        source = source_of(attack)
        train, (made, _) = inside.poisoned_set(source), inside.poison(source)
        network = inside.victim(source, "undefended").network
        points = training.features(network, train.images, source.numerics)
        bad = torch.isin(train.rows, made.rows)
        found = inside.verdicts(source)
        assert [each.name for each in found] == filters.names()
        for each in found:
            told = {} if each.name == "activation_clustering" else {"expected": len(made) / 300}
            verdict = filters.load(each.name, **told).judge(points, train.labels)
            assert (each.removed, each.poisons) == (int((~verdict.keep).sum()), int((~verdict.keep & bad).sum()))
            assert each.area == filters.roc(verdict.scores, bad)[2]
            assert f"{each.name} {each.removed}, {each.poisons} of them poisons" in poisons.words(
                State(view="filters", attack=ATTACKS[attack])
            )

    def test_the_features_are_those_of_the_victim_without_a_defence(self):
        trial = State(attack=ATTACKS["gradient_matching"], defence="mixup(k=2)").trial
        assert inside.known(trial).defence == Defence()
        assert inside.features(inside.known(trial))[0].shape == (300, 64)
