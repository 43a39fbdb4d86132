"""What every attack must do, the checks around crafting, and poisons that were crafted elsewhere."""

import dataclasses

import pytest
import torch

from poisonlib import attacks, data, experiments, models, registry, training
from poisonlib.attacks import ThreatModel, external
from poisonlib.attacks.patch import Patch
from poisonlib.data import Goal, Poison
from poisonlib.tensors import levels


@pytest.fixture(scope="module")
def threat_model():
    return ThreatModel(data.load("digits", "train"), data.load("digits", "test"))


@pytest.fixture
def attack(request, threat_model, tmp_path, monkeypatch):
    """The attack of a name with little work; poisons from elsewhere are those of a patch."""
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
    if request.param == "external":
        return attacks.given(*Patch().craft(threat_model, 7), "patches from elsewhere")
    fields = {field.name for field in dataclasses.fields(registry.find("poisonlib.attacks", attacks.Attack, request.param))}
    little = {"steps": 10, "restarts": 2, "inner": "feature_collision(steps=10)", "ensemble": 1}
    return attacks.load(request.param, **{key: value for key, value in little.items() if key in fields})


def with_surrogates(threat_model, attack):
    """The threat model with the networks that the attack needs, untrained: what they have learnt does not matter here."""
    networks = [training.initialise(models.load("patch_mlp"), threat_model.train, each.number) for each in attack.surrogates]
    return dataclasses.replace(threat_model, surrogates=tuple(networks))


@pytest.mark.parametrize("attack", attacks.names(), indirect=True)
class TestEveryAttack:
    """What every attack must do."""

    def test_same_seed_same_bytes_and_the_training_set_stays_as_it_is(self, attack, threat_model):
        before = threat_model.train.images.clone()
        threat_model = with_surrogates(threat_model, attack)
        (poison, goal), (again, goal_again) = (attacks.craft(attack, threat_model, seed=7) for _ in range(2))
        assert poison.digest == again.digest and torch.equal(goal.images, goal_again.images)
        assert torch.equal(threat_model.train.images, before)
        assert torch.equal(poison.ids, poison.ids.unique()), "ids ascend and are distinct"
        assert (goal.labels != goal.intended_class).all()

    def test_it_keeps_its_eps_and_beats_noise_of_the_same_size_at_its_own_objective(self, attack, threat_model):
        threat_model = with_surrogates(threat_model, attack)
        poison, goal = attack.craft(threat_model, 7)
        if attack.eps is None:
            assert attack.objective(threat_model, poison, goal, 7) is None
            return
        noise, _ = attacks.load("noise", eps=attack.eps, poison_rate=attack.poison_rate).craft(threat_model, 7)
        base = threat_model.train.images[threat_model.train.positions(poison.ids)].int()
        if attack.bound is not None:
            assert (poison.images.int() - base).abs().max() <= levels(attack.bound) <= levels(attack.eps)
        assert torch.equal(poison.ids, noise.ids)
        reached, by_chance = (attack.objective(threat_model, each, goal, 7) for each in (poison, noise))
        trace = attack.trace(threat_model, 7)
        assert (reached is None) == (trace is None) == (not attack.surrogates)
        assert reached is None or (reached < by_chance and len(trace) == 10)

    def test_a_missing_surrogate_is_an_error_that_says_so(self, attack, threat_model):
        if attack.surrogates:
            with pytest.raises(ValueError, match=r"surrogates: .* needs \d trained networks in its threat model, not 0"):
                attacks.craft(attack, threat_model, seed=7)
        else:
            assert attacks.craft(attack, threat_model, seed=7)


# attacks.craft and attacks.given


@dataclasses.dataclass(frozen=True)
class TooMuch(attacks.Attack):
    """Says that it changes pixels by 2/255 at most, and changes them by 3/255."""

    eps: float = 2 / 255

    def craft(self, threat_model, seed):
        base = threat_model.train.take(torch.arange(2))
        base = base.take(base.ids.argsort())
        aim = threat_model.test.take(torch.arange(1))
        return Poison(base.ids, torch.where(base.images > 128, base.images - 3, base.images + 3)), Goal(
            aim.images, aim.labels, aim.ids, (int(aim.labels[0]) + 1) % 10
        )


def test_craft_takes_a_name_and_checks_the_values(threat_model):
    poison, _ = attacks.craft("patch(poison_rate=0.2)", threat_model, seed=3)
    assert poison.digest == Patch(poison_rate=0.2).craft(threat_model, 3)[0].digest
    with pytest.raises(ValueError, match="size=17"):
        attacks.craft("patch(size=17)", threat_model, seed=3)


