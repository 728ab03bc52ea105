"""A network with other options is the one that one would have written."""

import pytest

import gradlab as gl
from gradlab._errors import GradlabError


@pytest.mark.parametrize(
    ("net", "changes", "same"),
    [
        (gl.MLP(depth=9, gain=2.0), {"init": "orthogonal"}, gl.MLP(depth=9, gain=2.0, init="orthogonal")),
        (gl.MLP(norm="layer", norm_position="after"), {"norm": None}, gl.MLP()),
        (gl.MLP(depth=3), {"architecture": "resnet", "branch_layers": 1}, gl.ResNet(depth=3, branch_layers=1)),
        (
            gl.ConvNet(kernel=5),
            {"architecture": "resnet", "branch": "conv"},
            gl.ResNet(width=16, kernel=5, branch="conv"),
        ),
        (gl.RNN(activation="relu"), {"cell": "lstm"}, gl.RNN(cell="lstm")),
        (gl.RNN(cell="lstm", forget_bias=3.0), {"cell": "rnn", "activation": "relu"}, gl.RNN(activation="relu")),
        (gl.Transformer(norm_position="after", heads=2), {"norm_position": "before"}, gl.Transformer(heads=2)),
    ],
)  # fmt: skip
def test_options_that_both_have_are_kept(net, changes, same):
    assert net.with_options(**changes) == same and type(net.with_options(**changes)) is type(same)


def test_what_a_network_does_not_have_is_an_error():
    net = gl.MLP(depth=3)
    for changes in ({"depht": 2}, {"norm_position": "after"}, {"architecture": "perceptron"}):
        with pytest.raises(GradlabError):
            net.with_options(**changes)
    custom = gl.CustomNetwork(gl.serial(gl.dense(3), gl.activation("tanh"), gl.dense(2)), shape=(4,))
    with pytest.raises(GradlabError, match="options"):
        custom.with_options(depth=3)
