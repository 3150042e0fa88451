"""Runs the published ScaleGMN on random INRs and keeps its numbers: make_scalegmn.py CHECKOUT [scalegmn.h5].

CHECKOUT is a directory with github.com/jkalogero/scalegmn; PyTorch and torch_geometric are needed.  Of a case: names, a
line each, of the tensors that values pass through, `param` and `grad` one after the other, `rows` as a store has them,
`labels`, `logits`, `loss` (the mean), `drows`.  All in float64, without dropout.  Weights to outputs get the position of
their output; the published dataset mixes them up where there are several.
"""

import copy
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
import yaml

SETTINGS = "configs/fmnist_cls/scalegmn.yml"
UNUSED = ("readout.phi.",)
CASES: tuple[dict[str, Any], ...] = (
    {"dims": [2, 5, 4, 1], "hidden": 3, "layers": 2, "batch": 3, "classes": 3},
    {"dims": [2, 6, 1], "hidden": 4, "layers": 1, "batch": 2, "classes": 4},
    {"dims": [3, 4, 5, 3, 2], "hidden": 3, "layers": 3, "batch": 2, "classes": 2},
    {"dims": [1, 7, 7, 3], "hidden": 3, "layers": 2, "batch": 1, "classes": 5},
    {"dims": [2, 9, 8, 1], "hidden": 6, "layers": 1, "batch": 2, "classes": 10},
    {"dims": [2, 5, 4, 1], "hidden": 3, "layers": 2, "batch": 3, "classes": 3, "both": True},
    {"dims": [3, 4, 5, 3, 2], "hidden": 3, "layers": 3, "batch": 2, "classes": 2, "both": True},
    {"dims": [2, 6, 1], "hidden": 4, "layers": 1, "batch": 2, "classes": 4, "both": True},
    {"dims": [1, 4, 20, 1], "hidden": 4, "layers": 1, "batch": 1, "classes": 2, "both": True},
)


def types(dims: list[int], edges: Any) -> tuple[Any, Any]:
    """The positions of units and of weights: inputs and outputs have their own, hidden layers share one."""
    last, node = len(dims) - 1, []
    for level, width in enumerate(dims):
        for unit in range(width):
            node.append(unit if level == 0 else dims[0] + level - 1 + (unit if level == last else 0))
    edge = [node[a] if a < dims[0] else node[b] - 1 for a, b in zip(*(end.tolist() for end in edges))]
    return torch.tensor(node), torch.tensor(edge)


def model_of(settings: dict[str, Any], case: dict[str, Any]) -> Any:
    from src.scalegmn.models import ScaleGMN

    args = copy.deepcopy(settings)
    width = case["hidden"]
    args.update(layer_layout=case["dims"], num_layers=case["layers"], d_hid=width)
    args["direction"] = "bidirectional" if case.get("both") else "forward"
    args["graph_init"].update(d_node=width, d_edge=width)
    args["gnn_args"].update(d_hid=width, dropout=case.get("dropout", 0.0))
    args["mlp_args"].update(d_k=[width], dropout=case.get("dropout", 0.0))
    args["readout_args"].update(d_out=case["classes"], d_rho=width)
    return ScaleGMN(args)


def graphs(case: dict[str, Any], rows: Any) -> Any:
    """The batch that the published dataset makes, differentiable in the rows."""
    from src.data.data_utils import nn_to_edge_index
    from torch_geometric.data import Batch, Data

    dims = case["dims"]
    edges = nn_to_edge_index(dims, "cpu")
    node_type, edge_type = types(dims, edges)
    nodes, inputs, outputs = sum(dims), dims[0], dims[-1]
    place = torch.arange(nodes)
    hidden = ((place >= inputs) & (place < nodes - outputs)).unsqueeze(-1)
    items = []
    for row in rows:
        x, e, at = [torch.ones(inputs)], [], 0
        for a, b in zip(dims, dims[1:]):
            e.append(row[at : at + a * b].reshape(b, a).T.reshape(-1))
            x.append(row[at + a * b : at + (a + 1) * b])
            at += (a + 1) * b
        items.append(
            Data(
                x=torch.cat(x).unsqueeze(-1),
                edge_attr=torch.cat(e).unsqueeze(-1),
                edge_index=edges,
                bw_edge_index=torch.flip(edges, [0]),
                node2type=node_type,
                edge2type=edge_type,
                mask_hidden=hidden,
                mask_first_layer=(place < inputs).unsqueeze(-1),
            )
        )
    return Batch.from_data_list(items)


def used(name: str) -> bool:
    """Whether values pass through a tensor: messages along the weights never reach inputs, nor those against outputs."""
    idle_input = "fw_layers" in name and "message_fn.eq_layers_in." in name
    idle_output = "bw_layers" in name and "message_fn.eq_layers_last." in name
    return not (idle_input or idle_output or any(word in name for word in UNUSED))


def write(group: Any, settings: dict[str, Any], case: dict[str, Any]) -> None:
    model = model_of(settings, case)
    with torch.no_grad():
        for tensor in model.parameters():  # norms begin as ones and zeros, where errors hide
            tensor += 0.1 * torch.randn_like(tensor)
    count = sum((a + 1) * b for a, b in zip(case["dims"], case["dims"][1:]))
    rows = torch.randn(case["batch"], count, requires_grad=True)
    labels = torch.randint(case["classes"], (case["batch"],))
    logits = model(graphs(case, rows))
    loss = torch.nn.functional.cross_entropy(logits, labels)
    loss.backward()
    tensors = [(name, tensor) for name, tensor in model.named_parameters() if used(name)]
    for name, tensor in model.named_parameters():
        idle = tensor.grad is None or not tensor.grad.any()
        assert idle != used(name), name
    for key in ("dims", "hidden", "layers", "batch", "classes"):
        group.attrs[f"cfg_{key}"] = case[key]
    group.attrs["cfg_both"] = int(case.get("both", False))
    group.attrs["cfg_names"] = np.bytes_("\n".join(name for name, _ in tensors))
    for key, value in {
        "param": torch.cat([tensor.detach().reshape(-1) for _, tensor in tensors]),
        "grad": torch.cat([tensor.grad.reshape(-1) for _, tensor in tensors]),
        "rows": rows.detach(),
        "drows": rows.grad,
        "labels": labels,
        "logits": logits.detach(),
        "loss": loss.detach(),
    }.items():
        group[key] = value.numpy()


def main() -> None:
    checkout = Path(sys.argv[1])
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent / "data" / "scalegmn.h5"
    sys.path.insert(0, str(checkout))
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(1)
    settings = yaml.safe_load((checkout / SETTINGS).read_text())["scalegmn_args"]
    with h5py.File(target, "w") as file:
        file.attrs["kind"] = "scalegmn"
        file.attrs["about"] = "published ScaleGMN, signs and permutations: logits, cross entropy, gradients"
        for number, case in enumerate(CASES):
            write(file.create_group(f"case{number:03d}"), settings, case)


if __name__ == "__main__":
    main()
