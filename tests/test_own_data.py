"""Image sets, poisons and goals from one's own arrays, data sets and folders; what is refused."""

import dataclasses
import math
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image

from poisonlib import data, experiments, models, registry, training
from poisonlib.data import ImageSet, stored
from poisonlib.experiments import Extractor

from . import plain

CLASSES = ("cat", "dog", "fox")


def pixels(n=6, c=3, h=4, w=5, seed=0):
    return torch.randint(256, (n, c, h, w), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


# Arrays


@pytest.mark.parametrize(
    "make", [lambda x: x, lambda x: x.numpy(), lambda x: x.float() / 255, lambda x: (x.double() / 255).numpy()]
)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("last", [False, True])
def test_layouts_and_types_of_arrays_give_one_set(make, channels, last):
    images = pixels(c=channels)
    found = data.from_arrays(make(images.permute(0, 2, 3, 1) if last else images), LABELS.numpy(), CLASSES)
    assert torch.equal(found.images, images) and found.images.is_contiguous()
    assert torch.equal(found.labels, LABELS) and found.labels.dtype == torch.int64
    assert found.ids.tolist() == list(range(6)) and found.classes == CLASSES
    assert found.fingerprint == data.from_arrays(images, LABELS, CLASSES).fingerprint


def test_grey_images_need_no_channel():
    images = pixels(c=1)
    assert torch.equal(data.from_arrays(images[:, 0], LABELS).images, images)


def test_every_byte_survives_as_a_float_and_others_are_rounded():
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    for kind in (torch.float32, torch.float64):
        assert torch.equal(data.from_arrays(levels.to(kind) / 255, [0]).images, levels)
    near = torch.tensor([0.4, 0.6, 254.4, 254.6]).view(1, 1, 2, 2) / 255
    assert data.from_arrays(near, [0]).images.flatten().tolist() == [0, 1, 254, 255]


def test_mean_and_deviation_are_those_of_the_pixels_unless_given():
    images = pixels()
    found = data.from_arrays(images, LABELS)
    levels = images.numpy() / 255
    assert found.mean == pytest.approx(levels.mean((0, 2, 3)))
    assert found.std == pytest.approx(levels.std((0, 2, 3)))
    given = data.from_arrays(images, LABELS, mean=(0.5, 0.4, 0.3), std=[0.1, 0.2, 0.3])
    assert (given.mean, given.std) == ((0.5, 0.4, 0.3), (0.1, 0.2, 0.3))
    constant = data.from_arrays(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), [0, 1])
    assert constant.std == pytest.approx((1 / 255,)), "a deviation of 0 could not be divided by"


def test_mean_and_deviation_are_exact_whatever_is_counted_at_a_time(monkeypatch):
    images = pixels(n=7, h=9, w=5)
    for part in (1000, 3):
        monkeypatch.setattr(sys.modules["poisonlib.data._own"], "PART", part)
        found = data.from_arrays(images, [0] * 7)
        for channel in range(3):
            levels = [Fraction(level, 255) for level in images[:, channel].flatten().tolist()]
            mean = sum(levels) / len(levels)
            variance = sum((level - mean) ** 2 for level in levels) / len(levels)
            assert found.mean[channel] == float(mean)
            assert found.std[channel] == pytest.approx(math.sqrt(variance), rel=1e-15)


def test_classes_are_numbered_where_they_have_no_names():
    assert data.from_arrays(pixels(), LABELS).classes == ("0", "1", "2")
    assert data.from_arrays(pixels(), LABELS, tuple("01234")).classes == ("0", "1", "2", "3", "4")
    assert data.from_arrays(pixels(), LABELS.tolist()).labels.tolist() == LABELS.tolist()


