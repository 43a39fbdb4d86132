"""Image sets against independent oracles, and sets made from one's own data. Tests of real data sets are skipped without them."""

import ast
import dataclasses
import functools
import hashlib
import os
import pickle
import zipfile
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn.datasets
import torch
from PIL import Image

from poisonlib import data, paths
from poisonlib.data import ImageSet, Poison, _content, _decoded, _unpack, _where, cifar, digits, imagenet, tinyimagenet

FOLDERS = {
    "cifar(classes=10)": "cifar-10-batches-py",
    "cifar(classes=100)": "cifar-100-python",
    "tinyimagenet": "tiny-imagenet-200",
    "imagenette": "imagenette",
}


@pytest.fixture(scope="session")
def cache_root(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def real(monkeypatch, cache_root):
    """A function that gives a real data set's folder, or skips the test; what is decoded goes into a cache of this session."""
    monkeypatch.setenv("POISONLIB_CACHE", str(cache_root))

    def folder(name):
        found = paths.data() / FOLDERS[name]
        if not found.is_dir():
            pytest.skip(f"no {found}: set POISONLIB_DATA to a folder that holds {FOLDERS[name]}/")
        return found

    return folder


@pytest.fixture
def root(monkeypatch, tmp_path):
    """An empty data root with its own cache; downloads are not allowed."""
    monkeypatch.setenv("POISONLIB_DATA", str(tmp_path))
    monkeypatch.delenv("POISONLIB_CACHE", raising=False)
    monkeypatch.delenv("POISONLIB_DOWNLOAD", raising=False)
    return tmp_path


def place(path):
    """The path, in a folder that exists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def picture(path, seed, size=(64, 64), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8), mode).save(path)
    return path


def pixels(image):
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


# --- all of them ------------------------------------------------------------------------------------------------------------------


def test_choices_and_wrong_names():
    assert {"cifar", "cifar_setup", "digits", "folder", "imagenet", "tinyimagenet", "stored"} == set(data.names())
    with pytest.raises(LookupError, match="cifar, "):
        data.load("cifar10")
    with pytest.raises(TypeError, match="digits has no argument colour; it has: size, "):
        data.load("digits", colour=1)
    with pytest.raises(ValueError, match="train or test"):
        data.load("digits", "val")


def test_importing_the_room_imports_nothing_heavy():
    for module in Path(data.__file__).parent.glob("*.py"):
        nodes = ast.parse(module.read_text()).body
        named = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        named |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
        assert not {name.partition(".")[0] for name in named} & {"sklearn", "torchvision", "PIL", "tqdm", "filelock"}, module


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ("digits(size=4)", "size=4: choose a whole number of at least 8"),
        ("digits(channels=2)", "channels=2: choose one of 1, 3"),
        ("digits(train=1797)", "train=1797: choose a whole number of at least 1 and at most 1796"),
        ("digits(limit=0)", "limit=0: choose a whole number of at least 1 and at most 1400"),
        ("cifar(classes=10, limit=55)", "limit=55: choose a multiple of 10"),
        ("cifar(classes=10, limit=0)", "limit=0: choose a multiple of 10"),
        ("cifar(classes=100, test_limit=10100)", "test_limit=10100: choose a multiple of 100 from 100 to 10000"),
        ("cifar(classes=20)", "classes=20: choose one of 10, 100"),
        ("cifar(classes=100, pool=3)", "pool=3: choose one of 1, 2, 4, 8, 16"),
        ("tinyimagenet(classes=(5, 300))", r"classes=\(5, 300\): choose"),
        ("tinyimagenet(classes=(5, 5))", r"classes=\(5, 5\): choose"),
        ("imagenet(size=0)", "size=0: choose a whole number of at least 1"),
        ("folder(path='mine', size=0)", "size=0: choose a whole number of at least 1"),
    ],
)
def test_values_out_of_range_are_refused_at_once(choice, words):
    with pytest.raises(ValueError, match=words):
        data.source(choice)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (
            "cifar(classes=10)",
            ["CIFAR-10 ", "cifar-10-batches-py", "170 MB", "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"],
        ),
        (
            "cifar(classes=100)",
            ["CIFAR-100 ", "cifar-100-python", "169 MB", "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"],
        ),
        ("tinyimagenet", ["tiny-imagenet-200", "248 MB", "http://cs231n.stanford.edu/tiny-imagenet-200.zip"]),
        ("imagenet", ["imagenet/train/CLASS/", "155 GB", "https://image-net.org/download.php"]),
    ],
)
def test_missing_data_says_what_to_do(root, choice, words, split):
    with pytest.raises(FileNotFoundError) as error:
        data.load(choice, split)
    for word in [*words, str(root), "download=True", "POISONLIB_DOWNLOAD=1", "POISONLIB_DATA"]:
        assert word in str(error.value)
    assert not list(root.iterdir())


# --- digits -----------------------------------------------------------------------------------------------------------------------


def test_digits_splits_partition_the_source():
    from sklearn.datasets import load_digits

    source = load_digits()
    train, test = data.load("digits"), data.load("digits", "test")
    assert (len(train), len(test)) == (1400, 397)
    assert sorted(torch.cat([train.ids, test.ids]).tolist()) == list(range(1797))
    for part in (train, test):
        assert part.shape == (1, 16, 16)
        assert part.images.dtype == torch.uint8
        assert part.labels.tolist() == source.target[part.ids].tolist()
        assert set(part.labels.tolist()) == set(range(10))
        assert 700 < part.ids.float().mean() < 1100  # spread over all writers, not a tail of them
    assert train.classes == tuple("0123456789")
    levels = train.images.numpy() / 255
    assert train.mean == test.mean == pytest.approx((levels.mean(),), abs=1e-6)
    assert train.std == test.std == pytest.approx((levels.std(),), abs=1e-6)


def test_where_scikit_learn_keeps_digits_elsewhere_it_reads_them(monkeypatch):
    known = {split: data.load("digits", split).fingerprint for split in ("train", "test")}
    read = sklearn.datasets.load_digits
    asked = []
    monkeypatch.setattr(digits, "FILE", "nowhere")
    monkeypatch.setattr(sklearn.datasets, "load_digits", lambda **how: asked.append(how) or read(**how))
    assert {split: data.load("digits", split).fingerprint for split in known} == known
    assert len(asked) == 2


def test_digits_pixels_equal_a_bilinear_loop():
    from sklearn.datasets import load_digits

    source = load_digits().images
    small, large = data.load("digits", size=8), data.load("digits", size=12)
    for at in (0, 7, 1399):
        image = source[small.ids[at]]
        assert np.array_equal(small.images[at, 0], np.round(image * 255 / 16))
        for y, x in [(0, 0), (3, 5), (6, 11), (11, 2), (7, 7)]:
            v, u = (max((k + 0.5) * 8 / 12 - 0.5, 0) for k in (y, x))
            i, j = int(v), int(u)
            i2, j2 = min(i + 1, 7), min(j + 1, 7)
            above = image[i, j] * (1 - u + j) + image[i, j2] * (u - j)
            below = image[i2, j] * (1 - u + j) + image[i2, j2] * (u - j)
            assert abs(large.images[at, 0, y, x].item() - (above * (1 - v + i) + below * (v - i)) * 255 / 16) <= 0.5 + 1e-3


@pytest.mark.parametrize(
    ("size", "fingerprint"), [(12, "d74e4d19af33f4c37c24dc2cf179e2ef"), (28, "0ceb8c56454ec4da865f13e306ef0b67")]
)
def test_digits_have_the_same_bytes_on_every_processor(size, fingerprint):
    """One pixel in a hundred lies halfway between two bytes at 12 x 12, so that rounding errors would decide."""
    assert data.load("digits", size=size).fingerprint == fingerprint


def test_digits_limit_is_the_beginning_of_the_split():
    whole, part = data.load("digits"), data.load("digits", limit=50)
    assert torch.equal(part.ids, whole.ids[:50])
    assert torch.equal(part.images, whole.images[:50])
    assert part.mean == whole.mean
    assert len(data.load("digits", "test", limit=50)) == 397


def test_digits_in_colour_are_the_same_grey_three_times():
    grey, colour = data.load("digits", "test"), data.load("digits", "test", channels=3)
    assert colour.shape == (3, 16, 16)
    assert all(torch.equal(colour.images[:, k], grey.images[:, 0]) for k in range(3))
    assert torch.equal(colour.ids, grey.ids)
    assert (colour.mean, colour.std) == (grey.mean * 3, grey.std * 3)


# --- CIFAR ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cifar(classes=10)", "cifar(classes=100)"])
def test_cifar_equals_torchvision(real, name):
    from torchvision import datasets

    folder = real(name)
    ours = data.load(name, "test")
    theirs = {"cifar(classes=10)": datasets.CIFAR10, "cifar(classes=100)": datasets.CIFAR100}[name](folder.parent, train=False)
    assert ours.classes == tuple(theirs.classes)
    assert ours.ids.tolist() == list(range(10_000))
    assert ours.labels.tolist() == [label for label in theirs.targets]
    for row in range(0, 10_000, 97):
        assert torch.equal(ours.images[row], pixels(theirs[row][0]))


@pytest.mark.parametrize("name", ["cifar(classes=10)", "cifar(classes=100)"])
def test_cifar_constants_and_limit(real, name):
    real(name)
    whole = data.load(name)
    part = data.load(name, limit=1000)
    levels = np.arange(256) / 255
    for channel in range(3):
        shares = np.bincount(whole.images[:, channel].flatten().numpy(), minlength=256) / (50_000 * 32 * 32)
        mean = shares @ levels
        assert whole.mean[channel] == pytest.approx(mean, abs=3e-4)  # the released constants are that far off
        assert whole.std[channel] == pytest.approx((shares @ (levels - mean) ** 2) ** 0.5, abs=1e-6)
    each = 1000 // len(whole.classes)
    first = sorted(row for k in range(len(whole.classes)) for row in (whole.labels == k).nonzero()[:each, 0].tolist())
    assert part.ids.tolist() == first
    assert torch.equal(part.images, whole.images[first])
    assert torch.equal(part.labels, whole.labels[first])
    assert set(part.labels.bincount().tolist()) == {each}


def test_cifar_test_limit_and_pool(real):
    real("cifar(classes=10)")
    whole, part = data.load("cifar(classes=10)", "test"), data.load("cifar(classes=10)", "test", test_limit=200, limit=10, pool=2)
    assert len(part) == 200
    assert part.shape == (3, 16, 16)
    assert part.images.dtype == torch.uint8
    assert pooled_slowly(whole.images[part.ids[:2]], 2) == part.images[:2].tolist()


def pooled_slowly(images, pool):
    n, c, h, w = images.shape
    wanted = torch.zeros(n, c, h // pool, w // pool, dtype=torch.int64)
    for i, k, y, x in np.ndindex(*wanted.shape):
        square = [images[i, k, y * pool + a, x * pool + b].item() for a in range(pool) for b in range(pool)]
        wanted[i, k, y, x] = round(Fraction(sum(square), len(square)))
    return wanted.tolist()


@pytest.mark.parametrize("pool", cifar.POOLS)
def test_pooled_equals_a_loop(pool):
    images = torch.randint(0, 256, (1, 2, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert cifar.pooled(images, pool).tolist() == pooled_slowly(images, pool)


def test_first_of_each_equals_a_loop():
    labels = torch.randint(0, 4, (100,), generator=torch.Generator().manual_seed(0))
    left, wanted = dict.fromkeys(range(4), 3), []
    for row, label in enumerate(labels.tolist()):
        if left[label]:
            left[label] -= 1
            wanted.append(row)
    assert cifar.first_of_each(labels, 4, 12).tolist() == wanted


def test_cifar_downloads_only_when_allowed(root, monkeypatch):
    from torchvision import datasets

    asked = []

    class Absent(datasets.CIFAR10):
        def __init__(self, root, train, download):
            asked.append((train, download))
            raise RuntimeError("absent")

    monkeypatch.setattr(datasets, "CIFAR10", Absent)
    for split, download, allowed in [("train", False, "0"), ("test", True, "0"), ("train", False, "1")]:
        monkeypatch.setenv("POISONLIB_DOWNLOAD", allowed)
        with pytest.raises(FileNotFoundError):
            data.load("cifar(classes=10)", split, download=download)
    assert asked == [(True, False), (False, True), (True, True)]
    monkeypatch.delenv("POISONLIB_DOWNLOAD")
    (root / Absent.filename).write_bytes(b"archive")
    for md5, unpack in [(Absent.tgz_md5, False), (hashlib.md5(b"archive").hexdigest(), True)]:
        monkeypatch.setattr(Absent, "tgz_md5", md5)
        with pytest.raises(FileNotFoundError):
            data.load("cifar(classes=10)")
        assert asked[-1] == (True, unpack)  # torchvision unpacks the good archive only so


def test_damaged_cifar_is_refused(root):
    (root / FOLDERS["cifar(classes=10)"]).mkdir()
    for name in [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch", "batches.meta"]:
        (root / FOLDERS["cifar(classes=10)"] / name).write_bytes(
            pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": [0]})
        )
    with pytest.raises(FileNotFoundError, match="missing or incomplete"):
        data.load("cifar(classes=10)")


# --- TinyImageNet -----------------------------------------------------------------------------------------------------------------


def benchmark_order(folder, split, first, end):
    """(path, label) as the public benchmark's loader numbers them: all sorted paths, cut to the classes, relabelled."""
    wnids = sorted((folder / "wnids.txt").read_text().split())
    lines = [line.split("\t") for line in (folder / "val/val_annotations.txt").read_text().splitlines()]
    wnid = {line[0]: line[1] for line in lines}
    files = sorted(str(path) for path in (folder / split).glob("**/*.JPEG"))
    labels = [wnids.index(wnid[Path(f).name] if split == "val" else Path(f).name.split("_")[0]) for f in files]
    return [(f, label - first) for f, label in zip(files, labels, strict=True) if first <= label < end]


@pytest.mark.parametrize(("split", "folder_name", "each"), [("train", "train", 100), ("test", "val", 25)])
def test_tinyimagenet_ids_are_the_benchmarks(real, split, folder_name, each):
    folder = real("tinyimagenet")
    with pytest.warns(UserWarning, match=r"of 1\d0?,000 "):
        ours = data.load("tinyimagenet", split, classes=(197, 200))
    theirs = benchmark_order(folder, folder_name, 197, 200)
    assert len(theirs) >= 3 * each
    assert ours.labels.tolist() == [label for _, label in theirs]
    assert ours.ids.tolist() == list(range(len(theirs)))
    for row in range(0, len(theirs), 7):
        assert torch.equal(ours.images[row], pixels(Image.open(theirs[row][0])))
    words = dict(line.split("\t") for line in (folder / "words.txt").read_text().splitlines())
    assert ours.classes == tuple(words[wnid].split(",")[0] for wnid in sorted((folder / "wnids.txt").read_text().split())[197:])


def tiny_tree(folder):
    """Three classes (not in order in wnids.txt), two training and two validation images each, one of them grey."""
    wnids = ["n03", "n01", "n02"]
    for k, wnid in enumerate(wnids):
        picture(folder / f"train/{wnid}/images/{wnid}_10.JPEG", k)
        picture(folder / f"train/{wnid}/images/{wnid}_9.JPEG", 10 + k, mode="L" if k else "RGB")
        (folder / f"train/{wnid}/{wnid}_boxes.txt").touch()
    for k in range(6):
        picture(folder / f"val/images/val_{k + 7}.JPEG", 20 + k)
    lines = [f"val_{k + 7}.JPEG\t{wnids[k % 3]}\t0\t0\t9\t9\n" for k in range(6)]
    (folder / "val/val_annotations.txt").write_text("".join(lines))
    (folder / "wnids.txt").write_text("\n".join(wnids) + "\n")
    (folder / "words.txt").write_text("n00\tnobody\nn01\tone, uno\nn02\ttwo\nn03\tthree, tre, drei\n")


@pytest.mark.filterwarnings("ignore:.*holds")
def test_tinyimagenet_layout(root):
    folder = root / "tiny-imagenet-200"
    tiny_tree(folder)
    train, test = (data.load("tinyimagenet", split) for split in ("train", "test"))
    assert train.classes == ("one", "two", "three")
    assert train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert test.labels.tolist() == [2, 0, 1, 2, 0, 1]  # val_10, 11, 12, 7, 8, 9: paths sort as strings
    for ours, name in [(train, "train"), (test, "val")]:
        theirs = benchmark_order(folder, name, 0, 200)
        assert ours.labels.tolist() == [label for _, label in theirs]
        for row, (file, _) in enumerate(theirs):
            assert torch.equal(ours.images[row], pixels(Image.open(file)))
    half = data.load("tinyimagenet", "test", classes=(1, 3))
    assert half.labels.tolist() == [1, 0, 1, 0]
    assert half.ids.tolist() == [0, 1, 2, 3]
    assert half.classes == ("two", "three")
    picture(folder / "val/images/val_99.JPEG", 0)
    with pytest.raises(ValueError, match=r"no class for val_99\.JPEG"):
        data.load("tinyimagenet", "test")


def zipped(folder, archive):
    with zipfile.ZipFile(archive, "w") as z:
        for path in sorted(folder.rglob("*")):
            z.write(path, path.relative_to(folder.parent))
    return hashlib.md5(archive.read_bytes()).hexdigest()


def test_tinyimagenet_archive_is_checked_and_unpacked(root, monkeypatch, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "tiny-imagenet-200"
    tiny_tree(elsewhere)
    md5 = zipped(elsewhere, root / "tiny-imagenet-200.zip")
    with pytest.raises(ValueError, match=rf"MD5 is {md5}, not {tinyimagenet.MD5}"):
        data.load("tinyimagenet")
    assert not (root / "tiny-imagenet-200").exists()
    monkeypatch.setattr(tinyimagenet, "MD5", md5)
    with pytest.warns(UserWarning, match="holds 6 of 100,000 train images"):
        assert len(data.load("tinyimagenet")) == 6
    assert not list(root.glob("*.part"))


@pytest.mark.filterwarnings("ignore:.*holds")
def test_tinyimagenet_is_fetched_when_allowed(root, monkeypatch, tmp_path_factory):
    from torchvision.datasets import utils

    elsewhere = tmp_path_factory.mktemp("elsewhere") / "tiny-imagenet-200"
    tiny_tree(elsewhere)
    asked = []

    def fetch(url, folder, filename, md5):
        asked.append((url, md5))
        monkeypatch.setattr(tinyimagenet, "MD5", zipped(elsewhere, Path(folder) / filename))

    monkeypatch.setattr(utils, "download_url", fetch)
    assert len(data.load("tinyimagenet", download=True)) == 6
    assert len(data.load("tinyimagenet", "test", download=True)) == 6
    assert asked == [("http://cs231n.stanford.edu/tiny-imagenet-200.zip", "90528d7ca1a48142e341f4ef8d21d0de")]


@pytest.mark.parametrize("member", ["../evil", "top/../../evil", "/tmp/evil", "top\\..\\..\\evil", "other/file"])
def test_archive_that_leaves_its_folder_is_refused(tmp_path, member):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as z:
        z.writestr("top/good", "x")
        z.writestr(member, "x")
    with pytest.raises(ValueError, match="is refused"):
        _unpack.unzip(archive, tmp_path / "top", hashlib.md5(archive.read_bytes()).hexdigest())
    assert [path.name for path in tmp_path.rglob("*")] == ["a.zip"]


# --- class folders ----------------------------------------------------------------------------------------------------------------


def as_torchvision(folder, size):
    from torchvision import datasets, transforms

    steps = [transforms.Resize(round(size * 256 / 224)), transforms.CenterCrop(size), transforms.PILToTensor()]
    return datasets.ImageFolder(folder, transforms.Compose(steps))


def test_imagenette_equals_torchvision(real):
    folder = real("imagenette")
    ours = data.load("imagenet", "test", folder="imagenette", size=64)
    theirs = as_torchvision(folder / "val", 64)
    assert ours.labels.tolist() == theirs.targets
    assert ours.classes == tuple(theirs.classes)
    for row in range(0, len(ours), 13):
        assert torch.equal(ours.images[row], theirs[row][0])


def test_class_folders_equal_torchvision(root):
    from torchvision import transforms

    tree = root / "mine"
    for k, name in enumerate(["a/0.png", "a-b/1.png", "a/deep/2.png", "b/3.jpg", "b/4.PNG"]):
        picture(tree / "train" / name, k, size=(50 + 7 * k, 81 - 9 * k), mode="L" if k == 3 else "RGB")
    picture(tree / "test/b/0.png", 9)
    (tree / "train/a/readme.txt").touch()
    for size in (32, 56):
        ours, theirs = data.load("imagenet", folder="mine", size=size), as_torchvision(tree / "train", size)
        assert ours.classes == tuple(theirs.classes) == ("a", "a-b", "b")
        assert ours.labels.tolist() == theirs.targets
        for row in range(5):
            assert torch.equal(ours.images[row], theirs[row][0])
    picture(tree / "train/b/5.png", 5, size=(40, 40))
    exact = data.load("imagenet", folder="mine", size=40).images[5]
    assert torch.equal(exact, transforms.PILToTensor()(Image.open(tree / "train/b/5.png"))), "of the size that is wanted: untouched"
    assert data.load("imagenet", "test", folder=str(tree)).labels.tolist() == [2]  # the label that training gave class b
    picture(tree / "test/c/0.png", 9)
    with pytest.raises(ValueError, match="lacks: c"):
        data.load("imagenet", "test", folder="mine")


def test_hidden_folders_are_no_classes_of_a_tree(root):
    for split in ("train", "val"):
        for name in ("a", "b"):
            picture(root / "mine" / split / name / "0.png", 0, size=(16, 16))
        picture(root / "mine" / split / ".ipynb_checkpoints" / "0.png", 0, size=(16, 16))
    found = data.load("imagenet", folder="mine", size=16)
    assert found.classes == ("a", "b") and found.labels.tolist() == [0, 1]


# --- decoding ---------------------------------------------------------------------------------------------------------------------


def interrupt(*_):
    raise KeyboardInterrupt


class Reader:
    """Reads as imagenet does, notes what it read, and is interrupted at file number ``broken``."""

    def __init__(self, broken=-1):
        self.broken, self.seen = f"{broken:02}.png", []

    def __call__(self, path):
        if path.name == self.broken:
            interrupt()
        self.seen.append(path.name)
        return imagenet.ImageNet(size=16)._read(path)


@pytest.fixture
def tree(root, monkeypatch):
    monkeypatch.setattr(_decoded, "CHUNK", 4)
    for k in range(18):
        picture(root / "tree" / f"{k:02}.png", k, size=(20, 24))
    return root / "tree"


def test_interrupted_decoding_goes_on_where_it_stopped(tree, root):
    files = _decoded.listing(tree)
    first, second, third = Reader(broken=9), Reader(), Reader()
    with pytest.raises(KeyboardInterrupt):
        _decoded.mapped(_decoded.decode("tree", tree, files, 16, first))
    assert not list((root / "cache").glob("*.npy"))
    [done] = (root / "cache").glob("*.done")
    ticks = list(done.read_bytes())
    assert len(ticks) == 5
    assert ticks[0] == 1
    assert ticks[2] == 0
    images = _decoded.mapped(_decoded.decode("tree", tree, files, 16, second))
    assert sorted(second.seen) == [file for k, file in enumerate(files) if not ticks[k // 4]]
    for k, file in enumerate(files):
        assert torch.equal(images[k], pixels(imagenet.ImageNet(size=16)._read(tree / file)))
    assert sorted(path.suffix for path in (root / "cache").glob("tree-*") if path.suffix != ".lock") == [".npy", ".sha256"]
    assert torch.equal(_decoded.mapped(_decoded.decode("tree", tree, files, 16, third)), images)
    assert not third.seen


def test_a_whole_array_whose_digest_was_not_written_is_not_decoded_again(tree, root, monkeypatch):
    files, digest = _decoded.listing(tree), _content.digest
    with monkeypatch.context() as patch:
        patch.setattr(_content, "digest", lambda asked: digest(asked) if len(asked) > 1 else interrupt())
        with pytest.raises(KeyboardInterrupt):
            _decoded.decode("tree", tree, files, 16, Reader())
    reader = Reader()
    images = _decoded.mapped(_decoded.decode("tree", tree, files, 16, reader))
    assert not reader.seen and torch.equal(images[17], pixels(imagenet.ImageNet(size=16)._read(tree / files[17])))
    assert sorted(path.suffix for path in (root / "cache").glob("tree-*") if path.suffix != ".lock") == [".npy", ".sha256"]


def test_old_ticks_do_not_count_for_a_new_array(tree, root, monkeypatch):
    files = _decoded.listing(tree)
    with pytest.raises(KeyboardInterrupt):
        _decoded.mapped(_decoded.decode("tree", tree, files, 16, Reader(broken=17)))
    [part] = (root / "cache").glob("*.part")
    part.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(_decoded, "_check_room", interrupt)  # stopped between the old ticks and the new array
        with pytest.raises(KeyboardInterrupt):
            _decoded.mapped(_decoded.decode("tree", tree, files, 16, Reader()))
    assert not list((root / "cache").glob("*.done"))
    reader = Reader()
    _decoded.mapped(_decoded.decode("tree", tree, files, 16, reader))
    assert sorted(reader.seen) == files


def test_a_part_that_was_cut_is_begun_anew(tree, root):
    files = _decoded.listing(tree)
    with pytest.raises(KeyboardInterrupt):
        _decoded.decode("tree", tree, files, 16, Reader(broken=17))
    [part] = (root / "cache").glob("*.part")
    part.write_bytes(part.read_bytes()[:500])
    images = _decoded.mapped(_decoded.decode("tree", tree, files, 16, Reader()))
    assert all(torch.equal(images[k], pixels(imagenet.ImageNet(size=16)._read(tree / file))) for k, file in enumerate(files))


def test_a_relative_cache_is_relative_to_the_root_as_the_other_folders_are(monkeypatch, tmp_path):
    monkeypatch.setenv("POISONLIB_HOME", str(tmp_path))
    monkeypatch.setenv("POISONLIB_CACHE", "decoded")
    assert _where.cache() == tmp_path / "decoded"


def test_a_poisoned_copy_of_a_mapped_set_is_a_mapping_of_its_own(tree, root):
    files = _decoded.listing(tree)
    made = functools.partial(_decoded.mapped, _decoded.decode("tree", tree, files, 16, Reader()))
    train = ImageSet(made(), torch.arange(18) % 2, torch.arange(18) + 3, ("a", "b"), (0.5,) * 3, (0.2,) * 3, made)
    poison = Poison(train.ids[[2, 5]], 255 - train.images[[2, 5]])
    poisoned, copied = train.to("cpu").with_poison(poison), dataclasses.replace(train, reopen=None).with_poison(poison)
    assert torch.equal(poisoned.images, copied.images)
    assert torch.equal(train.images, made()) and not torch.equal(train.images, poisoned.images)
    again = poisoned.with_poison(Poison(train.ids[:1], 255 - train.images[:1]))
    assert torch.equal(again.images[[2, 5]], poison.images), "a second poison comes on top of the first"
    assert torch.equal(poisoned.images[0], train.images[0])


def test_decoded_tensor_is_the_mapped_file_and_writing_leaves_it_alone(tree, root, recwarn):
    files = _decoded.listing(tree)
    images = _decoded.mapped(_decoded.decode("tree", tree, files, 16, Reader()))
    kept = images.clone()
    assert images.is_contiguous()
    images.zero_()  # must leave the file as it is
    assert torch.equal(_decoded.mapped(_decoded.decode("tree", tree, files, 16, Reader())), kept)
    assert not [w for w in recwarn if "writable" in str(w.message)]


def test_another_list_or_size_is_another_array(tree, root):
    files = _decoded.listing(tree)
    _decoded.mapped(_decoded.decode("tree", tree, files, 16, Reader()))
    fewer, changed = Reader(), Reader()
    _decoded.mapped(_decoded.decode("tree", tree, files[1:], 16, fewer))
    picture(tree / "00.png", 0, size=(33, 33))
    _decoded.mapped(_decoded.decode("tree", tree, files, 16, changed))
    assert (len(fewer.seen), len(changed.seen)) == (17, 18)


def test_another_image_of_the_same_size_is_another_array_and_another_data_set(root, monkeypatch):
    """Grey pictures of one size have files of one size; times are set back, as rsync does."""
    for split in ("train", "val"):
        for k in range(4):
            Image.new("RGB", (16, 16), (60 * k,) * 3).save(place(root / "own" / split / "a" / f"{k}.bmp"))
    source = imagenet.ImageNet("own", 16).resolved()
    before, changed = source.load("train").images.clone(), root / "own" / "train" / "a" / "1.bmp"
    monkeypatch.setattr(_content, "SETTLED", -1e9)  # as if long ago: what was read is remembered
    assert source.resolved() == source and list((root / "cache" / "contents").iterdir())
    at = changed.stat()
    Image.new("RGB", (16, 16), (61,) * 3).save(changed)
    os.utime(changed, ns=(at.st_atime_ns, at.st_mtime_ns))
    assert changed.stat().st_size == at.st_size and changed.stat().st_mtime_ns == at.st_mtime_ns
    with pytest.raises(FileNotFoundError, match="holds other files than"):
        source.load("train")
    other = source.resolved()
    assert other != source and other.load("train").images[1].unique().tolist() == [61]
    assert torch.equal(other.load("train").images[[0, 2, 3]], before[[0, 2, 3]])


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b[:-1] + bytes([b[-1] ^ 1]), lambda b: b"", lambda b: None]
)
def test_a_decoded_copy_that_was_cut_changed_or_lost_is_made_again(tree, root, damage):
    files = _decoded.listing(tree)
    path = _decoded.decode("tree", tree, files, 16, Reader())
    sound, reader = path.read_bytes(), Reader()
    if (damaged := damage(sound)) is None:
        path.unlink()
    else:
        path.write_bytes(damaged)
    assert _decoded.decode("tree", tree, files, 16, reader) == path
    assert path.read_bytes() == sound and len(reader.seen) == 18


def test_links_in_a_circle_end(root):
    picture(root / "round" / "a" / "0.png", 0, size=(8, 8))
    for name in ("up", "down"):
        (root / "round" / "a" / name).symlink_to(root / "round", target_is_directory=True)
    (root / "round" / "b").symlink_to(root / "round" / "a", target_is_directory=True)
    assert _decoded.listing(root / "round") == ["a/0.png", "b/0.png"]


def test_deep_grey_pixels_are_refused_in_every_folder_instead_of_cut_off_at_255(root):
    for split in ("train", "val"):
        Image.fromarray(np.full((16, 16), 40000, dtype=np.uint16)).save(place(root / "own" / split / "a" / "0.png"))
    with pytest.raises(ValueError, match=r"0\.png cannot be read as an image: its pixels are of PIL's mode 'I"):
        imagenet.ImageNet("own", 16).resolved().load("train")


def test_broken_or_odd_image_is_named(tree):
    files = _decoded.listing(tree)
    good = (tree / "03.png").read_bytes()
    for content in (b"no image", good[: len(good) // 2]):
        (tree / "03.png").write_bytes(content)
        with pytest.raises(ValueError, match=r"03\.png cannot be read"):
            _decoded.mapped(_decoded.decode("tree", tree, files, 16, Reader()))
    (tree / "03.png").write_bytes(good)
    with pytest.raises(ValueError, match=r"png is 16 x 16 RGB, not 8 x 8 RGB"):
        _decoded.mapped(_decoded.decode("tree", tree, files, 8, Reader()))


def test_full_disk_is_an_error_not_a_crash(tree, monkeypatch):
    monkeypatch.setattr(_decoded.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(OSError, match="POISONLIB_CACHE"):
        _decoded.mapped(_decoded.decode("tree", tree, _decoded.listing(tree), 16, Reader()))


# --- ImageSet and Poison ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def clean():
    images = torch.arange(5 * 3 * 2 * 2).view(5, 3, 2, 2).to(torch.uint8)
    return ImageSet(images, torch.tensor([0, 1, 0, 1, 1]), torch.tensor([40, 10, 30, 0, 20]), ("a", "b"), (0.5,) * 3, (0.2,) * 3)


def poison(rows, value=200, dtype=torch.uint8):
    return Poison(torch.tensor(rows, dtype=torch.int64), torch.full((len(rows), 3, 2, 2), value, dtype=dtype))


def test_positions_and_selection(clean):
    assert clean.positions(torch.tensor([0, 40, 30])).tolist() == [3, 0, 2]
    for wrong in (50, 15, -1):
        with pytest.raises(KeyError, match=str(wrong)):
            clean.positions(torch.tensor([10, wrong]))
    assert clean.of_class(1).ids.tolist() == [10, 0, 20]
    assert torch.equal(clean.take(torch.tensor([2, 0])).images, clean.images[[2, 0]])
    assert clean.take(clean.ids > 15).ids.tolist() == [40, 30, 20]


def test_the_smallest_class_may_have_no_images(clean):
    assert clean.smallest_class == 2
    assert clean.take(clean.ids > 0).smallest_class == 2 and clean.take(clean.ids < 30).smallest_class == 0
    assert clean.of_class(0).smallest_class == 0, "the last class has none"


def test_with_poison_leaves_the_clean_set_untouched(clean):
    before = clean.images.clone()
    dirty = clean.with_poison(poison([10, 40]))
    assert torch.equal(clean.images, before)
    assert (dirty.images[[0, 1]] == 200).all()
    assert torch.equal(dirty.images[2:], before[2:])
    assert torch.equal(dirty.labels, clean.labels)
    assert torch.equal(dirty.ids, clean.ids)
    assert clean.with_poison(poison([])) is clean
    with pytest.raises(KeyError, match="11"):
        clean.with_poison(poison([10, 11]))
    wide = clean.with_poison(poison([30], 300, torch.int16))
    assert wide.images.dtype == torch.int16
    assert (wide.images[2] == 300).all()
    with pytest.raises(dataclasses.FrozenInstanceError):
        clean.images = before


def test_digest_tells_poisons_apart():
    digests = {poison([1, 2]).digest, poison([1, 3]).digest, poison([1, 2], 201).digest, poison([1, 2], 200, torch.int16).digest}
    assert len(digests) == 4
    assert poison([1, 2]).digest == poison([1, 2]).digest
    assert poison([1, 2]).digest == hashlib.sha256(np.array([1, 2]).tobytes() + bytes([200] * 24)).hexdigest()


def test_the_parts_of_a_split_are_cut_from_files_that_are_read_once(tmp_path, monkeypatch):
    reads = []
    whole = SimpleNamespace(targets=list(range(10)) * 4, data=np.zeros((40, 32, 32, 3), np.uint8), classes=list("abcdefghij"))
    monkeypatch.setenv("POISONLIB_DATA", str(tmp_path))
    monkeypatch.setattr(cifar, "_source", lambda *asked: reads.append(asked) or whole)
    file = tmp_path / "cifar-10-batches-py" / "data_batch_1"
    file.parent.mkdir()
    file.write_bytes(b"pixels")
    assert [len(data.load("cifar", classes=10, limit=limit)) for limit in (10, 20, 10)] == [10, 20, 10] and len(reads) == 1
    os.utime(file, ns=(1, 1))
    data.load("cifar", classes=10, limit=10)
    assert len(reads) == 2, "a file has changed"
    cifar._read_once.cache_clear()
