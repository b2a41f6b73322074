"""Recipes: bytes, entries of the tree, and text that YAML gives a meaning to."""

from __future__ import annotations

from pathlib import Path
from random import Random

import yaml

from smidgen.methods.recipe import Recipe, read_recipe
from tests.fuzz.mutations import damaged, edited, junk

SUFFIX = ".yaml"
SOUND = (
    "- prune.global_magnitude: {sparsity: 0.5}\n- quantize.affine: {bits: 4, granularity: group}\n",
    "- factorize.svd: {keep: 0.5}\n- share.codebook: {conv_bits: 3}\n- tune.fit: {epochs: 2, lr: 0.001}\n",
    "- quantize.weights:\n    bits: 4\n    group_size: 32\n- tune.fit\n",
    "- prune.channels: {ratio: 0.25, scope: global}\n- quantize.half\n",
)
TOKENS = (
    "&a [",
    "*a",
    "!!python/object/apply:os.system ['x']",
    "<<: *a",
    "!!binary aaaa",
    "? ",
    "{",
    "[",
    "'",
    '"\\x',
    "|\n",
    "---\n",
    "%YAML 9.9\n",
    "\t",
    "2001-01-01",
    "0x7fffffffffffffffff",
    "1e999",
    ".nan",
    "-.inf",
    "9" * 5000,
    "[" * 500,
    "- " * 500,
    "{a: " * 300,
    "null",
    "~",
    "yes",
    "!!set {a, b}",
    "é\0",
    "\u2028",
    "quantize",
    "..recipe",
    "quantize.affine.x",
    "step",
    "quantize.__init__",
    "prune._allocation",
)


def case(rng: Random) -> bytes:
    text = rng.choice(SOUND)
    kind = rng.randrange(4)
    if kind == 0:
        return damaged(text.encode(), rng, rng.choice(SOUND).encode())
    if kind == 1:
        return str(yaml.safe_dump(edited(yaml.safe_load(text), rng))).encode()
    if kind == 2:
        at = rng.randrange(len(text) + 1)
        return (text[:at] + rng.choice(TOKENS) + text[at + rng.randrange(4) :]).encode()
    entries = yaml.safe_load(text)
    step = rng.choice([entry for entry in entries if isinstance(entry, dict)])
    (settings,) = step.values()
    settings[rng.choice([*settings, "bits", "epochs", "seed"])] = junk(rng)
    return str(yaml.safe_dump(entries)).encode()


def use(path: Path) -> None:
    recipe = read_recipe(path)
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe
    assert hash(recipe) == hash(Recipe(recipe.steps))
    assert str(recipe)
