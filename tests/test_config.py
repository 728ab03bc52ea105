"""Configurations: whatever a user writes becomes one canonical form, and what is wrong is told."""

import dataclasses
import time

import numpy as np
import pytest

from gradlab import GradlabError
from gradlab.config import (
    CONFIGS,
    GRID,
    OPTIONS,
    MLPConfig,
    ResNetConfig,
    RNNConfig,
    Sweep,
    TrainingConfig,
    TrainingSweep,
    TransformerConfig,
    configuration,
    option,
    positive_integer,
)
from gradlab.config.fields import choice
from gradlab.sweep.grid import as_values, from_values


@pytest.mark.parametrize("config", [*CONFIGS.values(), Sweep], ids=lambda c: c.__name__)
def test_every_field_is_described_by_itself(config):
    """The command line takes its help from here, and the documentation its list of parameters."""
    for field in dataclasses.fields(config):
        assert field.metadata["meaning"][-1] == "." and f"\n{field.name} : " in config.__doc__


def test_a_new_field_is_judged_once_and_all_lists_follow():
    @configuration
    class Wider(MLPConfig):
        """A network with another field."""

        slope: int = option(1, "Slope below 0.", positive_integer, "number", later=True)
        rule: str | None = option(None, "Rule.", choice(None, "a", "b"), "draw")

    assert Wider.names()[-2:] == ("slope", "rule") and "rule : str | None\n    Rule." in Wider.__doc__
    assert "slope" in Wider.names("number") and "slope" not in Wider.names("draw", "program")
    assert "rule" in Wider.names("draw") and "rule" not in Wider.names("number", "program")
    assert Wider(slope=2.0).changed() == {"slope": 2} and repr(Wider(rule="a")) == "Wider(rule='a')"
    assert "rule" in Wider().as_dict() and "slope" not in Wider().as_dict() and Wider(slope=2).as_dict()["slope"] == 2
    with pytest.raises(GradlabError, match="rule to be one of a, b; received 'c'"):
        Wider(rule="c")
    with pytest.raises(GradlabError, match=r"option of Wider .* received 'slpe'; try 'slope'"):
        Wider(slpe=2)


def test_a_field_that_nobody_judged_is_no_field():
    class Wider(MLPConfig):
        slope: float = 0.1

    with pytest.raises(TypeError, match=r"Wider\.slope = option\("):
        configuration(Wider)
    with pytest.raises(TypeError, match="affects"):
        option(0.1, "Slope below 0.", positive_integer)


def test_what_fields_affect():
    """What a draw takes is no part of a program: a wrong judgement shares a program that should differ."""
    drawn = {"init", "gain", "sigma_w2", "std", "sigma_b2", "readout", "r_min", "r_max"}
    assert {name for kind in CONFIGS.values() for name in kind.names("draw")} == drawn
    assert {name for kind in CONFIGS.values() for name in kind.names("number")} == {"depth", "branch_scale"}
    for name, first in OPTIONS.items():  # of all architectures that have it
        kinds = [kind for kind in (*CONFIGS.values(), TrainingConfig) if name in kind.names()]
        assert {name in kind.names(first.metadata["affects"]) for kind in kinds} == {True}


def test_texts_are_categories_of_the_frame():
    from gradlab.frames.rows import CATEGORIES

    values = {n: getattr(k, n) for k in (*CONFIGS.values(), TrainingConfig) for n in k.names()}
    assert {name for name, value in values.items() if isinstance(value, str)} < {*CATEGORIES}
    numbers = {name for name, value in values.items() if isinstance(value, (int, float))}
    assert numbers & {*CATEGORIES} == {"branch_scale"}  # a number, or the name of a rule


def test_a_grid_is_spanned_by_the_fields_of_a_network():
    fields = {field.name for kind in CONFIGS.values() for field in dataclasses.fields(kind)}
    assert set(GRID) == fields | {"architecture"}
    assert fields < {field.name for field in dataclasses.fields(Sweep)}


def test_a_grid_over_architectures_gives_each_the_coordinates_that_it_has():
    sweep = Sweep(
        architecture=["mlp", "resnet", "transformer"], depth=4, branch_scale=[1, "1/sqrt(L)", "1 / L"], seeds=1
    )
    kinds = [type(config).__name__ for config in sweep.configs()]
    assert (kinds.count("MLPConfig"), kinds.count("ResNetConfig"), kinds.count("TransformerConfig")) == (6, 3, 3)
    assert [ResNetConfig(depth=4, branch_scale=s).scale for s in sweep.branch_scale] == [1.0, 0.5, 0.25]
    assert {c.norm for c in sweep.configs() if isinstance(c, TransformerConfig)} == {"layer"}


