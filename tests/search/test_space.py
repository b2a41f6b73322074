import numpy as np
import optuna
import pytest

from smidgen.data.dataset import Dataset, Splits
from smidgen.errors import BadInput
from smidgen.methods.recipe import Recipe, step_class, step_names
from smidgen.methods.step import Stage
from smidgen.search.space import LEFT_OUT, RecipeSpace, usable_methods
from smidgen.search.starts import starting_recipes
from tests.search.fakes import small_graph

SPACE = RecipeSpace(small_graph())


def drawn(count):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    for _ in range(count):
        yield SPACE.recipe(study.ask())


@pytest.fixture(scope="module")
def recipes():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return list(drawn(150))


def test_every_recipe_quantizes_exactly_once(recipes):
    assert all(sum(s.stage is Stage.VALUES for s in r.steps) == 1 for r in recipes)


def test_every_method_appears(recipes):
    used = {step.name for recipe in recipes for step in recipe.steps}
    assert used == set(step_names()) - set(LEFT_OUT)


def test_distillation_never_stands_without_a_training_after_it(recipes):
    for recipe in recipes:
        names = [step.name for step in recipe.steps]
        if "distill.logits" in names:
            assert "tune.fit" in names[names.index("distill.logits") :]


def test_every_drawn_recipe_survives_yaml(recipes):
    assert all(Recipe.from_yaml(r.to_yaml()) == r for r in recipes)


def test_parameters_lead_back_to_their_recipe(recipes):
    for recipe in recipes:
        parameters = complete(SPACE.parameters(recipe))
        assert SPACE.recipe(optuna.trial.FixedTrial(parameters)) == recipe


@pytest.mark.parametrize("recipe", starting_recipes(methods=SPACE.methods), ids=str)
def test_starting_recipes_lie_in_the_space(recipe):
    parameters = complete(SPACE.parameters(recipe))
    assert SPACE.recipe(optuna.trial.FixedTrial(parameters)) == recipe


def test_every_method_is_tried_early():
    tried = {step.name for recipe in starting_recipes(methods=SPACE.methods) for step in recipe.steps}
    assert tried == set(SPACE.methods)


def test_all_trials_have_the_same_parameters():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(1))
    for _ in range(20):
        SPACE.recipe(study.ask())
    assert len({tuple(t.params) for t in study.trials}) == 1


def test_methods_can_be_restricted():
    space = RecipeSpace(small_graph(), ("quantize.affine",))
    assert [slot.methods for slot in space.slots] == [("quantize.affine",)]
    assert not space.holds(Recipe.from_yaml("- quantize.affine\n- tune.fit"))


def complete(parameters):
    """With some value for the settings of methods that are not used."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(2))
    trial = study.ask()
    SPACE.recipe(trial)
    return {**trial.params, **parameters}


def asked(classes: int | None, synthetic: bool = False) -> Splits:
    part = Dataset(np.zeros((4, 6), np.float32), np.arange(4) % 2)
    return Splits(part, part, part, classes, synthetic=synthetic)


def test_without_data_only_what_learns_nothing_is_used():
    names = usable_methods(None, asked(None, synthetic=True))
    assert {"quantize.weights", "quantize.half", "factorize.svd", "prune.channels"} <= set(names)
    assert {step_class(name).needs for name in names} == {"nothing"}
    with pytest.raises(BadInput, match=r"tune\.fit needs data"):
        usable_methods(("tune.fit",), asked(None, synthetic=True))


def test_with_data_float_activations_are_left_to_those_who_ask():
    assert set(step_names()) - set(usable_methods(None, asked(2))) == {"quantize.weights", "quantize.half"}
    assert usable_methods(("quantize.half",), asked(2)) == ("quantize.half",)
