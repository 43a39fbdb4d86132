"""Records of version 0.1 (schema 1) under the names of today.

Their results stay as they are. They carry no digest of code and data, so they count as recorded with other code.
"""

from .record import SCHEMA
from .spec import Trial, digest

MODELS = {
    "conv16": {"name": "convnet"},
    "local3": {"name": "convnet_gap"},
    "patches": {"name": "patch_mlp"},
    "resnet8": {"name": "cifar_resnet", "depth": 8, "shortcut": "projection"},
    "narrow_resnet": {"name": "cifar_resnet"},
    "resnet18": {"name": "resnet", "depth": 18},
    "resnet34": {"name": "resnet", "depth": 34},
    "resnet18_group": {"name": "resnet", "depth": 18, "norm": "group"},
    "vgg11": {"name": "vgg", "depth": 11},
    "vgg16": {"name": "vgg", "depth": 16},
}
DATA = {"cifar10": {"name": "cifar", "classes": 10}, "cifar100": {"name": "cifar", "classes": 100}}
RECIPE = {"batch": "batch_size", "rate": "lr", "drops": "milestones", "factor": "gamma", "optimiser": "optimizer"}
TARGETED = {
    "budget": "poison_rate",
    "rate": "step_size",
    "companions": "clean_images",
    "batch": "batch_size",
    "judgements": "eval_samples",
}
ATTACKS = {"patch": {"share": "poison_rate"}, "gradient_matching": TARGETED, "noise": TARGETED, "watermark": TARGETED}


def upgrade(record: dict) -> dict:
    """A record of schema 1 as one of today's schema. Raises ValueError where its name is not the hash of its description."""
    if record["key"] != digest(record["spec"]):
        raise ValueError(f"{record['key']} is not the hash of the record's description")
    spec, result = Trial.read(_spec(record["spec"])).describe(), record["result"]
    hits, targets = result["success"]
    return {
        "schema": SCHEMA,
        "key": digest(spec),
        "spec": spec,
        "result": {
            "evaluation": {
                "hits": hits,
                "targets": targets,
                "confidence": result.get("wanted probability"),
                "clean": result["clean"],
            },
            "intended_class": result["wanted"],
            "source_class": result["victim class"],
            "poisons": _named(result["poisons"], {"largest change": "largest_change"}),
            "craft": _craft(result.get("craft")),
            "filter": result["filter"] and _named(result["filter"], {"poisons removed": "poisons_removed"}),
        },
        "code": None,
        "data": None,
        "cost": _named(record["cost"], {"peak memory bytes": "peak_memory"}),
        "environment": record["place"],
    }


def _spec(old: dict) -> dict:
    data, model, attack = old["data"], old["model"], old["attack"]
    return old | {
        "data": data | DATA.get(data["name"], {}),
        "model": model | MODELS.get(model["name"], {}),
        "recipe": _named(old["recipe"], RECIPE),
        "attack": _named(attack, ATTACKS.get(attack["name"], {})),
    }


def _craft(old: dict | None) -> dict | None:
    return {"targets_correct": old["targets right"], "objective": old.get("objective")} if old else None


def _named(values: dict, names: dict[str, str]) -> dict:
    return {names.get(name, name): value for name, value in values.items()}