def test_a_transformer_without_a_norm_stands_in_a_grid():
    """None is the norm that an architecture has by default, so a grid writes no norm in a word."""
    sweep = Sweep(architecture=["mlp", "transformer"], norm=["none", None], skip=[True, False], depth=2)
    found = {(c.norm, c.skip) for c in sweep.configs() if isinstance(c, TransformerConfig)}
    assert found == {(None, True), (None, False), ("layer", True), ("layer", False)}
    assert {c.norm for c in sweep.configs() if isinstance(c, MLPConfig)} == {None}
    assert from_values(as_values(sweep)) == sweep
    # what came later is no part of the hash of the networks that were there before
    assert not {"skip", "branch_scale"} & {*TransformerConfig().as_dict()}
    assert {"skip", "branch_scale"} < {*TransformerConfig(skip=False, branch_scale=0.5).as_dict()}


ALL = ["mlp", "resnet", "convnet", "rnn", "transformer"]


@pytest.mark.parametrize("architecture", ALL[1:])
def test_an_architecture_has_defaults_of_its_own(architecture):
    sweep, kind = Sweep(architecture=architecture), CONFIGS[architecture]
    for config in sweep.configs():
        assert config == kind(depth=config.depth)
    assert sweep.depth == ((None,) if architecture == "rnn" else (2, 4, 8, 16, 32, 64))


def test_in_a_mixed_grid_each_architecture_has_its_own_defaults():
    apart = [config for architecture in ALL for config in Sweep(architecture=architecture, data="digits").configs()]
    mixed = Sweep(architecture=ALL, data="digits")
    assert list(mixed.configs()) == apart and len(apart) == 36 + 6 + 6 + 1 + 6
    assert from_values(as_values(mixed)) == mixed  # as it is kept in a folder
    given = list(Sweep(architecture=ALL, depth=4, width=8, activation=[None, "relu"], init="he_normal").configs())
    assert [(c.architecture, c.activation) for c in given] == [
        ("mlp", "sigmoid"), ("mlp", "tanh"), ("mlp", "relu"), ("resnet", "relu"), ("convnet", "relu"),
        ("rnn", "tanh"), ("rnn", "relu"), ("transformer", "gelu"), ("transformer", "relu"),
    ]  # fmt: skip


def test_a_coordinate_that_a_network_does_not_have_is_none_of_the_grid():
    cells = Sweep(architecture="rnn", cell=["rnn", "lstm", "gru"], activation=["tanh", "relu"], forget_bias=[0, 1])
    found = [(config.cell, config.activation, config.forget_bias) for config in cells.configs()]
    assert sorted(found) == [
        ("gru", "tanh", 1), ("lstm", "tanh", 0), ("lstm", "tanh", 1), ("rnn", "relu", 1), ("rnn", "tanh", 1)
    ]  # fmt: skip
    one = {"depth": 2, "activation": "tanh", "init": "he_normal"}
    places = Sweep(**one, norm=[None, "layer"], norm_position=["before", "after"])
    assert len(list(places.configs())) == 3
    kernels = Sweep(architecture=["resnet", "convnet"], depth=2, kernel=[3, 5])
    assert [(c.architecture, c.kernel) for c in kernels.configs()] == [("resnet", 3), ("convnet", 3), ("convnet", 5)]
    ways = TrainingSweep(**one, optimizer=["sgd", "momentum"], momentum=[0.5, 0.9])
    assert [(c.optimizer, c.momentum) for c in ways.configs()] == [("sgd", 0.9), ("momentum", 0.5), ("momentum", 0.9)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sweep(architecture="rnn", cell="lstm", activation="relu"), "activation= only with cell='rnn'"),
        (lambda: RNNConfig(cell="gru", forget_bias=2.0), "forget_bias= only with cell='lstm'"),
        (lambda: Sweep(norm_position="after"), "norm_position= only with norm='batch' or"),
        (lambda: TrainingSweep(momentum=0.5), "momentum= only with optimizer='momentum' or 'nesterov'"),
        (lambda: TrainingConfig(MLPConfig(), momentum=0.5), "received momentum=0.5, optimizer='sgd'"),
    ],
)
def test_a_coordinate_that_nothing_asked_for_has_is_refused(make, message):
    with pytest.raises(GradlabError, match=message):
        make()


def test_fields_that_came_later_leave_old_identities_as_they_were():
    """What stands in folders on disk is found again."""
    assert MLPConfig().as_dict() == {
        "architecture": "mlp", "depth": 10, "width": 128, "activation": "relu", "init": "he_normal", "gain": 1.0,
        "sigma_w2": None, "std": None, "sigma_b2": None, "bias": True, "readout": None,
    }  # fmt: skip
    assert MLPConfig(norm="layer").as_dict()["norm"] == "layer"


