"""Functions as programs in a few bytes, and what verbs cannot say in them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stagecraft as sc

# Whoever has less than the floor has no choice.
FLOOR = """
dialect: 1
model: {name: Floor, horizon: 2, terminal: 0, parameters: {beta: 0.9, floor: 0.5}, connections: {inter_period: [{source: EAT, target: EAT, mapping: {b: a}}]}}
stages:
  EAT:
    parameters: {beta: [beta], floor: [floor]}
    math:
      functions: {g_av: m = a + 0.2, g_ve: b = m - c, Q: "log(c) + beta*V[>]"}
      controls: {c: floor < c <= m}
      state_space: {arvl: {dimensions: [a]}, dcsn: {dimensions: [m]}, cntn: {grid: {b: {min: 0.0, max: 9.0, points: 30}}}}
"""


def test_a_program_is_its_function_wherever_it_is_read():
    def fn(x, n):
        return {"sum": jax.lax.fori_loop(0, n, lambda k, v: v + jnp.sin(k * x), x), "pair": jnp.stack([x.min(), x.max()])}

    x = jnp.linspace(0.0, 2.0, 5)
    program = sc.export_function(fn, x, jnp.int32(3))
    assert isinstance(program, bytes)
    read = sc.load_function(program)
    for n in (0, 3):
        found = read(x, jnp.int32(n))
        np.testing.assert_allclose(found["sum"], np.asarray(x) + sum(np.sin(k * np.asarray(x)) for k in range(n)), rtol=1e-12)
    np.testing.assert_array_equal(found["pair"], [0.0, 2.0])
    read.compile()  # It is compiled already, and says nothing.


def test_what_is_no_program_is_refused():
    back = lambda x: jax.pure_callback(np.sin, jax.ShapeDtypeStruct((), x.dtype), x)
    loud = lambda x: jax.debug.print("{}", x) or x
    for fn in (back, loud):
        with pytest.raises(ValueError, match="would call functions of this process"):
            sc.export_function(fn, jnp.float64(1.0))
    program = sc.export_function(jnp.sin, jnp.float64(1.0))
    for broken in (b"", b"no program", program[: len(program) // 2]):
        with pytest.raises(ValueError, match="this is no program of jax"):
            sc.load_function(broken)


@pytest.mark.slow
def test_what_verbs_would_have_raised_of_is_told_where_they_are_traced():
    circuit = sc.load(FLOOR)
    key = jax.random.key(0)

    def told(floor, level):
        with sc.unsaid() as wrong:
            solved = sc.solve(circuit.with_parameters({"main.floor": floor}))
            panel = sc.simulate(solved, {"a": level * jnp.ones(3)}, key=key)
            pushed = sc.push_forward(solved, {"a": level})
        return (
            panel["EAT"]["c"][0, 0],
            pushed[0]["EAT"].dcsn.dist.mass,
            [jnp.any(jnp.stack(wrong[:1])), jnp.any(jnp.stack(wrong[1:]))],
        )

    program = sc.load_function(sc.export_function(told, 0.5, 1.0))
    _, mass, (unsolved, nobody) = program(0.5, 2.0)
    assert not unsolved and not nobody and float(mass) == pytest.approx(1.0)
    *_, (unsolved, nobody) = program(0.5, 0.1)
    assert not unsolved and nobody
    solved = sc.solve(circuit)
    for act in (lambda: sc.simulate(solved, {"a": 0.1 * jnp.ones(3)}, key=key), lambda: sc.push_forward(solved, {"a": 0.1})):
        with pytest.raises(ValueError, match="no feasible choice"):
            act()
    *_, (unsolved, _) = program(np.nan, 2.0)
    assert unsolved
    with sc.unsaid() as wrong:
        sc.solve(circuit)
    assert wrong == []  # Where numbers are concrete a verb speaks for itself.
