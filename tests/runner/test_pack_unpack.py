"""A vector and its names are two ways to write one thing."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynx_runner import CircuitRunner

NAMES = ("main.parameters.beta", "OWNH.parameters.r", "conn_cfg.inter_period.shift")
finite = st.floats(allow_nan=False, allow_infinity=False)


def make_runner():
    return CircuitRunner(
        epochs_cfgs={"main": {"parameters": {"beta": 0.95}}},
        stage_cfgs={"OWNH": {"parameters": {"r": 0.03}}},
        conn_cfg={"inter_period": {"shift": 0}},
        param_specs={name: (-1.0, 1.0) for name in NAMES},
        model_factory=lambda epochs, stages, connections: None,
        solver=lambda model: None,
        metric_fns={},
    )


@given(st.lists(finite, min_size=3, max_size=3))
def test_packing_what_was_unpacked_gives_the_same_bits(values):
    runner, x = make_runner(), np.array(values)
    assert runner.pack(runner.unpack(x)).tobytes() == x.tobytes()


@given(st.lists(finite, min_size=3, max_size=3))
def test_unpacking_what_was_packed_gives_the_same_numbers(values):
    runner, parameters = make_runner(), dict(zip(NAMES, values, strict=True))
    assert runner.unpack(runner.pack(parameters)) == parameters


def test_the_order_is_that_of_param_specs_however_the_dictionary_is_ordered():
    runner = make_runner()
    assert runner.param_names == NAMES
    x = runner.pack({NAMES[2]: 3.0, NAMES[0]: 1.0, NAMES[1]: 2.0})
    assert x.tolist() == [1.0, 2.0, 3.0] and x.dtype == np.float64
    assert tuple(runner.unpack(x)) == NAMES


def test_unpack_gives_python_floats_whatever_the_array():
    for x in ([1, 2, 3], jnp.arange(3.0), np.arange(3, dtype=np.float32)):
        assert all(type(value) is float for value in make_runner().unpack(x).values())


def test_pack_takes_scalars_of_any_library():
    x = make_runner().pack(dict(zip(NAMES, (jnp.asarray(0.5), np.float32(0.25), 1), strict=True)))
    assert x.tolist() == [0.5, 0.25, 1.0]


def test_an_unknown_name_is_refused_with_the_nearest_one():
    with pytest.raises(ValueError, match=r"unknown parameter `main\.parameters\.bata`; did you mean .*beta"):
        make_runner().pack({"main.parameters.bata": 0.9, NAMES[1]: 0.0, NAMES[2]: 0.0})


def test_missing_names_are_listed():
    with pytest.raises(ValueError, match=r"no value for `OWNH\.parameters\.r`, `conn_cfg"):
        make_runner().pack({NAMES[0]: 0.9})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_by_name(value):
    with pytest.raises(ValueError, match=r"`OWNH\.parameters\.r` is -?(nan|inf)"):
        make_runner().pack({NAMES[0]: 0.9, NAMES[1]: value, NAMES[2]: 0.0})
    with pytest.raises(ValueError, match="must be finite"):
        make_runner().unpack([0.9, value, 0.0])


@pytest.mark.parametrize("x", [0.9, [0.9], np.zeros((1, 3)), np.zeros(4)])
def test_a_vector_of_another_shape_is_refused(x):
    with pytest.raises(ValueError, match="expected a vector of 3 parameters"):
        make_runner().unpack(x)
