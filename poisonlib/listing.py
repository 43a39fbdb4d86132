"""What there is to choose from: notebooks with their parameters, attacks, defences, data sets, networks, profiles.

All of this is known from files; none of them is imported, as torch would be with them.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path

from . import notebooks, registry, scenarios

ROOMS = ("data", "models", "attacks", "augment", "filters", "steps")


def facts() -> dict:
    """The choices, as JSON values."""
    return {
        "notebooks": [_notebook(name) for name in notebooks.names()],
        **{room: registry.names(f"{__package__}.{room}") for room in ROOMS},
        "recipes": sorted(tomllib.loads(Path(__file__).with_name("training").joinpath("recipes.toml").read_text(encoding="utf-8"))),
        "profiles": {scenario: scenarios.profiles(scenario) for scenario in scenarios.names()},
    }


def _notebook(name: str) -> dict:
    shown = [{"name": each.name, "default": each.default, "help": each.help} for each in notebooks.parameters(name).values()]
    return {"name": name, "title": notebooks.title(name), "parameters": shown}


def lines(found: dict) -> Iterator[str]:
    """What `facts` found, for a reader."""
    for notebook in found["notebooks"]:
        yield f"{notebook['name']}\n    {notebook['title']}"
        for each in notebook["parameters"]:
            yield f"      {each['name']}={each['default']!r}  {each['help']}"
    for room in ROOMS:
        yield f"{room}: {', '.join(found[room])}"
    yield "classes of your own: by their import path, such as my_package.my_module.MyAugment(k=3)"
    yield f"recipes: {', '.join(found['recipes'])}"
    for scenario, names in found["profiles"].items():
        yield f"profiles of {scenario}: {', '.join(names)}"
