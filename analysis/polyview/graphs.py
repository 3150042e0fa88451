"""INRs as graphs, in the form that scalegmn takes: a node a neuron, an edge a weight.

    train = ViewDataset("fmnist.h5", "train")
    for graphs in torch.utils.data.DataLoader(train, batch_size=128, shuffle=True, collate_fn=collate_graphs):
        logits = scalegmn(graphs)  # graphs.label

A ViewStream has the same collate_fn.  The names and shapes are those of what scalegmn's own datasets give, collated
by torch_geometric, which is not needed here; what it does before (its canonical signs or phases) is left to it.
"""

from dataclasses import dataclass, fields
from functools import lru_cache

import torch

from .torch import Batch


@dataclass
class Graphs:
    """n INRs of N neurons and E weights each, one behind the other."""

    x: torch.Tensor  # [n N][1]: 1 of inputs, else the bias
    edge_index: torch.Tensor  # [2][n E]: from, to
    edge_attr: torch.Tensor  # [n E][1]: the weights
    label: torch.Tensor  # [n]
    node2type: torch.Tensor  # [n N]: inputs and outputs are each a type of their own, hidden layers are one
    edge2type: torch.Tensor  # [n E]
    mask_hidden: torch.Tensor  # [n N][1]
    mask_first_layer: torch.Tensor  # [n N][1]
    batch: torch.Tensor  # [n N]: which INR a node is of
    ptr: torch.Tensor  # [n + 1]: the first node of each

    @property
    def bw_edge_index(self) -> torch.Tensor:
        """The edges backwards."""
        return self.edge_index.flip(0)

    @property
    def num_graphs(self) -> int:
        return len(self.label)

    @property
    def num_nodes(self) -> int:
        return len(self.x)

    def to(self, device: torch.device | str) -> "Graphs":
        return Graphs(*(getattr(self, field.name).to(device) for field in fields(self)))


@lru_cache(maxsize=8)
def frame(dims: tuple[int, ...]) -> tuple[torch.Tensor, ...]:
    """(edge_index, node2type, edge2type, mask_hidden, mask_first_layer) of one INR of these widths."""
    first = torch.tensor([0, *dims]).cumsum(0)  # node of each layer
    edges, edge_types, kinds = [], [], 0
    for layer, (inputs, outputs) in enumerate(zip(dims, dims[1:])):
        source = torch.arange(inputs).repeat_interleave(outputs) + first[layer]
        target = torch.arange(outputs).repeat(inputs) + first[layer + 1]
        edges.append(torch.stack([source, target]))
        # An edge of the first layer has the type of its input.  In the last layer scalegmn counts types along
        # the list of edges, so that a type there is an output only where there is one.
        if layer == 0:
            own = torch.arange(inputs).repeat_interleave(outputs)
        elif layer == len(dims) - 2:
            own = torch.arange(outputs).repeat_interleave(inputs)
        else:
            own = torch.zeros(inputs * outputs, dtype=torch.int64)
        edge_types.append(own + kinds)
        kinds += int(own.max()) + 1
    hidden = torch.arange(1, len(dims) - 1).repeat_interleave(torch.tensor(dims[1:-1])) - 1 + dims[0]
    outputs_from = dims[0] + len(dims) - 2
    nodes = torch.cat([torch.arange(dims[0]), hidden, torch.arange(dims[-1]) + outputs_from])
    number = torch.arange(sum(dims)).unsqueeze(-1)
    is_hidden = (number >= dims[0]) & (number < sum(dims) - dims[-1])
    return torch.cat(edges, 1), nodes, torch.cat(edge_types), is_hidden, number < dims[0]


def collate_graphs(samples: Batch | list[Batch]) -> Graphs:
    """The graphs of samples of a ViewDataset, or of a batch of a ViewStream."""
    batch = samples if isinstance(samples, Batch) else torch.utils.data.default_collate(samples)
    count = len(batch)
    dims = (batch.weights[0].shape[1], *(bias.shape[1] for bias in batch.biases))
    edge_index, nodes, edges, is_hidden, is_input = frame(dims)
    start = torch.arange(count + 1) * sum(dims)
    x = torch.cat([torch.ones(count, dims[0], 1), *batch.biases], 1)
    return Graphs(
        x=x.reshape(-1, 1),
        edge_index=(edge_index.unsqueeze(1) + start[:-1, None]).reshape(2, -1),
        edge_attr=torch.cat([weight.reshape(count, -1, 1) for weight in batch.weights], 1).reshape(-1, 1),
        label=batch.label,
        node2type=nodes.repeat(count),
        edge2type=edges.repeat(count),
        mask_hidden=is_hidden.repeat(count, 1),
        mask_first_layer=is_input.repeat(count, 1),
        batch=torch.arange(count).repeat_interleave(sum(dims)),
        ptr=start,
    )
