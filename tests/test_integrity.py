"""Nothing false: files that were changed, renamed or replaced since they were written are noticed, and never used."""

import json
import random
from dataclasses import replace

import pytest
import torch

from poisonlib import experiments, files
from poisonlib.experiments import Ledger
from poisonlib.experiments.cache import Cache
from poisonlib.experiments.ledger import read
from poisonlib.experiments.record import CraftReport, FilterReport
from poisonlib.experiments.seal import SEALED, sealed, unsealed
from poisonlib.experiments.spec import canonical, digest

from . import invent


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
    return tmp_path


def rich():
    """A record with every part."""
    (trial,) = experiments.grid("targeted", "quick", attack="gradient_matching", defence="deep_knn", trials=1)
    roc = FilterReport(4, 1, 0.625, ((0.0, 0.5, 1.0), (0.0, 0.25, 1.0)))
    record = invent.record(trial, 1, 4, ((90, 100), (7, 8)), confidence=0.25, filtered=roc, code="c", data={"train": "t"})
    return replace(record, craft=CraftReport((1, 2), 0.3, (0.1, 0.2)))


class TestRecords:
    def test_a_changed_bit_anywhere_is_noticed_or_changes_nothing(self):
        ledger, record = Ledger.open(), rich()
        ledger.put(record)
        path, draws, refused = ledger.path(record.key), random.Random(0), 0
        sound = path.read_bytes()
        for _ in range(300):
            damaged = bytearray(sound)
            damaged[draws.randrange(len(sound))] ^= 1 << draws.randrange(8)
            path.write_bytes(damaged)
            try:
                assert read(path) == record
            except ValueError:
                refused += 1
        assert refused > 290, "but for the line's end, every bit counts"

    @pytest.mark.parametrize("part", ["result", "cost", "environment", "code", "data"])
    def test_the_checksum_covers_every_part_but_the_description_which_the_name_does(self, part):
        whole = sealed(rich().to_json())
        other = {"data": {"train": "x"}, "code": "x"}.get(part) or dict(reversed(whole[part].items())) | {"more": 1}
        with pytest.raises(ValueError, match="its checksum is not that of its content"):
            unsealed(whole | {part: other})
        assert unsealed(whole) == rich().to_json()

    def test_a_record_of_the_schema_without_checksums_is_read_and_one_that_lost_its_checksum_is_not(self):
        record, ledger = rich(), Ledger.open()
        path = ledger.path(record.key)
        files.write_atomically(path, canonical(record.to_json()).encode())
        assert ledger.get(record.trial) == record
        lost = {name: value for name, value in sealed(record.to_json()).items() if name != "checksum"}
        assert lost["schema"] == SEALED
        for content in (lost, sealed(record.to_json()) | {"schema": 2, "code": "x"}):
            path.write_text(canonical(content))
            with pytest.raises(ValueError, match="checksum"):
                read(path)

    @pytest.mark.parametrize(
        ("part", "value", "says"),
        [
            ("evaluation", {"hits": 5}, "hits=5"),
            ("evaluation", {"targets": 0}, "targets=0"),
            ("evaluation", {"confidence": "high"}, "confidence='high'"),
            ("evaluation", {"clean": [[3, 2]]}, "clean"),
            ("evaluation", {"clean": []}, "clean images=0"),
            ("poisons", {"count": True}, "count=True"),
            ("craft", {"targets_correct": [1, 0]}, "targets_correct=0"),
            ("filter", {"roc": [[0.0], [0.0, 1.0]]}, "zip"),
            ("filter", {"roc": [[0.0, 2.0], [0.0, 1.0]]}, "roc"),
        ],
    )
    def test_values_that_cannot_be_are_refused_whatever_the_checksum(self, part, value, says):
        content, ledger = rich().to_json(), Ledger.open()
        content["result"][part] = content["result"][part] | value
        path = ledger.path(content["key"])
        files.write_atomically(path, canonical(sealed(json.loads(json.dumps(content)))).encode())
        with pytest.raises(ValueError, match=rf"{path.name} is not a sound record \(.*{says}"):
            read(path)


class TestNetworksAndCrafts:
    """The file of one identity under the name of another, or with other tensors, is made again."""

    ONE, OTHER = {"seed": 1}, {"seed": 2}

    def made(self, cache, identity):
        """What the cache returns, and whether it had to be made."""
        times = []
        tensors, _ = cache.fetch(identity, lambda: (times.append(1) or {"weight": torch.full((8,), 1.0 * identity["seed"])}, {}))
        return tensors["weight"].tolist(), bool(times)

    @pytest.fixture
    def cache(self):
        cache = Cache.open()
        for identity in (self.ONE, self.OTHER):
            assert self.made(cache, identity) == ([identity["seed"]] * 8, True)
            assert self.made(cache, identity) == ([identity["seed"]] * 8, False)
        return cache

    def test_a_renamed_file_is_never_used(self, cache):
        cache.path(self.OTHER).replace(cache.path(self.ONE))
        assert self.made(cache, self.ONE) == ([1.0] * 8, True)
        assert self.made(cache, self.ONE) == ([1.0] * 8, False)

    def test_a_changed_bit_in_header_or_tensors_is_never_used(self, cache):
        path, draws = cache.path(self.ONE), random.Random(0)
        sound, again = path.read_bytes(), 0
        for place in [*range(len(sound) - 32, len(sound)), *draws.sample(range(len(sound) - 32), 60)]:
            damaged = bytearray(sound)
            damaged[place] ^= 1 << draws.randrange(8)
            path.write_bytes(damaged)
            weights, was_made = self.made(cache, self.ONE)
            assert weights == [1.0] * 8
            again += was_made
        assert again > 85, "but for spaces that pad the header, every bit counts"

    @pytest.mark.parametrize("tensors", [{"bias": torch.ones(8)}, {"weight": torch.ones(8, dtype=torch.float64)}, {}])
    def test_a_file_with_other_tensors_is_made_again(self, cache, tensors):
        from safetensors.torch import save

        owner = canonical(self.ONE)
        header = {"note": "{}", "identity": owner, "digest": files.content_digest({"weight": torch.ones(8)}, {})}
        cache.path(self.ONE).write_bytes(save(tensors, header))
        assert self.made(cache, self.ONE) == ([1.0] * 8, True)

    def test_the_header_says_whose_the_file_is(self, cache):
        from safetensors import safe_open

        with safe_open(cache.path(self.ONE), "pt") as file:
            assert digest(json.loads(file.metadata()["identity"])) == cache.path(self.ONE).stem
