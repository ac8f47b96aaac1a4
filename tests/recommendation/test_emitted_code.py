"""Code of a recommendation, run with the libraries that it is for: scales by the true fan, what is left is named."""

import math
from typing import Any

import numpy as np
import pytest

from mfmi.activations import get
from mfmi.recommendation import code as initialisation
from mfmi.recommendation.recommend import recommend
from mfmi.recommendation.results import NetworkFamily, Recommendation

pytestmark = pytest.mark.slow

BIAS = 0.1


@pytest.fixture(scope="module", params=["gaussian", "orthogonal"])
def found(request: pytest.FixtureRequest) -> Recommendation:
    return recommend(NetworkFamily(get("erf"), 3, weights=request.param), sigma_b=BIAS)


def pasted(found: Recommendation, library: str) -> Any:
    space: dict[str, Any] = {"__name__": "pasted"}
    exec(compile(initialisation.code(found, library), f"<{library}>", "exec"), space)
    return space["initialise"]


def check(found: Recommendation, weight: Any, fan_in: float) -> None:
    values = np.asarray(weight, dtype=np.float64)
    spread = 5.0 * math.sqrt(2.0 / values.size)
    assert np.mean(values**2) * fan_in == pytest.approx(found.best.sigma_w**2, rel=spread)


def check_bias(bias: Any) -> None:
    values = np.asarray(bias, dtype=np.float64)
    assert np.sqrt(np.mean(values**2)) == pytest.approx(BIAS, rel=5.0 / math.sqrt(2.0 * values.size))