def test_craft_refuses_a_poison_that_breaks_the_attacks_own_eps(threat_model):
    with pytest.raises(ValueError, match=r"changed a pixel by 3/255, which is more than its eps of 2/255"):
        attacks.craft(TooMuch(), threat_model, seed=0)
    assert attacks.craft(TooMuch(eps=3 / 255), threat_model, seed=0)


def test_the_largest_change_is_that_of_a_loop_over_pixels(threat_model):
    poison, _ = Patch().craft(threat_model, 0)
    changes = [
        abs(new - old)
        for id_, image in zip(poison.ids.tolist(), poison.images, strict=True)
        for new, old in zip(
            image.flatten().tolist(), threat_model.train.images[threat_model.train.ids == id_].flatten().tolist(), strict=True
        )
    ]
    assert attacks.largest_change(threat_model.train, poison) == max(changes) > 0
    with pytest.raises(ValueError, match=r"poisons of shape \(1, 16, 12\)"):
        attacks.largest_change(threat_model.train, Poison(poison.ids, poison.images[..., :12]))


@pytest.fixture
def given(threat_model, tmp_path, monkeypatch):
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
    poison, goal = Patch().craft(threat_model, 7)
    return poison, goal, attacks.given(poison, goal, "mine")


def test_a_given_attack_returns_what_it_was_given_whatever_the_seed(given, threat_model):
    poison, goal, attack = given
    for seed in (0, 1):
        found, aim = attacks.craft(attack, threat_model, seed=seed)
        assert found.digest == poison.digest
        assert all(torch.equal(getattr(aim, part), getattr(goal, part)) for part in ("images", "labels", "ids"))
        assert aim.intended_class == goal.intended_class
    assert attacks.load(registry.describe(attack)) == attack
    assert registry.label(attack) == "external(title='mine')"
    assert attacks.given(poison, goal, "mine") == attack


def test_another_poison_or_goal_is_another_attack(given):
    poison, goal, attack = given
    other = dataclasses.replace(poison, images=255 - poison.images)
    contents = {attack.content, attacks.given(other, goal, "mine").content}
    contents |= {attacks.given(poison, dataclasses.replace(goal, intended_class=(goal.intended_class + 1) % 10), "mine").content}
    assert len(contents) == 3


def test_a_given_attack_is_refused_on_another_training_set(given, threat_model):
    poison, _, attack = given
    fewer = threat_model.train.take(~torch.isin(threat_model.train.ids, poison.ids[:1]))
    with pytest.raises(ValueError, match="'mine' was not crafted for this training set: ids not in the set"):
        attacks.craft(attack, dataclasses.replace(threat_model, train=fewer), seed=0)
    small = data.load("digits", "train", size=8)
    with pytest.raises(ValueError, match=r"poisons of shape \(1, 16, 16\)"):
        attacks.craft(attack, dataclasses.replace(threat_model, train=small), seed=0)
    with pytest.raises(ValueError, match="its goal does not fit the test set"):
        attacks.craft(attack, dataclasses.replace(threat_model, test=data.load("digits", "test", size=8)), seed=0)


def test_a_given_attack_whose_file_is_damaged_or_missing_says_so(given, threat_model, tmp_path):
    external._read.cache_clear()
    *_, attack = given
    (file,) = (tmp_path / "data").iterdir()
    content = file.read_bytes()
    for damaged in (content[:200], content[:-1] + bytes([content[-1] ^ 1]), None):
        file.unlink() if damaged is None else file.write_bytes(damaged)
        with pytest.raises(FileNotFoundError, match=r"missing or damaged; store the same content again"):
            attacks.craft(attack, threat_model, seed=0)


def test_a_given_attack_is_a_cell_like_any_other(given, threat_model):
    """Its poison is that of the attack that crafted it, so the victims are the same, too."""
    *_, attack = given
    recipe = training.load("quick", epochs=2)
    table = experiments.grid(
        "backdoor", "quick", attack=[Patch(), attack], data="digits", recipe=recipe, trials=1, first_seed=7, model="patch_mlp"
    )
    crafted, elsewhere = experiments.run(table, workers=0)
    assert crafted.poisons == elsewhere.poisons and crafted.evaluation == elsewhere.evaluation
    assert crafted.key != elsewhere.key