@pytest.mark.parametrize("depth", [[2, 3], (2, 3), range(2, 4), np.arange(2, 4), iter([2, 3]), [2, 3, 2], [2.0, 3.0]])
def test_a_coordinate_takes_any_sequence(depth):
    sweep = Sweep(depth=depth)
    assert sweep == Sweep(depth=(2, 3)) and all(type(value) is int for value in sweep.depth)


def test_numbers_of_numpy_become_pythons_own():
    sweep = Sweep(depth=np.int64(3), gain=np.float32(1.5), bias=np.array([True, False]), seeds=np.array([4]))
    assert (sweep.depth, sweep.gain, sweep.bias, sweep.seeds) == ((3,), (1.5,), (True, False), (4,))
    assert [type(v[0]) for v in (sweep.depth, sweep.gain, sweep.bias, sweep.seeds)] == [int, float, bool, int]
    assert Sweep(depth=2, width=[[3, 4], 5]).width == ((3, 4), 5)
    assert MLPConfig(depth=2, width=np.array([3, 4])) == MLPConfig(depth=2, width=(3, 4))


def test_two_spellings_of_one_network_are_one_network():
    sweep = Sweep(depth=2, activation=["swish", "silu"], init=["glorot_normal", "xavier_normal"], gain=[1, 1.0])
    assert len(list(sweep.configs())) == 1
    assert sweep == Sweep(depth=2, activation="silu", init="xavier_normal")
    assert MLPConfig(depth=3, width=(5, 5, 5)) == MLPConfig(depth=3, width=5)


def test_seeds_are_a_count_or_numbers():
    assert Sweep(seeds=3).seed_numbers == (0, 1, 2)
    assert Sweep(seeds=[3]).seed_numbers == (3,)
    assert Sweep(seeds=[7, 3, 7]).seed_numbers == (7, 3)


def test_one_column_may_be_written_without_a_list():
    assert Sweep(columns="log10_delta_rms").columns == ("log10_delta_rms",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": range(1, 10**15)}, "at most 200,000 values in one list; received more, from 1 on"),
        ({"depth": 10**5, "width": 10**4}, "at most 100,000,000,000 weights"),
        ({"data": "copying", "batch": 10**6, "length": 10**6}, "steps of all sequences of a batch"),
        ({"gain": 10**400}, "gain to be a number of at least 0; received about 2"),
        ({"key": 2**32}, "key to be at most 4,294,967,295"),
    ],
)
def test_a_request_beyond_every_machine_is_refused_at_once(options, message):
    begun = time.process_time()
    with pytest.raises(GradlabError, match=message):
        Sweep(**options)
    assert time.process_time() - begun < 1


