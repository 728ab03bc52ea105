"""Networks and configurations are copied and pickled, as other processes need it."""

import copy
import pickle

import jax.numpy as jnp
import pytest

import gradlab as gl
from gradlab.config import CONFIGS as CONFIGURATIONS
from gradlab.config import TrainingConfig

NETWORKS = [
    gl.MLP(depth=3, width=(4, 5, 6), activation="tanh"), gl.ResNet(depth=2, branch_scale="1/L"),
    gl.ConvNet(depth=2, width=3), gl.RNN(cell="lstm"), gl.Transformer(depth=1),
]  # fmt: skip
CONFIGS = [CONFIGURATIONS[net.architecture](**net.changed()) for net in NETWORKS]


@pytest.mark.parametrize("call", [copy.copy, copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_a_copy_is_equal(call):
    for one in [*NETWORKS, *CONFIGS, TrainingConfig(CONFIGS[0], optimizer="adam"), gl.Sweep(depth=2)]:
        assert type(call(one)) is type(one)
        assert call(one) == one
        assert hash(call(one)) == hash(one)


def test_a_network_of_a_function_that_is_not_registered_says_so(forget):
    from gradlab.config import REGISTRIES

    gl.register_activation("own", jnp.sin, jnp.cos)
    net = gl.MLP(depth=1, activation="own")
    kept = pickle.dumps(net)
    assert pickle.loads(kept) == net
    REGISTRIES["activation"].forget("own")
    with pytest.raises(gl.GradlabError, match=r"'own'.*register it first"):
        pickle.loads(kept).init_params(0, jnp.ones((2, 3)), outputs=1)