def left(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The output of the code, without shapes."""
    return [line.rpartition(" (")[0] if line.endswith(")") else line for line in capsys.readouterr().err.splitlines()]


def check_rotations(found: Recommendation, matrix: Any) -> None:
    """All singular values are alike where the weights are orthogonal."""
    if found.network.weights == "orthogonal":
        values = np.linalg.svd(np.asarray(matrix, dtype=np.float64), compute_uv=False)
        assert values == pytest.approx(np.full(len(values), values[0]), rel=1e-4)


# ---- torch -----------------------------------------------------------------------------------------------------------


def numbers(tensor: Any) -> Any:
    return tensor.detach().numpy()


def test_torch_of_dense_layers_and_convolutions(found: Recommendation, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(16, 64, 3, groups=4),
        nn.BatchNorm2d(64),
        nn.ConvTranspose2d(64, 32, 4, stride=2, groups=2),
        nn.Linear(90, 70),
    )
    assert pasted(found, "torch")(model) is model
    assert left(capsys) == ["1 norms: these numbers are for networks without"]
    grouped, norm, transposed, dense = model
    check(found, numbers(grouped.weight), 4 * 9)
    check(found, numbers(transposed.weight), 32 * 16 / 4)
    check(found, numbers(dense.weight), 90)
    for layer in (grouped, transposed, dense):
        check_bias(numbers(layer.bias))
    assert (numbers(norm.weight) == 1.0).all()
    assert (numbers(norm.bias) == 0.0).all()
    check_rotations(found, numbers(dense.weight))
    check_rotations(found, numbers(grouped.weight)[:16].reshape(16, -1))
    check_rotations(found, numbers(transposed.weight)[:32].swapaxes(0, 1).reshape(16, -1))


def test_torch_of_a_block_with_attention(found: Recommendation, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn

    class Model(nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(50, 64)
            self.block = nn.TransformerEncoderLayer(64, 4, 256, norm_first=True)
            self.cross = nn.MultiheadAttention(64, 4, kdim=48, vdim=80)
            self.scale = nn.Parameter(torch.full((3,), 7.0))
            self.cell = nn.GRU(64, 32)
            self.normed = nn.utils.parametrizations.weight_norm(nn.Linear(64, 64))
            self.head = nn.Linear(64, 50)
            self.head.weight = self.table.weight

    model = Model()
    before = numbers(model.table.weight).copy()
    pasted(found, "torch")(model)
    assert left(capsys) == [
        "left as it was: scale",
        "left as it was: table.weight",
        *(f"left as it was: cell.{name}_l0" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")),
        "left as it was: normed.bias",
        "left as it was: normed.parametrizations.weight.original0",
        "left as it was: normed.parametrizations.weight.original1",
        "left as it was: head.bias",
        "2 norms: these numbers are for networks without",
        "2 skips: these numbers are for networks without",
    ]
    assert (numbers(model.table.weight) == before).all()
    attention = model.block.self_attn
    for block in numbers(attention.in_proj_weight).reshape(3, 64, 64):
        check(found, block, 64)
        check_rotations(found, block)
    check_bias(numbers(attention.in_proj_bias))
    check(found, numbers(attention.out_proj.weight), 64)
    check(found, numbers(model.block.linear2.weight), 256)
    check(found, numbers(model.cross.k_proj_weight), 48)
    check(found, numbers(model.cross.v_proj_weight), 80)


def test_torch_refuses_layers_without_sizes(found: Recommendation) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match="call the model once before"):
        pasted(found, "torch")(torch.nn.LazyLinear(5))


# ---- jax -------------------------------------------------------------------------------------------------------------


def test_linen(found: Recommendation, capsys: pytest.CaptureFixture[str]) -> None:
    jax = pytest.importorskip("jax")
    nn = pytest.importorskip("flax.linen")

    class Model(nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
        @nn.compact
        def __call__(self, x: Any) -> Any:
            h = nn.Embed(50, 64)(x)
            h = nn.Conv(96, (3,), feature_group_count=4)(h)
            h = nn.ConvTranspose(64, (4,), strides=(2,))(h)
            h = h + nn.MultiHeadDotProductAttention(4)(nn.LayerNorm()(h), nn.LayerNorm(name="again")(h))
            h = nn.RNN(nn.GRUCell(32), name="cell")(h)
            return nn.Dense(80)(h) * self.param("scale_of_all", nn.initializers.ones, (3, 1))[0]

    model = Model()
    params = model.init(jax.random.key(0), np.zeros((2, 8), dtype=np.int32))["params"]
    initialise = pasted(found, "linen")
    new = initialise(params, jax.random.key(1), strides={"ConvTranspose_0": (2,)})
    said = left(capsys)
    assert [line for line in said if "GRUCell" not in line] == [
        "left as it was: Embed_0/embedding",
        "left as it was: scale_of_all",
        "2 norms: these numbers are for networks without",
    ]
    assert sum("GRUCell_0" in line and line.endswith("kernel") for line in said) == 6
    check(found, new["Conv_0"]["kernel"], 16 * 3)
    check(found, new["ConvTranspose_0"]["kernel"], 96 * 4 / 2)
    attention = new["MultiHeadDotProductAttention_0"]
    for name in ("query", "key", "value"):
        check(found, attention[name]["kernel"], 64)
        check_rotations(found, attention[name]["kernel"].reshape(64, 64))
        check_bias(attention[name]["bias"])
    check(found, attention["out"]["kernel"], 64)
    check(found, new["Dense_0"]["kernel"], 32)
    check_bias(new["Dense_0"]["bias"])
    assert (np.asarray(new["again"]["scale"]) == 1.0).all()
    model.apply({"params": new}, np.zeros((2, 8), dtype=np.int32))
    initialise(params, jax.random.key(1))
    assert "left as it was: ConvTranspose_0/kernel" in left(capsys)


def test_nnx(found: Recommendation, capsys: pytest.CaptureFixture[str]) -> None:
    jax = pytest.importorskip("jax")
    nnx = pytest.importorskip("flax.nnx")

    class Model(nnx.Module):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self, rngs: Any) -> None:
            self.table = nnx.Embed(50, 64, rngs=rngs)
            self.conv = nnx.Conv(64, 96, (3, 3), feature_group_count=4, rngs=rngs)
            self.back = nnx.ConvTranspose(96, 64, (4, 4), strides=2, rngs=rngs)
            self.turned = nnx.ConvTranspose(32, 64, (4, 4), strides=(2, 2), transpose_kernel=True, rngs=rngs)
            self.attention = nnx.MultiHeadAttention(4, 64, decode=False, rngs=rngs)
            self.norm = nnx.LayerNorm(64, rngs=rngs)
            self.dense = nnx.Linear(64, 80, rngs=rngs)
            self.bare = nnx.Param(jax.numpy.ones(3))

    model = Model(nnx.Rngs(0))
    assert pasted(found, "nnx")(model, jax.random.key(1)) is model
    assert sorted(left(capsys)) == [
        "1 norms: these numbers are for networks without",
        "left as it was: bare",
        "left as it was: table.embedding",
    ]
    check(found, model.conv.kernel[...], 16 * 9)
    check(found, model.back.kernel[...], 96 * 16 / 4)
    check(found, model.turned.kernel[...], 32 * 16 / 4)
    for layer in (model.attention.query, model.attention.key, model.attention.value):
        check(found, layer.kernel[...], 64)
        check_bias(layer.bias[...])
        check_rotations(found, layer.kernel[...].reshape(64, 64))
    check(found, model.attention.out.kernel[...], 64)
    check(found, model.dense.kernel[...], 64)
    model.dense(np.ones((2, 64), dtype=np.float32))


def test_equinox(found: Recommendation, capsys: pytest.CaptureFixture[str]) -> None:
    jax = pytest.importorskip("jax")
    eqx = pytest.importorskip("equinox")
    keys = jax.random.split(jax.random.key(0), 8)
    model = {
        "table": eqx.nn.Embedding(50, 64, key=keys[0]),
        "conv": eqx.nn.Conv2d(64, 96, 3, groups=4, key=keys[1]),
        "back": eqx.nn.ConvTranspose2d(96, 64, 4, stride=2, groups=2, key=keys[2]),
        "attention": eqx.nn.MultiheadAttention(4, 64, key=keys[3]),
        "norm": eqx.nn.LayerNorm(64),
        "cell": eqx.nn.GRUCell(8, 8, key=keys[4]),
        "mlp": eqx.nn.MLP(64, 70, 90, 2, key=keys[5]),
        "normed": eqx.nn.WeightNorm(eqx.nn.Linear(8, 8, key=keys[6])),
    }
    new = pasted(found, "equinox")(model, jax.random.key(1))
    said = left(capsys)
    assert "1 norms: these numbers are for networks without" in said
    assert {line.split("'")[1] for line in said if line.startswith("left as it was")} == {"table", "cell", "normed"}
    check(found, new["conv"].weight, 16 * 9)
    check(found, new["back"].weight, 48 * 16 / 4)
    check(found, new["attention"].query_proj.weight, 64)
    check(found, new["mlp"].layers[0].weight, 64)
    check(found, new["mlp"].layers[-1].weight, 90)
    check_rotations(found, new["mlp"].layers[-1].weight)
    check_rotations(found, new["conv"].weight[:24].reshape(24, -1))
    check_bias(new["conv"].bias)
    new["mlp"](np.ones(64, dtype=np.float32))


def test_jax(found: Recommendation) -> None:
    jax = pytest.importorskip("jax")
    for (weight, bias), fan_in in zip(pasted(found, "jax")(jax.random.key(0), [80, 120, 60]), (80, 120), strict=True):
        check(found, weight, fan_in)
        check_bias(bias)
        check_rotations(found, weight)


# ---- keras -----------------------------------------------------------------------------------------------------------


def test_keras(found: Recommendation, capsys: pytest.CaptureFixture[str]) -> None:
    keras = pytest.importorskip("keras")
    layers = keras.layers
    tokens = keras.Input((8,))
    h = layers.Embedding(50, 64, name="table")(tokens)
    h = layers.LayerNormalization(name="norm")(h)
    h = layers.MultiHeadAttention(4, 16, name="attention")(h, h)
    h = layers.Conv1D(96, 3, groups=4, name="conv")(h)
    h = layers.Conv1DTranspose(64, 4, strides=2, name="back")(h)
    h = layers.SeparableConv1D(80, 3, depth_multiplier=2, name="separable")(h)
    h = layers.DepthwiseConv1D(3, depth_multiplier=4, name="depthwise")(h)
    h = layers.GRU(16, name="cell")(h)
    model = keras.Model(tokens, layers.Dense(70, name="dense")(h))
    assert pasted(found, "keras")(model) is model
    assert left(capsys) == [
        "left as it was: table/embeddings",
        "left as it was: cell/gru_cell/kernel",
        "left as it was: cell/gru_cell/recurrent_kernel",
        "left as it was: cell/gru_cell/bias",
        "1 norms: these numbers are for networks without",
    ]

    def of(name: str) -> list[Any]:
        return [np.asarray(values) for values in model.get_layer(name).get_weights()]

    query, bias, *_, out, _ = of("attention")
    check(found, query, 64)
    check_rotations(found, query.reshape(64, 64))
    check_bias(bias)
    check(found, out, 64)
    check(found, of("conv")[0], 16 * 3)
    check(found, of("back")[0], 96 * 4 / 2)
    check(found, of("separable")[0], 3)
    check(found, of("separable")[1], 128)
    check(found, of("depthwise")[0], 3)
    check(found, of("dense")[0], 16)
    check_rotations(found, of("dense")[0])
    model.predict(np.zeros((2, 8)), verbose=0)


def test_keras_refuses_a_model_without_sizes(found: Recommendation) -> None:
    keras = pytest.importorskip("keras")
    with pytest.raises(ValueError, match="build it"):
        pasted(found, "keras")(keras.Sequential([keras.layers.Dense(3)]))