BAD = {
    "a coordinate of another architecture": ({"branch_scale": "1/L"}, "branch_scale only with resnet or transformer"),
    "a word for a scale": ({"architecture": "resnet", "branch_scale": "small"}, "received 'small'"),
    "heads that do not divide": (
        {"architecture": "transformer", "width": 30, "heads": 4},
        "heads that divide the width",
    ),
    "a place for no norm": (
        {"architecture": "transformer", "norm": "none", "norm_position": "after"},
        "norm_position= only with norm='layer'",
    ),
    "nothing but branches of 0": (
        {"architecture": "transformer", "skip": False, "branch_scale": "learned"},
        "skip=True with branch_scale='learned'",
    ),
    "a place for a norm": ({"norm": "pre"}, "norm to be one of batch, layer, rms, dyt; received 'pre'"),
    "scaling of no norm": (
        {"architecture": "transformer", "norm": "none", "norm_scaling": True},
        "a norm with norm_scaling=True",
    ),
    "another architecture's norm": ({"architecture": "transformer", "norm": "batch"}, "norm to be one of layer, rms"),
    "a word for a depth": ({"depth": "deep"}, "depth to be an integer of at least 1; received 'deep'"),
    "NaN": ({"depth": float("nan")}, "received nan"),
    "half a unit": ({"width": 1.5}, "width to be an integer of at least 1; received 1.5"),
    "a set has no order": ({"depth": {2, 4}}, "depth to be an integer"),
    "widths of layers at another depth": ({"depth": 3, "width": [[3, 4]]}, "3 hidden layers; received 2 widths"),
    "an empty grid": ({"depth": []}, "at least one value of depth; received none; try depth=2"),
    "an empty array": ({"gain": np.array([])}, "at least one value of gain"),
    "a word for a gain": ({"gain": "x"}, "gain to be a number of at least 0; received 'x'; try gain=1"),
    "a negative gain": ({"gain": -1}, "gain to be a number of at least 0; received -1; try gain=1"),
    "an infinite sigma": ({"init": "gaussian", "sigma_w2": float("inf")}, "sigma_w2 to be a positive number"),
    "a negative variance": ({"sigma_b2": -0.1}, "sigma_b2 to be a number of at least 0; received -0.1"),
    "a word for yes or no": ({"bias": "no"}, "bias to be True or False; received 'no'"),
    "biases where there are none": ({"bias": False, "sigma_b2": 0.1}, "bias=True where sigma_b2 > 0"),
    "two sigmas": ({"init": "gaussian", "sigma_w2": 1, "std": 1}, "one of sigma_w2= and std="),
    "no sigma": ({"init": "gaussian"}, "one of sigma_w2= and std="),
    "a sigma that is not used": ({"sigma_w2": 1}, "only with init='gaussian'"),
    "a function for a name": ({"activation": np.tanh}, "try .*register it first"),
    "a list of a list": ({"activation": [["tanh"]]}, "one activation for each of the 2 hidden layers"),
    "a readout": ({"readout": "he"}, "initializer to be one of .*; received 'he'"),
    "an architecture": ({"architecture": "cnn"}, "architecture to be one of mlp"),
    "part of a seed": ({"seeds": [1.5]}, "seed to be an integer of at least 0; received 1.5"),
    "no seeds": ({"seeds": []}, "seeds to be a count, or numbers"),
    "True seeds": ({"seeds": True}, "received True"),
    "a negative key": ({"key": -1}, "key to be an integer of at least 0"),
    "no columns": ({"columns": []}, "at least one column"),
    "a column": ({"columns": ["log10_delta"]}, "column to be one of .* try 'log10_delta_rms'"),
    "several dtypes": ({"dtype": ["float32"]}, "dtype to be one of float32, float64"),
    "a correlation": ({"c0": "x"}, "c0 to be a number from 0 to 1"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told(case):
    options, message = BAD[case]
    with pytest.raises(GradlabError, match=message):
        Sweep(**options)


@pytest.mark.parametrize("width", [(), (4,), (4, 5), np.array([4, 5])])
def test_one_width_for_each_layer(width):
    with pytest.raises(GradlabError, match=f"3 hidden layers; received {len(width)} widths"):
        MLPConfig(depth=3, width=width)


def test_a_norms_place_has_one_word_in_all_architectures():
    """Pre and post, as they are said of blocks, are read as before and after."""
    kinds = [kind for kind in CONFIGS.values() if "norm_position" in kind.names()]
    assert [kind.architecture for kind in kinds] == ["mlp", "resnet", "convnet", "transformer"]
    for kind in kinds:
        norm = {} if kind.architecture == "transformer" else {"norm": "layer"}
        assert kind(**norm, norm_position="post") == kind(**norm, norm_position="after") != kind(**norm)
    assert ResNetConfig(norm_position="after").norm is None  # of its activations
    mixed = Sweep(architecture=["mlp", "transformer"], norm_position=["pre", "post"])
    assert {c.norm_position for c in mixed.configs()} == {"before", "after"}


def test_a_scale_is_a_number_or_a_rule():
    """A text with a number in it, of a command line or an old file, is the number."""
    assert [ResNetConfig(branch_scale=s).branch_scale for s in (1, "1", "0.5", "1 / L")] == [1.0, 1.0, 0.5, "1/L"]
    assert Sweep(architecture="resnet", branch_scale=("1", "learned")).branch_scale == (1.0, "learned")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"architecture": ["resnet"], "order": ["pre", "post"], "norm_position": ["before"]}, ("before", "after")),
        ({"architecture": ["transformer"], "norm": ["post"], "order": ["pre"]}, ("after",)),
        ({"architecture": ["transformer"], "norm": ["default", "post"], "order": ["pre"]}, ("before", "after")),
        ({"architecture": ["mlp"], "norm": ["batch"], "norm_position": ["after"], "order": ["pre"]}, ("after",)),
        ({"architecture": ["mlp", "transformer"], "norm_position": ["before"], "order": ["pre"]}, ("before",)),
    ],
)
def test_requests_of_schema_1_are_read(old, new):
    sweep = from_values(old)
    assert sweep.norm_position == new and from_values(as_values(sweep)) == sweep
    assert sweep.norm == (("layer",) if sweep.architecture == ("transformer",) else tuple(old.get("norm", (None,))))
