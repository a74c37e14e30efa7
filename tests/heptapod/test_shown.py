"""What loading a model gives shows itself on one screen, with its numbers."""

from pathlib import Path

import pytest

import heptapod

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("path", ["housing/housing.yml", "gallery/growth.yml", "portfolio/portfolio.yml"])
def test_a_model_and_its_parts_fit_a_screen_and_show_numbers(path):
    model = heptapod.load(EXAMPLES / path)
    for stage in model.stages.values():
        things = {"beta  0.9": model, "beta = 0.9": stage, f": {stage.num.method}": stage.num, "Derived": stage.derived}
        for words, thing in things.items():
            lines = repr(thing).splitlines()
            assert words in repr(thing) and len(lines) <= 12 and max(map(len, lines)) <= 120, repr(thing)
