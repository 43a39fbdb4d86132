"""Files and texts from elsewhere: whatever they hold, an error is a ValueError, LookupError or TypeError that says something."""

import copy
import functools
import hashlib
import io
import json
import struct
import zipfile
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from poisonlib import augment, data, experiments, files, registry
from poisonlib.data import _decoded, _unpack
from poisonlib.experiments import Ledger, Trial, defence
from poisonlib.experiments.ledger import read
from poisonlib.experiments.seal import sealed
from poisonlib.experiments.spec import canonical, digest
from poisonlib.papers import cells
from poisonlib.plots import drawing
from poisonlib.plots.forest import cells_forest

from .test_integrity import rich

CLEAR = (ValueError, LookupError, TypeError)
fuzz = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
TEXTS = st.text("aé$\0'", max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["patch", "mixup", "digits", "os.system", "antigravity.x", "a..b", "", ".", "é.b", "x" * 500, "__main__.X"])
VALUES = JSON | NAMES | st.sampled_from([10**400, -1, 0.5, True, [], {}, "16/255", "paper"])


def clear(action):
    """What an action returns; None where it raises an error that says something."""
    try:
        return action()
    except CLEAR as raised:
        said = str(raised).strip()
    assert said, "an error without a message"
    return None


def places(value, above=()):
    """The paths to every value inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in inner:
        yield (*above, name)
        yield from places(each, (*above, name))


def changed(content, place, value, lost):
    """A copy with another value at a path, or without it."""
    content = copy.deepcopy(content)
    at = content
    for name in place[:-1]:
        at = at[name]
    if lost:
        del at[place[-1]]
    else:
        at[place[-1]] = value
    return content


SOUND = json.loads(canonical(rich().to_json()))


@fuzz
@given(st.lists(st.tuples(st.sampled_from(list(places(SOUND))), VALUES, st.booleans()), min_size=1, max_size=2))
def test_records(tmp_path_factory, changes):
    content = SOUND
    for place, value, lost in changes:
        try:
            content = changed(content, place, value, lost)
        except (LookupError, TypeError):  # the first change removed the place of the second
            continue
    if isinstance(content.get("spec"), dict):
        content["key"] = digest(content["spec"])
    name = content["key"] if isinstance(content.get("key"), str) and content["key"].isalnum() else "0"
    path = tmp_path_factory.mktemp("fuzz") / "ab" / f"{name[:64]}.json"
    files.write_atomically(path, canonical(sealed(content)).encode())
    record, said = None, path.name
    try:
        record = read(path)
    except ValueError as raised:
        said = str(raised)
    assert path.name in said
    if record:
        assert 0 <= record.success <= 1 and 0 <= record.accuracy <= 1 and record.measured()
        assert len(experiments.frame([record])) == len(cells.cells([record])) == 1
        clear(lambda: record.trial)


@fuzz
@given(st.binary(max_size=200) | st.integers(1, 3000).map(lambda n: canonical(sealed(SOUND)).encode()[:-n]))
def test_bytes_for_a_record(tmp_path_factory, content):
    root = tmp_path_factory.mktemp("fuzz")
    files.write_atomically(root / "ab" / f"{SOUND['key']}.json", content)
    assert list(Ledger(root).sound()) == []


@fuzz
@given(st.lists(st.tuples(st.sampled_from(list(places(SOUND["spec"]))), VALUES, st.booleans()), min_size=1, max_size=2) | JSON)
def test_descriptions_of_trials(changes):
    spec = SOUND["spec"]
    if not isinstance(changes, list):
        clear(lambda: Trial.read(changes))
        return
    for change in changes:
        spec = clear(lambda change=change, spec=spec: changed(spec, *change)) or spec
    clear(lambda: Trial.read(spec))


WORDS = st.sampled_from(["mixup", "cutmix", "dp_sgd", "os.system", "(", ")", "k=4", ",", "=", "+", "16/255", "1/0", "**", "[{}]"])


@fuzz
@given(st.text(max_size=30) | st.lists(WORDS, max_size=8).map("".join))
def test_choices_as_text(text):
    for read_ in (registry.parse, defence, augment.load, data.source):
        clear(lambda read_=read_: read_(text))


LONG = ["(" * 10_000, "+".join(["mixup"] * 10_000), "a" + ".b" * 10_000, f"mixup(k={'9' * 5000})"]


@pytest.mark.parametrize("text", [*LONG, "mixup(k={[]: 1})", "\0", "\ud800"])
def test_texts_that_python_s_own_parser_fails_on(text):
    with pytest.raises(CLEAR, match=r"\S"):
        defence(text)


def test_a_record_imports_nothing_of_the_standard_library():
    for name in ("antigravity.x", "idlelib.idle.X", "this.s"):
        with pytest.raises(LookupError, match="standard library"):
            registry.imported(name)


HEADER = st.dictionaries(
    st.sampled_from(["weight", "__metadata__", "x"]),
    JSON | st.fixed_dictionaries({"dtype": st.sampled_from(["F32", "I64", "?"]), "shape": JSON, "data_offsets": JSON}),
    max_size=3,
)


@fuzz
@given(st.binary(max_size=100) | HEADER.map(lambda h: struct.pack("<Q", len(json.dumps(h))) + json.dumps(h).encode() + bytes(32)))
def test_safetensors(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("fuzz") / "x.safetensors"
    path.write_bytes(content)
    assert files.read_tensors(path, "mine") is None
    found = files.read_tensors(path)
    assert found is None or all(isinstance(tensor, torch.Tensor) for tensor in found[0].values())


def picture(kind):
    file = io.BytesIO()
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(file, kind)
    return file.getvalue()


@functools.cache
def train(channels):
    return data.load("digits", size=8, channels=channels, limit=50)


PICTURES = {kind: picture(kind) for kind in ("png", "jpeg", "bmp", "tiff", "webp", "ppm")}


CHANGES = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=4)


@fuzz
@given(st.sampled_from(list(PICTURES)), CHANGES, st.integers(1, 2000))
def test_images(tmp_path_factory, kind, bytes_, length):
    content = bytearray(PICTURES[kind])
    for place, value in bytes_:
        content[place % len(content)] = value
    path = tmp_path_factory.mktemp("fuzz") / f"7.{kind}"
    path.write_bytes(content[:length] if length % 2 else content)
    clear(lambda: _decoded.image(path, 8))
    clear(lambda: data.poison_from_folder(path.parent, train(channels=3)))


def test_an_image_that_would_fill_the_memory_is_refused(tmp_path):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    (tmp_path / "0.png").write_bytes(bomb)
    with pytest.raises(ValueError, match=r"0\.png cannot be read as an image: .*pixels"):
        _decoded.image(tmp_path / "0.png", 8)


MEMBERS = ["t/a", "t/../../b", "/t/c", "t\\..\\d", "t", "t//e", "x/f", "C:\\g", "t/" + "h" * 300]


@fuzz
@given(st.lists(st.sampled_from(MEMBERS), max_size=3) | st.binary())
def test_archives(tmp_path_factory, members):
    root = tmp_path_factory.mktemp("fuzz")
    archive = root / "in" / "t.zip"
    archive.parent.mkdir()
    if isinstance(members, bytes):
        archive.write_bytes(members)
    else:
        with zipfile.ZipFile(archive, "w") as out:
            for name in dict.fromkeys(members):
                out.writestr(name, "content")
    clear(lambda: _unpack.unzip(archive, root / "in" / "t", hashlib.md5(archive.read_bytes()).hexdigest()))
    assert [path.name for path in root.iterdir()] == ["in"]
    assert {path.name for path in archive.parent.iterdir()} <= {"t.zip", "t", "t.part"}


STEMS = ["7", "07", "-1", "9" * 30, "²", "٣", "1e3", "17 ", "x", "999999"]


@fuzz
@given(st.lists(st.sampled_from(STEMS), min_size=1, max_size=3, unique=True))
def test_names_in_poison_folders(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("fuzz")
    for name in names:
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / f"{name}.png")
    poison = clear(lambda: data.poison_from_folder(folder, train(channels=1)))
    assert poison is None or poison.ids.tolist() == [int(name) for name in names]


def test_a_dollar_in_a_name_begins_no_mathematics(monkeypatch):
    base = replace(rich(), craft=None, filter=None)
    attacks = [{"name": "external", "title": title, "content": "0" * 32} for title in ("a $\\frac{$ b", "5 $ or 6 $_")]
    shown = cells.cells(replace(base, spec=base.spec | {"attack": attack}) for attack in attacks)
    assert cells_forest(shown, shown).png().startswith(b"\x89PNG")
    monkeypatch.setattr(drawing, "literal", lambda figure: figure)
    with pytest.raises(ValueError, match="frac"):
        cells_forest(shown, shown).png()
