"""Ends of networks with norms, skips and relative noise, beside long recursions and values of theory (24)-(33)."""

import itertools
from typing import Any

import numpy as np
import pytest

import mfmi
from mfmi.activations import get
from mfmi.meanfield import Architecture, fixed_point, power_laws, propagate, stream_ends
from mfmi.networks.ends import edge_of_normalised

KINDS = [
    ("none", "activation"), ("layernorm", "activation"), ("layernorm", "output"), ("rmsnorm", "output"),
    ("batchnorm", "activation"), ("layernorm", "stream"),
]  # fmt: skip


@pytest.mark.thorough
@pytest.mark.parametrize(("norm", "norm_at"), KINDS)
@pytest.mark.parametrize("name", ["tanh", "gelu"])
def test_they_are_the_ends_of_long_recursions(name: str, norm: str, norm_at: str) -> None:
    rng, n, seen = np.random.default_rng(7), 8, 0
    for scale, noise_in, matrices in itertools.product(("absolute", "relative"), ("branch", "stream"), (1, 2)):
        noise = np.where(rng.random(n) < 0.4, 0.0, rng.uniform(0.0, 0.3, n))
        if norm_at == "stream" and (scale, noise_in) == ("absolute", "branch"):
            noise = np.zeros(n)
        skip = np.where((rng.random(n) < 0.3) & (norm_at != "stream"), 0.0, rng.uniform(0.2, 0.9, n))
        numbers: dict[str, Any] = {
            "sigma_w2": rng.uniform(0.1, 1.5, n), "sigma_b2": np.where(rng.random(n) < 0.4, 0.0, rng.uniform(0, 1, n)),
            "skip": skip, "branch": rng.uniform(0.2, 1.1, n), "hidden_noise": noise,
            "input_variance": rng.uniform(0.1, 3.0, n), "out_sigma_w2": rng.uniform(0.1, 1.5, n),
            "out_sigma_b2": np.where(rng.random(n) < 0.5, 0.0, 0.3),
        }  # fmt: skip
        words: dict[str, Any] = {"norm": norm, "norm_at": norm_at, "noise_scale": scale, "noise_in": noise_in}
        network = Architecture.of(get(name), 120, matrices=matrices, **numbers, **words)
        ends, stream = stream_ends(network), propagate(network, 0.3)
        lifted = norm_at == "stream"
        unit = stream.scale2[:, :-1] if lifted else np.ones((n, 119))
        with np.errstate(divide="ignore", invalid="ignore"):  # of streams that die
            q, c = stream.path.q[:, 1:] / unit, 1.0 - stream.path.gap[:, 1:] / stream.path.q[:, 1:]
            chi = stream.path.chi[:, -1] * (unit[:, -1] / stream.scale2[:, -1] if lifted else 1.0)
            # A post-norm stream that shrinks by 1e-300 in all has no digits left.
            settled = (np.abs(q[:, -1] / q[:, -20] - 1.0) < 1e-10) & (np.abs(c[:, -1] - c[:, -20]) < 1e-9)
        settled &= (stream.path.q[:, -1] > 1e-100) & (q[:, -1] > 1e-12)
        assert np.isfinite(ends.q_star[settled]).all()
        np.testing.assert_allclose(ends.q_star[settled], q[settled, -1], rtol=1e-8)
        np.testing.assert_allclose(ends.c_star[settled], c[settled, -1], atol=1e-7)
        np.testing.assert_allclose(ends.chi_1[settled], chi[settled], rtol=1e-8)
        # Where there is no fixed point the variance still grows.
        grows = ~np.isfinite(ends.q_star)
        assert (stream.path.q[grows, -1] > 1.0001 * stream.path.q[grows, -60]).all()
        seen += int(settled.sum())
    assert seen > 15


def test_nothing_said_is_the_plain_network() -> None:
    w, b = np.array([0.5, 1.5, 3.0, 1.0]), np.array([0.0, 0.3, 0.7, 0.0])
    for name in ("tanh", "relu", "gelu"):
        network = Architecture.of(get(name), 2, sigma_w2=w * w, sigma_b2=b * b, hidden_noise=[0.0, 0.04, 0.0, 0.0])
        ends, plain = stream_ends(network), fixed_point(name, sigma_w=w, sigma_b=b, sigma_noise=[0.0, 0.2, 0.0, 0.0])
        for field in ("q_star", "c_star", "chi_1", "chi_q", "chi_c", "xi_q", "xi_c", "xi_grad"):
            np.testing.assert_allclose(ends[field], plain[field], rtol=1e-9, atol=1e-12, err_msg=field)
        assert ends.phase.tolist() == plain.phase.tolist()


def test_a_damped_stream_has_the_plain_fixed_point() -> None:
    """Theory 11.1: with a^2 + g^2 = 1, 1 - chi = g^2 (1 - chi_plain)."""
    g2 = 0.1
    plain = fixed_point("tanh", sigma_w=1.2, sigma_b=0.6)
    found = mfmi.fixed_point("tanh", sigma_w=1.2, sigma_b=0.6, skip=np.sqrt(1.0 - g2), branch=np.sqrt(g2))
    assert found.q_star == pytest.approx(plain.q_star, rel=1e-12)
    assert found.c_star == pytest.approx(plain.c_star, rel=1e-9)
    assert found.xi_c == pytest.approx(-1.0 / np.log(1.0 - g2 * (1.0 - plain.chi_c)), rel=1e-8)