@pytest.mark.parametrize(
    ("images", "labels", "more", "error", "words"),
    [
        (pixels().float() / 255 - 0.5, LABELS, {}, ValueError, "float images range from -0.5 to 0.5; give them in \\[0, 1\\]"),
        (pixels().float(), LABELS, {}, ValueError, "give them in \\[0, 1\\], without normalisation"),
        (torch.full((1, 1, 4, 4), float("nan")), [0], {}, ValueError, "range from nan to nan"),
        (pixels().int(), LABELS, {}, TypeError, "images are torch.int32; give uint8, or floats in \\[0, 1\\]"),
        (pixels(), LABELS.float(), {}, TypeError, "labels are torch.float32; give whole numbers from 0"),
        (pixels(), LABELS > 0, {}, TypeError, "labels are torch.bool"),
        (pixels(), LABELS - 1, {}, ValueError, "labels run from -1 to 1; with 2 classes they must lie in 0 to 1"),
        (pixels(), LABELS, {"classes": ("a", "b")}, ValueError, "labels run from 0 to 2; with 2 classes"),
        (pixels(c=2), LABELS, {}, ValueError, "images of shape \\(6, 2, 4, 5\\): give \\(n, h, w\\)"),
        (pixels()[0, 0], LABELS, {}, ValueError, "images of shape \\(4, 5\\)"),
        (pixels(), LABELS, {"mean": (0.5,)}, ValueError, "mean=\\(0.5,\\).*give one number for each of 3 channels"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(images, labels, more, error, words):
    with pytest.raises(error, match=words):
        data.from_arrays(images, labels, **more)


# Image sets, poisons and goals without the hook that checks annotations

SETUP = """
import torch
from poisonlib import data
from poisonlib.data import Goal, ImageSet, Poison
u8, i64 = torch.zeros(3, 1, 4, 4, dtype=torch.uint8), torch.arange(3)
def images(images=u8, labels=i64, ids=i64, classes=("a", "b", "c"), mean=(0.5,), std=(0.5,)):
    return ImageSet(images, labels, ids, classes, mean, std)
"""
REFUSED = {
    "images(u8.float())": (
        "TypeError",
        "images are torch.float32; image sets hold uint8. data.from_arrays converts floats in [0, 1]",
    ),
    "images(u8.int())": ("TypeError", "images are torch.int32"),
    "images(u8[:, 0])": ("TypeError", "images must be a tensor (n, c, h, w), not torch.Size([3, 4, 4])"),
    "images(u8.numpy())": ("TypeError", "images must be a tensor (n, c, h, w), not (3, 1, 4, 4)"),
    "images(labels=i64[:2])": ("ValueError", "labels: torch.int64 of shape (2,) for 3 images; give int64, one an image"),
    "images(labels=i64.int())": ("ValueError", "labels: torch.int32"),
    "images(labels=i64[:, None])": ("ValueError", "labels: torch.int64 of shape (3, 1) for 3 images"),
    "images(ids=i64[:2])": ("ValueError", "2 ids for 3 images; give one an image"),
    "images(mean=(0.5, 0.5))": ("ValueError", "give one number for each of 1 channels"),
    "images(labels=i64 + 1).checked()": ("ValueError", "labels run from 1 to 3; with 3 classes they must lie in 0 to 2"),
    "images(labels=i64 - 1).checked()": ("ValueError", "labels run from -1 to 1"),
    "images(ids=i64 // 2).checked()": ("ValueError", "ids: some stand twice"),
    "data.from_arrays(u8, i64[:2])": ("ValueError", "labels: torch.int64 of shape (2,) for 3 images"),
    "Poison(i64, u8.float())": ("TypeError", "images are torch.float32"),
    "Poison(i64[:1], u8)": ("ValueError", "ids: torch.int64 of shape (1,) for 3 images"),
    "Goal(u8.double(), i64, i64, 0)": ("TypeError", "images are torch.float64"),
    "Goal(u8, i64[:2], i64, 0)": ("ValueError", "labels: torch.int64 of shape (2,) for 3 images"),
    "images().with_poison(Poison(i64[:1], u8[:1, :, :2]))": (
        "ValueError",
        "poisons of shape (1, 2, 4); the set's images are (1, 4, 4)",
    ),
}
ALLOWED = ["images()", "images().checked()", "images(u8[:0], i64[:0], i64[:0]).checked()", "Poison(i64, u8.to(torch.int16))"]


def test_image_sets_poisons_and_goals_check_themselves():
    found = dict(zip([*REFUSED, *ALLOWED], plain.errors(SETUP, [*REFUSED, *ALLOWED]), strict=True))
    for attempt, (name, words) in REFUSED.items():
        assert found[attempt] is not None, f"{attempt} was not refused"
        assert found[attempt][0] == name and words in found[attempt][1], attempt
    assert [found[attempt] for attempt in ALLOWED] == [None] * len(ALLOWED)


@dataclasses.dataclass(frozen=True)
class Mislabelled(data.Data):
    """Three classes, of which the last has no name."""

    def load(self, split, download=False):
        return ImageSet(pixels(), LABELS, torch.arange(6), ("a", "b"), (0.5,) * 3, (0.5,) * 3)


def test_load_refuses_labels_without_a_class():
    with pytest.raises(ValueError, match="labels run from 0 to 2; with 2 classes they must lie in 0 to 1"):
        data.load(Mislabelled())


def test_the_fingerprint_is_that_of_images_labels_and_number_of_classes():
    images = data.from_arrays(pixels(), LABELS, CLASSES)
    renamed = dataclasses.replace(images, ids=images.ids + 7, mean=(0.1,) * 3, classes=("x", "y", "z"))
    assert renamed.fingerprint == images.fingerprint and len(images.fingerprint) == 32
    changed = images.images.clone()
    changed[3, 1, 2, 2] ^= 1
    others = [
        dataclasses.replace(images, images=changed),
        dataclasses.replace(images, labels=images.labels.flip(0)),
        dataclasses.replace(images, classes=(*CLASSES, "more")),
        dataclasses.replace(images, images=images.images.transpose(2, 3).contiguous()),
        images.take(torch.arange(5)),
    ]
    assert len({images.fingerprint, *(each.fingerprint for each in others)}) == 6


@pytest.mark.parametrize("chunk", [1, 61, 100])
def test_the_fingerprint_does_not_depend_on_how_much_is_hashed_at_a_time(chunk, monkeypatch):
    whole = data.from_arrays(pixels(), LABELS).fingerprint
    monkeypatch.setattr("poisonlib.data._types.CHUNK", chunk)
    assert data.from_arrays(pixels(), LABELS).fingerprint == whole


# Data sets in torchvision's form


class Items:
    """A list of (image, label) with torchvision's ``classes``."""

    classes = CLASSES

    def __init__(self, images, labels=LABELS):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], self.labels[index]


def pictures(images):
    return [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]


def test_pil_images_arrays_and_tensors_give_equal_sets():
    from torchvision.transforms.functional import to_tensor

    images = pixels()
    wanted = data.from_arrays(images, LABELS, CLASSES)
    forms = {
        "PIL": pictures(images),
        "ToTensor": [to_tensor(each) for each in pictures(images)],
        "bytes": list(images),
        "arrays": [image.permute(1, 2, 0).numpy() for image in images],
    }
    for name, form in forms.items():
        found = data.from_dataset(Items(form))
        assert found.fingerprint == wanted.fingerprint and found.classes == CLASSES, name
        assert (found.mean, found.std) == (wanted.mean, wanted.std)
    plain_labels = data.from_dataset(Items(list(images), LABELS.tolist()), classes=("x", "y", "z"))
    assert plain_labels.fingerprint == wanted.fingerprint and plain_labels.classes == ("x", "y", "z")


def test_grey_and_other_pil_images():
    grey = pixels(c=1)
    pil = [Image.fromarray(image[0].numpy()) for image in grey]
    assert torch.equal(data.from_dataset(Items(pil)).images, grey)
    alpha = [image.convert("RGBA") for image in pictures(pixels())]
    assert torch.equal(data.from_dataset(Items(alpha)).images, pixels()), "transparency is dropped"


def test_torchvisions_fake_data():
    from torchvision import datasets, transforms

    raw = datasets.FakeData(8, (3, 6, 6), 4)
    floats = datasets.FakeData(8, (3, 6, 6), 4, transform=transforms.ToTensor())
    found = data.from_dataset(raw)
    assert found.fingerprint == data.from_dataset(floats).fingerprint
    assert all(np.array_equal(found.images[i].permute(1, 2, 0).numpy(), np.array(raw[i][0])) for i in range(8))
    assert found.labels.tolist() == [int(raw[i][1]) for i in range(8)]


@pytest.mark.parametrize(
    ("images", "error", "words"),
    [
        ([], ValueError, "the data set is empty"),
        ([pixels()[0], pixels()[1, :, :3]], ValueError, r"item 1 has shape \(3, 3, 5\), item 0 \(3, 4, 5\); resize the images"),
        (
            [pixels()[0], pixels()[1].float() / 255 * 4 - 2],
            ValueError,
            r"item 1: float images range from -1.* to .*without normalisation",
        ),
        ([pixels()[0], pixels()[1].long()], TypeError, r"item 1: images are torch\.int64"),
        ([pixels(c=2)[0]], ValueError, r"item 0: images of shape \(1, 2, 4, 5\)"),
    ],
)
def test_an_item_that_does_not_fit_is_named(images, error, words):
    with pytest.raises(error, match=words):
        data.from_dataset(Items(images))


@pytest.mark.parametrize("label", ["cat", None, 0.5, math.nan, math.inf])
def test_a_label_that_is_no_whole_number_is_named(label):
    with pytest.raises(TypeError, match=rf"item 1: its label is {label!r}; give whole numbers from 0"):
        data.from_dataset([(pixels()[0], 0), (pixels()[1], label)])


# Folders


def saved(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = image.permute(1, 2, 0).numpy()
    Image.fromarray(array[..., 0] if array.shape[2] == 1 else array).save(path)


def test_class_folders_are_read_in_order(tmp_path):
    images = pixels(h=5, w=5)
    for name, image in zip(["dog/10.png", "dog/9.png", "cat/b.png", "cat/deep/a.png", "fox/x.bmp"], images, strict=False):
        saved(tmp_path / name, image)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "cat" / "notes.txt").touch()
    found = data.from_folder(tmp_path)
    assert found.classes == ("cat", "dog", "fox")
    assert found.labels.tolist() == [0, 0, 1, 1, 2]
    assert torch.equal(found.images, images[[2, 3, 0, 1, 4]])
    test = data.from_folder(str(tmp_path), classes=("fox", "cat"))
    assert test.classes == ("fox", "cat") and test.labels.tolist() == [0, 1, 1]
    assert torch.equal(test.images, images[[4, 2, 3]])


def test_images_are_resized_to_cover_the_square_and_cut(tmp_path):
    from torchvision import transforms

    wide, square = pixels(h=8, w=20)[0], pixels(h=6, w=6, seed=1)[0]
    saved(tmp_path / "a/0.png", wide)
    saved(tmp_path / "a/1.png", square)
    with pytest.raises(ValueError, match="holds images of 2 sizes; give size="):
        data.from_folder(tmp_path)
    found = data.from_folder(tmp_path, size=6)
    steps = transforms.Compose([transforms.Resize(6), transforms.CenterCrop(6), transforms.PILToTensor()])
    assert torch.equal(found.images[0], steps(Image.open(tmp_path / "a/0.png")))
    assert torch.equal(found.images[1], square), "an image of the right size stays as it is"


def test_folders_without_images_and_broken_files_are_named(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(FileNotFoundError, match=r"there are no images in .*CLASS/"):
            data.from_folder(folder)
    saved(tmp_path / "a/0.png", pixels()[0])
    (tmp_path / "a/1.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"1\.png cannot be read as an image"):
        data.from_folder(tmp_path)


# Poisons and goals


@pytest.fixture
def train():
    return data.from_arrays(pixels(h=4, w=4), LABELS, CLASSES).take(torch.tensor([5, 0, 3, 2]))


def test_a_poison_is_read_by_ids(train, tmp_path):
    images = pixels(h=4, w=4, seed=9)
    for id_ in (5, 2, 3):
        saved(tmp_path / f"{id_}.png", images[id_])
    (tmp_path / "readme.txt").touch()
    poison = data.poison_from_folder(tmp_path, train)
    assert poison.ids.tolist() == [2, 3, 5] and torch.equal(poison.images, images[[2, 3, 5]])
    poisoned = train.with_poison(poison)
    assert torch.equal(poisoned.images[0], images[5]) and torch.equal(poisoned.images[1], train.images[1])


def test_a_grey_poison_stays_grey(tmp_path):
    train = data.from_arrays(pixels(c=1), LABELS)
    saved(tmp_path / "3.png", pixels(c=1, seed=4)[3])
    assert torch.equal(data.poison_from_folder(tmp_path, train).images, pixels(c=1, seed=4)[3:4])


@pytest.mark.parametrize(
    ("name", "shape", "error", "words"),
    [
        ("poison_3.png", (4, 4), ValueError, r"poison_3\.png: name each image by the id"),
        ("-3.png", (4, 4), ValueError, "name each image by the id"),
        ("1.png", (4, 4), KeyError, r"ids not in the set: \[1\]"),
        ("3.png", (4, 5), ValueError, r"3\.png has the shape \(3, 4, 5\); the training images have \(3, 4, 4\)"),
        (None, None, FileNotFoundError, "there are no images in"),
    ],
)
def test_poisons_that_do_not_fit_the_training_set_are_refused(train, tmp_path, name, shape, error, words):
    if name:
        saved(tmp_path / name, pixels(h=shape[0], w=shape[1])[0])
    with pytest.raises(error, match=words):
        data.poison_from_folder(tmp_path, train)


def test_a_goal_is_made_of_test_ids(train):
    goal = data.goal(train, [3, 5], 1)
    assert goal.ids.tolist() == [3, 5] and goal.labels.tolist() == [0, 2] and goal.intended_class == 1 and goal.source_class == 0
    assert torch.equal(goal.images, train.images[[2, 0]])
    with pytest.raises(KeyError, match="4"):
        data.goal(train, [4], 1)
    for wrong in (3, -1):
        with pytest.raises(ValueError, match=f"intended_class={wrong}: choose a whole number of at least 0 and at most 2"):
            data.goal(train, [3], wrong)


# Stored data sets


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    stored._read.cache_clear()
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
    return tmp_path


def both():
    train = data.from_arrays(pixels(n=60, c=1, h=8, w=8), torch.arange(60) % 3, CLASSES)
    return train, data.from_arrays(pixels(n=30, c=1, h=8, w=8, seed=1), torch.arange(30) % 3, CLASSES, train.mean, train.std)


def test_a_stored_data_set_comes_back_as_it_was(outputs):
    train, test = both()
    train = train.take(torch.randperm(60, generator=torch.Generator().manual_seed(0)))
    source = data.store(train, test, "mine")
    for split, wanted in (("train", train), ("test", test)):
        found = data.load(source, split)
        assert found.fingerprint == wanted.fingerprint and torch.equal(found.ids, wanted.ids)
        assert (found.classes, found.mean, found.std) == (wanted.classes, wanted.mean, wanted.std)
    assert data.source(registry.describe(source)) == source == data.store(train, test, "mine")
    assert registry.label(source) == "stored(title='mine')"
    assert len(list((outputs / "data").iterdir())) == 1
    assert data.store(train, test.take(torch.arange(29)), "mine") != source


def test_sets_that_do_not_agree_are_not_stored(outputs):
    train, test = both()
    with pytest.raises(ValueError, match=r"classes: .*fox.* of the training set and .* of the test set; both must agree"):
        data.store(train, data.from_arrays(test.images, test.labels % 2), "mine")
    with pytest.raises(ValueError, match="both must agree"):
        data.store(train, data.from_arrays(test.images[..., :7], test.labels, CLASSES), "mine")
    assert not list(outputs.iterdir())


def test_a_damaged_or_missing_file_is_refused(outputs):
    source = data.store(*both(), "mine")
    (file,) = (outputs / "data").iterdir()
    content = file.read_bytes()
    one_bit = content[:-1] + bytes([content[-1] ^ 1])
    for damaged, words in (
        (content[:300], "missing or damaged"),
        (one_bit, "holds other images|missing or damaged"),
        (None, "missing"),
    ):
        file.unlink() if damaged is None else file.write_bytes(damaged)
        with pytest.raises(FileNotFoundError, match=words):
            data.load(source)


def test_a_stored_data_set_runs_in_a_grid(outputs):
    """And its name stands in the records, but not its digest in labels."""
    source = data.store(*both(), "three animals")
    recipe = training.load("quick", epochs=1, batch_size=20)
    (trial,) = experiments.grid(
        "backdoor", "quick", attack="patch(size=2)", data=source, recipe=recipe, model="patch_mlp", trials=1
    )
    for workers in (0, 1):
        (record,) = experiments.run([trial], workers=workers, ledger=experiments.Ledger.open(outputs / str(workers)))
        assert record.spec["data"] == {"name": "stored", "title": "three animals", "content": source.content}
        assert record.data["train"] == both()[0].fingerprint and record.evaluation.targets == 10


# A folder as a data set


@pytest.fixture
def animals(tmp_path):
    """A folder with a training set of 8 x 8 pixels and a test set of 16 x 12."""
    for i, image in enumerate(pixels(n=12, h=8, w=8)):
        saved(tmp_path / "animals" / "train" / CLASSES[i % 3] / f"{i}.png", image)
    for i, image in enumerate(pixels(n=6, h=16, w=12, seed=1)):
        saved(tmp_path / "animals" / "test" / CLASSES[i % 3] / f"{i}.png", image)
    return tmp_path / "animals"


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path / "outputs"))


def test_a_folder_keeps_images_of_the_size_and_has_a_mean_of_its_own(animals, kept):
    source = data.source("folder", path=str(animals), size=8)
    train, test = source.load("train"), source.load("test")
    assert train.classes == CLASSES and test.shape == (3, 8, 8) and len(test) == 6
    order = [0, 3, 6, 9, 1, 10, 4, 7, 11, 2, 5, 8]  # by class, then by name
    assert torch.equal(train.images, pixels(n=12, h=8, w=8)[order])
    levels = train.images.double() / 255
    assert train.mean == test.mean == pytest.approx(levels.mean((0, 2, 3)).tolist())
    assert train.std == test.std == pytest.approx(levels.std((0, 2, 3), correction=0).tolist())


def test_an_attackers_extractor_is_known_by_the_content_of_its_folder(animals, kept):
    source = data.source("folder", path=str(animals), size=8)
    own = Extractor(source, models.load("patch_mlp"), training.load("quick_targeted"))
    (trial,) = experiments.grid("scratch", "quick", attack="bullseye_polytope", attacker=[own], trials=1)
    assert trial.attacker == (own.resolved(),) and trial.attacker[0].data.content


def test_a_folder_is_known_by_its_content_and_not_by_where_it_lies(animals, kept, tmp_path, monkeypatch):
    found = data.source("folder", path=str(animals), size=8).resolved()
    assert registry.label(found) == "folder(path='animals', size=8)" and str(tmp_path) not in str(registry.describe(found))
    assert found.resolved() is found
    moved = tmp_path / "elsewhere" / "animals"
    moved.parent.mkdir()
    animals.rename(moved)
    assert data.source("folder", path=str(moved), size=8).resolved() == found
    monkeypatch.setenv("POISONLIB_DATA", str(moved.parent))
    assert data.source("folder", path="animals", size=8).resolved() == found
    assert len(found.load("train")) == 12, "the copy in the output folder is read"
    saved(moved / "train" / "cat" / "0.png", pixels(h=8, w=8, seed=9)[0])
    assert data.source("folder", path=str(moved), size=8).resolved() != found


def test_a_folder_runs_in_a_grid_also_where_it_is_gone(animals, kept):
    how = dict(data=f"folder(path={str(animals)!r}, size=8)", recipe=training.load("quick", epochs=1, batch_size=4))
    (trial,) = experiments.grid("backdoor", "quick", attack="patch(size=2, poison_rate=1.0)", model="patch_mlp", trials=1, **how)
    animals.rename(animals.with_name("gone"))
    (record,) = experiments.run([trial], workers=0)
    assert record.spec["data"] == {"name": "folder", "path": "animals", "size": 8, "content": trial.data.content}
    assert record.evaluation.targets == 2 and record.poisons.count == 4


def test_a_folder_whose_test_images_are_of_an_unknown_class_is_refused(animals, kept):
    saved(animals / "test" / "Dog" / "0.png", pixels(h=8, w=8)[0])
    saved(animals / "train" / ".cache" / "0.png", pixels(h=8, w=8)[0])
    with pytest.raises(ValueError, match=r"animals/test has classes that .*animals/train lacks: Dog$"):
        data.load("folder", path=str(animals), size=8)


def test_a_folder_that_cannot_be_read_says_why(animals, kept, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there are no images in .*nowhere/train/CLASS/"):
        data.source("folder", path=str(tmp_path / "nowhere")).resolved()
    with pytest.raises(ValueError, match=r"shape: \(3, 8, 8\) of the training set and \(3, 16, 12\) of the test set"):
        data.load("folder", path=str(animals))
