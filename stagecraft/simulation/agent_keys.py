"""Random keys that know for which agents they draw, so that a part of a panel is drawn alone, and in antithetic pairs."""

import jax
import jax.numpy as jnp
from jax.extend.random import define_prng_impl
from jaxtyping import Array, Int, PRNGKeyArray, UInt32

from stagecraft.arrays import where

_THREEFRY = "threefry2x32"
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


@jax.jit
def agent_key(key: PRNGKeyArray, first: "int | Int[Array, '']" = 0, *, antithetic: bool = False) -> PRNGKeyArray:
    r"""A key whose draws are those of agents `first`, `first + 1`, …, along the last axis of whatever is drawn.

    `jax.random.uniform(agent_key(key, first), (n,))` are the numbers from `first` on of `jax.random.uniform(key, (many,))`;
    `fold_in` and `split` keep the agents. Agents $2i$ and $2i + 1$ of antithetic draws get bits and their complement:
    uniform numbers $u$ and $1 - u$, standard normal ones $z$ and $-z$.

    **Arguments:** `key`: of any kind; `first`: below $2^{32}$, may be traced.
    """
    words = jnp.stack([jnp.asarray(first).astype(jnp.uint32), jnp.uint32(antithetic)])
    return jax.random.wrap_key_data(jnp.concatenate([_words(key), words]), impl=_AGENTS)


def _words(key) -> UInt32[Array, " 2"]:
    """The two words of a threefry key, or two drawn from a key of another kind."""
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        key = jax.random.wrap_key_data(key)
    data = jax.random.key_data(key)
    return data if jax.random.key_impl(key) == _THREEFRY else jax.random.bits(key, (2,), jnp.uint32)


def _threefry_key(data):
    return jax.random.wrap_key_data(data[:2], impl=_THREEFRY)


def _kept(key, data):
    """The words of a key, for the agents of another."""
    words = jax.random.key_data(key)
    return jnp.concatenate([words, jnp.broadcast_to(data[2:], (*words.shape[:-1], 2))], axis=-1)


def _seed_key(seed):
    return _kept(jax.random.key(seed, impl=_THREEFRY), jnp.zeros(4, jnp.uint32))


def _split_key(data, shape):
    return _kept(jax.random.split(_threefry_key(data), shape), data)


def _fold_key(data, number):
    return _kept(jax.random.fold_in(_threefry_key(data), number), data)


def _threefry(one, two, high, low):
    """The block that two words of a key make of a counter, as in `jax.random`: Threefry-2x32 (Salmon et al. 2011).

    On a CPU JAX loops over groups of rounds; written out they are one loop over agents, which the cores share once.
    """
    words = (one, two, one ^ two ^ jnp.uint32(0x1BD11BDA))
    high, low = high + words[0], low + words[1]
    for i in range(5):
        for turn in _ROTATIONS[i % 2]:
            high = high + low
            low = high ^ ((low << turn) | (low >> (32 - turn)))
        high, low = high + words[(i + 1) % 3], low + words[(i + 2) % 3] + jnp.uint32(i + 1)
    return high, low


def _random_bits(data, width, shape):
    """Bits by agent (last axis) and, if more is drawn for each, by the position on the other axes."""
    agents, others = shape[-1] if shape else 1, shape[:-1]
    rank = jnp.arange(agents, dtype=jnp.uint32) + data[2]
    pairs = data[3] > 0
    low = jnp.broadcast_to(where(pairs, rank >> 1, rank), (*others, agents)).reshape(shape)
    count = low.size // agents if agents else 0
    high = jnp.broadcast_to(jnp.arange(count, dtype=jnp.uint32).reshape(*others, 1), (*others, agents)).reshape(shape)
    top, bottom = _threefry(data[0], data[1], high, low)
    bits = top ^ bottom if width <= 32 else (top.astype(jnp.uint64) << 32) | bottom.astype(jnp.uint64)
    bits = bits.astype(jnp.dtype(f"uint{width}"))
    mirrored = jnp.broadcast_to(pairs & (rank % 2 == 1), (*others, agents)).reshape(shape)
    return where(mirrored, ~bits, bits)


_AGENTS = define_prng_impl(
    key_shape=(4,),
    seed=_seed_key,
    split=_split_key,
    random_bits=_random_bits,
    fold_in=_fold_key,
    name="threefry by agent",
    tag="agent",
)
