"""INRs fitted by others' means, for comparison: many at once, each with its own weights and moments.

    Eager      PyTorch, operation by operation, with its own Adam
    Compiled   PyTorch, a step as one function through torch.compile (2.0 or later)
    Jax        JAX, a fit vmapped over the INRs, its steps a scan, as fit-a-nef does it

All take images [INRs][784][1] and `advance(steps)`; that they take one thread is up to the caller.
"""

from __future__ import annotations

import math
from typing import Any, Callable

import numpy as np
import torch

SIDE, HIDDEN, W0, OFFSET, LR = 28, 32, 30.0, 0.5, 5e-4
BETAS, EPS = (0.9, 0.999), 1e-8
DIMS = [2, HIDDEN, HIDDEN, 1]
LAYERS = list(enumerate(zip(DIMS, DIMS[1:])))
ACTIVATIONS: dict[str, Callable[[Any, Any], Any]] = {  # of the library that has them and its numbers
    "sine": lambda lib, z: lib.sin(W0 * z),
    "relu": lambda lib, z: lib.clip(z, 0),
    "gauss": lambda lib, z: lib.exp(-((W0 * z) ** 2)),
}


def coordinates() -> np.ndarray:
    """[784][2]: x runs fastest."""
    line = np.linspace(-1, 1, SIDE, dtype=np.float32)
    return np.stack([np.tile(line, SIDE), np.repeat(line, SIDE)], 1)


def draw(count: int, seed: int) -> list[np.ndarray]:
    """Weights [count][inputs][outputs] and biases [count][1][outputs] of every layer, as the published SIRENs start."""
    rng, params = np.random.default_rng(seed), []
    for layer, (inputs, outputs) in LAYERS:
        last = layer == len(LAYERS) - 1
        bound = 1 / math.sqrt(inputs) if last else math.sqrt(6 / inputs) / W0
        params.append(rng.uniform(-bound, bound, (count, inputs, outputs)).astype(np.float32))
        bias = rng.uniform(-bound, bound, (count, 1, outputs)) if last else np.zeros((count, 1, outputs))
        params.append(bias.astype(np.float32))
    return params


class Eager:
    name = f"PyTorch {torch.__version__}"

    def __init__(self, images: np.ndarray, seed: int, activation: str = "sine") -> None:
        self.images = torch.from_numpy(images)
        self.activate = ACTIVATIONS[activation]
        self.coords = torch.from_numpy(coordinates()).expand(len(images), -1, -1)
        self.params = [torch.from_numpy(value).requires_grad_() for value in draw(len(images), seed)]
        self.optimizer = torch.optim.Adam(self.params, lr=LR, betas=BETAS, eps=EPS)

    def errors(self, params: list[torch.Tensor] | None = None) -> torch.Tensor:
        """The mean squared error of every INR, [INRs]."""
        hidden, params = self.coords, params or self.params
        for layer, _ in LAYERS:
            weight, bias = params[2 * layer : 2 * layer + 2]
            hidden = torch.baddbmm(bias, hidden, weight)
            if layer < len(LAYERS) - 1:
                hidden = self.activate(torch, hidden)
        return (hidden + OFFSET - self.images).square().mean((1, 2))

    def advance(self, steps: int) -> None:
        for _ in range(steps):
            self.optimizer.zero_grad(set_to_none=True)
            self.errors().sum().backward()
            self.optimizer.step()

    def psnr(self) -> torch.Tensor:
        """Of every INR in dB, [INRs]."""
        with torch.no_grad():
            return -10 * torch.log10(self.errors())

    def start_from(self, rows: torch.Tensor) -> None:
        """Takes the weights of rows [INRs][P], in state_dict order."""
        at = 0
        with torch.no_grad():
            for layer, (inputs, outputs) in LAYERS:
                weight, bias = self.params[2 * layer : 2 * layer + 2]
                middle, end = at + inputs * outputs, at + (inputs + 1) * outputs
                weight.copy_(rows[:, at:middle].reshape(-1, outputs, inputs).transpose(1, 2))
                bias.copy_(rows[:, middle:end].reshape(-1, 1, outputs))
                at = end


def adam(lib: Any, step: Any, gradients: list[Any], state: list[list[Any]]) -> list[list[Any]]:
    """The parameters and both moments after a step, counted from 1."""
    params, first, second = state
    first = [BETAS[0] * m + (1 - BETAS[0]) * g for m, g in zip(first, gradients)]
    second = [BETAS[1] * v + (1 - BETAS[1]) * g * g for v, g in zip(second, gradients)]
    rate, root = LR / (1 - BETAS[0] ** step), 1 / lib.sqrt(1 - BETAS[1] ** step)
    params = [p - rate * m / (lib.sqrt(v) * root + EPS) for p, m, v in zip(params, first, second)]
    return [params, first, second]


class Compiled(Eager):
    name = f"torch.compile {torch.__version__}"

    def __init__(self, images: np.ndarray, seed: int, activation: str = "sine") -> None:
        super().__init__(images, seed, activation)
        params = [value.detach() for value in self.params]
        self.state = [params] + [[torch.zeros_like(value) for value in params] for _ in range(2)]
        self.count = torch.zeros(())
        gradient = torch.func.grad(lambda values: self.errors(values).sum())

        def step(count: torch.Tensor, state: list[list[torch.Tensor]]) -> list[list[torch.Tensor]]:
            return adam(torch, count, gradient(state[0]), state)

        self.step = torch.compile(step, fullgraph=True)

    def advance(self, steps: int) -> None:
        for _ in range(steps):
            self.count = self.count + 1
            self.state = self.step(self.count, self.state)

    def psnr(self) -> torch.Tensor:
        return -10 * torch.log10(self.errors(self.state[0]))


class Jax:
    name = "JAX"

    def __init__(self, images: np.ndarray, seed: int, activation: str = "sine") -> None:
        import jax
        import jax.numpy as jnp

        Jax.name = f"JAX {jax.__version__}, vmap and scan"
        coords, activate = jnp.asarray(coordinates()), ACTIVATIONS[activation]

        def error(params: list[Any], image: Any) -> Any:
            hidden = coords
            for layer, _ in LAYERS:
                hidden = hidden @ params[2 * layer] + params[2 * layer + 1]
                if layer < len(LAYERS) - 1:
                    hidden = activate(jnp, hidden)
            return jnp.mean((hidden + OFFSET - image) ** 2)

        self.errors = jax.jit(jax.vmap(error))

        def fit(state: list[list[Any]], count: Any, image: Any, steps: int) -> Any:
            def one(carried: Any, _: None) -> tuple[Any, None]:
                step, now = carried
                return (step + 1, adam(jnp, step + 1, jax.grad(error)(now[0], image), now)), None

            return jax.lax.scan(one, (count, state), None, length=steps)[0][1]

        self.fit = jax.jit(jax.vmap(fit, (0, None, 0, None)), static_argnums=3)
        self.images = jnp.asarray(images)
        params = [jnp.asarray(value) for value in draw(len(images), seed)]
        self.state = [params] + [[jnp.zeros_like(value) for value in params] for _ in range(2)]
        self.count = 0.0

    def advance(self, steps: int) -> None:
        import jax

        self.state = jax.block_until_ready(self.fit(self.state, self.count, self.images, steps))
        self.count += steps

    def psnr(self) -> torch.Tensor:
        errors = np.asarray(self.errors(self.state[0], self.images))
        return torch.from_numpy(-10 * np.log10(errors))


PEERS: dict[str, type] = {"eager": Eager, "compile": Compiled, "jax": Jax}
