"""The transformer over rows is the one of PyTorch's nn.TransformerEncoder, written out in numpy: same names, same logits,
also on rows that it reads as phasors."""

import json
import math
import sys
from pathlib import Path

import h5py
import numpy as np

from harness import check, make_store, polyview, run_tests, write_config

HEADS, WIDTH, LAYERS, TOLERANCE = 4, 8, 2, 1e-4


def linear(x: np.ndarray, p: dict, name: str) -> np.ndarray:
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def norm(x: np.ndarray, p: dict, name: str) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    return (
        centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * p[f"{name}.weight"]
        + p[f"{name}.bias"]
    )


def gelu(x: np.ndarray) -> np.ndarray:
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def attention(x: np.ndarray, p: dict, name: str) -> np.ndarray:
    q, k, v = np.split(x @ p[f"{name}.in_proj_weight"].T + p[f"{name}.in_proj_bias"], 3, -1)
    out = np.empty_like(x)
    for h in range(HEADS):
        part = slice(h * WIDTH // HEADS, (h + 1) * WIDTH // HEADS)
        logits = q[:, part] @ k[:, part].T / math.sqrt(WIDTH / HEADS)
        share = np.exp(logits - logits.max(-1, keepdims=True))
        out[:, part] = share / share.sum(-1, keepdims=True) @ v[:, part]
    return linear(out, p, f"{name}.out_proj")


def phasors(row: np.ndarray, dims: list[int], w0: float) -> np.ndarray:
    """Hidden weights times w0, of hidden biases cosine and sine; the last layer as it is."""
    parts, at = [], 0
    for a, b in zip(dims, dims[1:-1]):
        angle = w0 * row[at + a * b : at + (a + 1) * b]
        parts += [w0 * row[at : at + a * b], np.stack([np.cos(angle), np.sin(angle)], 1).ravel()]
        at += (a + 1) * b
    return np.concatenate(parts + [row[at:]])


def logits_of(row: np.ndarray, dims: list[int], p: dict) -> np.ndarray:
    tokens, at = [], 0
    for layer, (a, b) in enumerate(zip(dims, dims[1:])):
        numbers = p[f"embed.{layer}.weight"].shape[1] - a  # of a bias
        weight, bias = row[at : at + a * b].reshape(b, a), row[at + a * b :][: numbers * b].reshape(b, -1)
        tokens.append(linear(np.concatenate([weight, bias], 1), p, f"embed.{layer}"))
        at += (a + numbers) * b
    x = np.concatenate(tokens) + p["position"]
    for i in range(LAYERS):
        name = f"encoder.layers.{i}"
        x = x + attention(norm(x, p, f"{name}.norm1"), p, f"{name}.self_attn")
        hidden = gelu(linear(norm(x, p, f"{name}.norm2"), p, f"{name}.linear1"))
        x = x + linear(hidden, p, f"{name}.linear2")
    return linear(norm(x, p, "encoder.norm").mean(0), p, "head")


def logits_are_those_of_the_formula(work: Path) -> None:
    make_store(work)
    for features in ("raw", "phasor"):
        compare(work, features)


def compare(work: Path, features: str) -> None:
    keys = {"kind": "inr2vec", "hidden": WIDTH, "layers": LAYERS, "heads": HEADS, "dropout": 0.1}
    write_config(work, model=keys | {"features": features}, train={"output": str(work / "m.h5")})
    run = polyview("train", "--config", work / "config.yaml", "--fresh")
    check(
        run.status == 0 and run.json["kind"] == "tokens", "a model is trained, under the older name too", run
    )
    words = ["eval", "--model", work / "m.h5", "--store", work / "store.h5", "--split", "train"]
    run = polyview(*words, "--logits", work / "logits.h5", ranks=2)
    with h5py.File(work / "m.h5") as model, h5py.File(work / "store.h5") as store, h5py.File(
        work / "logits.h5"
    ) as file:
        p = {name: tensor[()].astype(float) for name, tensor in model["model"].items()}
        arch = json.loads(store.attrs["arch"])
        dims = arch["dims"]
        rows = store["params"][0][store["object/split"][()] == 0]
        if features == "phasor":
            rows = np.array([phasors(row, dims, arch["w0"]) for row in rows.astype(float)])
        rows = (rows - model["norm/mean"][()]) / model["norm/std"][()]
        found, said = file["logits"][()], model.attrs["features"]
    expected = np.array([logits_of(row, dims, p) for row in rows.astype(float)])
    error = np.abs(found - expected).max() if found.shape == expected.shape else math.inf
    check(
        run.status == 0 and error < TOLERANCE and said == features.encode(),
        f"{features}: its logits are those of the formula ({error:.1e})",
        run,
    )


if __name__ == "__main__":
    sys.exit(run_tests(logits_are_those_of_the_formula))