@pytest.mark.parametrize(
    ("name", "ratio"), [("tanh", 0.070108), ("erf", 0.104851), ("gelu", 0.030629), ("silu", 0.023707)]
)
def test_the_edge_after_layernorm_is_a_line(name: str, ratio: float) -> None:
    edge = edge_of_normalised(name, [0.1, 0.5], 0.0, {"normalization": "layernorm"})
    np.testing.assert_allclose(np.square([0.1, 0.5] / edge), ratio, atol=5e-7)


def test_every_edge_is_where_chi_is_one() -> None:
    for structure, noise in (
        ({"normalization": "layernorm"}, 0.2),
        ({"normalization": "rmsnorm", "skip": 0.6, "branch": 0.7}, 0.2),
        ({"normalization": "layernorm", "skip": 0.6, "noise_in": "stream"}, 0.2),
        ({"normalization": "layernorm", "skip": 0.6, "noise_in": "stream", "noise_scale": "relative"}, 0.1),
        ({"normalization": "batchnorm", "skip": 0.5}, 0.2),
    ):
        edge = edge_of_normalised("tanh", [0.3, 0.5], noise, structure)
        found = mfmi.fixed_point("tanh", sigma_w=edge, sigma_b=[0.3, 0.5], sigma_noise=noise, **structure)
        np.testing.assert_allclose(found.chi_1, 1.0, rtol=1e-12)
    # Noise of half the variance leaves none; relu has it everywhere without biases and nowhere with them.
    relative = {"normalization": "layernorm", "noise_scale": "relative"}
    assert np.isnan(edge_of_normalised("tanh", 0.1, 0.5**0.5, relative))
    edge = edge_of_normalised("relu", [0.0, 0.1], 0.0, {"normalization": "layernorm"})
    assert edge[0] == 0.0
    assert np.isnan(edge[1])
    with pytest.raises(ValueError, match="the edge of chaos is known of"):
        edge_of_normalised("tanh", 0.1, 0.0, {"skip": 1.0})


def test_a_stream_of_one_has_exponents_and_no_depth_scale() -> None:
    found = mfmi.fixed_point("tanh", sigma_w=[0.5, 2.5], sigma_b=0.5, normalization="layernorm", skip=1)
    assert found.phase.tolist() == ["ordered", "chaotic"]
    assert np.isnan(found.xi_c).all()
    assert found.growth.tolist() == [1.0, 1.0]
    laws = power_laws(Architecture.of(get("tanh"), 2, sigma_w2=[0.25, 6.25], sigma_b2=0.25, norm="layernorm", skip=1.0))
    np.testing.assert_array_equal(found.exponent_grad, laws.exponent_grad)
    assert mfmi.fixed_point("relu", sigma_w=2**0.5, normalization="layernorm", skip=1).phase == "critical"
    assert mfmi.fixed_point("tanh", sigma_w=1.5, skip=1).phase == "unbounded"


@pytest.mark.parametrize("normalization", ["none", "layernorm", "batchnorm"])
def test_noise_carried_by_a_stream_without_end_is_no_obstacle(normalization: str) -> None:
    """Every layer adds the noise of a number format to a stream of skip 1, whose variance has no end."""
    rows = mfmi.evaluate(
        "relu", 1.0, sigma_noise="bfloat16", noise_at="every", depth=2, skip=1, normalization=normalization,
        estimators=["linear"], columns=["growth"],
    )  # fmt: skip
    assert rows["mi_linear"][0] > 1.0
    assert rows["q_star"].isna().all()


def test_arguments_are_those_of_evaluate() -> None:
    plain = mfmi.fixed_point("tanh", sigma_w=1.5, sigma_b=0.1)
    assert (plain.q_star, plain.n_stable) == (fixed_point("tanh", sigma_w=1.5, sigma_b=0.1).q_star, 1)
    assert mfmi.fixed_point("tanh", sigma_w=[1.0, 2.0], normalization=["none", "layernorm"]).q_star.shape == (2,)
    rounded = mfmi.fixed_point("tanh", sigma_w=1.5, sigma_noise="float8_e5m2", normalization="layernorm")
    assert rounded.chi_1 < mfmi.fixed_point("tanh", sigma_w=1.5, normalization="layernorm").chi_1
    with pytest.raises(ValueError, match=r"branch: 1/sqrt\(depth\) needs a depth"):
        mfmi.fixed_point("tanh", sigma_w=1.5, skip=1, branch="1/sqrt(depth)")
    with pytest.raises(ValueError, match="norm_at: batchnorm after the activation"):
        mfmi.fixed_point("tanh", sigma_w=1.5, normalization="batchnorm", norm_at="output")
    with pytest.raises(TypeError, match="unexpected keyword argument 'depth'"):
        mfmi.fixed_point("tanh", sigma_w=1.5, depth=3)
