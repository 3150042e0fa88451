"""polyview.torch: every sample once an epoch over ranks and workers, read as it lies in the store; graphs as scalegmn has them."""

import sys
from pathlib import Path

import numpy as np

from harness import ROOT, check, run_tests, skip

sys.path.insert(0, str(ROOT / "analysis"))
import rows_of_noise  # noqa: E402
from rows_of_noise import DIMS, OBJECTS, TRAIN  # noqa: E402

try:
    import torch

    from polyview.graphs import collate_graphs
    from polyview.torch import Batch, ViewDataset, ViewStream
except ImportError:
    torch = None

VIEWS = 2


def flat(batch: "Batch") -> np.ndarray:
    """A batch as rows [n][P] again."""
    parts = []
    for weight, bias in zip(batch.weights, batch.biases):
        parts += [weight[..., 0].transpose(1, 2).flatten(1), bias[..., 0]]
    return torch.cat(parts, 1).numpy()


def a_list_of_samples_is_a_batch(work: Path) -> None:
    if torch is None:
        return skip("batches", "PyTorch is not installed")
    rows = rows_of_noise.write(work / "store.h5")[:, :TRAIN].reshape(VIEWS * TRAIN, -1)
    train = ViewDataset(work / "store.h5", views=VIEWS)
    chosen = [3, 70, 2, 2, 99, 0]
    batch = train[chosen]
    check(
        np.array_equal(flat(batch), rows[chosen]) and batch.label.tolist() == [i % TRAIN % 3 for i in chosen],
        "dataset[[3, 70, ...]] is a batch of these samples",
        batch.label,
    )
    one = train[70]
    check(
        isinstance(one.label, int) and all(torch.equal(a, b[1]) for a, b in zip(one.weights, batch.weights)),
        "a sample of it is dataset[70]",
    )
    for wrong in (-1, 100, [3, 100]):
        try:
            said = str(train[wrong])
        except IndexError as error:
            said = str(error)
        check(said.endswith("of 100"), f"sample {wrong} is refused", said)
    normal = ViewDataset(work / "store.h5", views=VIEWS, normalize=True)
    scaled = flat(normal[list(range(100))])
    check(
        np.allclose(scaled.mean(0), 0, atol=1e-5) and np.allclose(scaled.std(0, ddof=1), 1, atol=1e-4),
        "normalised entries have mean 0 and deviation 1",
    )


def a_stream_has_every_sample_once(work: Path) -> None:
    if torch is None:
        return skip("streams", "PyTorch is not installed")
    rows = rows_of_noise.write(work / "store.h5")[:, :TRAIN].reshape(VIEWS * TRAIN, -1)
    where = {row.tobytes(): number for number, row in enumerate(rows)}

    def epoch(stream: "ViewStream", workers: int, **options: object) -> list[list[int]]:
        loader = torch.utils.data.DataLoader(stream, batch_size=None, num_workers=workers, **options)
        return [[where[row.tobytes()] for row in flat(batch)] for batch in loader]

    for ranks, batch in ((1, 16), (2, 16), (3, 16), (7, 5), (3, 100)):
        streams = [
            ViewStream(work / "store.h5", views=VIEWS, batch=batch, rank=rank, ranks=ranks)
            for rank in range(ranks)
        ]
        found = [epoch(stream, 0) for stream in streams]
        sizes = [len(part) for own in found for part in own]
        check(
            sorted(n for own in found for part in own for n in part) == list(range(VIEWS * TRAIN)),
            f"{ranks} rank(s) with batches of {batch} see every sample once",
        )
        check(
            len({len(own) for own in found}) == 1
            and len(found[0]) == len(streams[0])
            and max(sizes) <= batch
            and max(sizes) - min(sizes) <= 1,
            "in the same number of batches, of nearly the same size",
            sizes,
        )
        if batch == 5:
            check(epoch(streams[-1], 2) == found[-1], "which do not depend on the number of workers")
    stream = ViewStream(work / "store.h5", views=VIEWS, batch=16)
    loader = torch.utils.data.DataLoader(stream, batch_size=None, num_workers=2, persistent_workers=True)
    orders = []
    for number in (0, 1, 0):
        stream.set_epoch(number)
        orders.append([where[row.tobytes()] for batch in loader for row in flat(batch)])
    check(
        orders[0] == orders[2] and orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1]),
        "every epoch has an order of its own, with workers that persist, too",
    )
    plain = epoch(
        ViewStream(work / "store.h5", views=VIEWS, shuffle=False), 1, multiprocessing_context="spawn"
    )
    check(sum(plain, []) == list(range(VIEWS * TRAIN)), "without shuffling, samples come in their order")


def the_slow_graph(weights: list[np.ndarray], biases: list[np.ndarray]) -> dict[str, list]:
    """A graph of one INR by loops over its neurons: nodes are numbered layer by layer."""
    first = np.cumsum([0, *DIMS])
    graph: dict[str, list] = {name: [] for name in ("edges", "weight", "x", "node2type", "hidden", "input")}
    for layer, width in enumerate(DIMS):
        for unit in range(width):
            last = layer == len(DIMS) - 1
            graph["x"].append(1.0 if layer == 0 else float(biases[layer - 1][unit]))
            graph["hidden"].append(not last and layer > 0)
            graph["input"].append(layer == 0)
            graph["node2type"].append(unit if layer == 0 else DIMS[0] + layer - 1 + (unit if last else 0))
    for layer, weight in enumerate(weights):
        for source in range(DIMS[layer]):
            for target in range(DIMS[layer + 1]):
                graph["edges"].append([first[layer] + source, first[layer + 1] + target])
                graph["weight"].append(float(weight[target, source]))
    return graph


def graphs_are_those_of_scalegmn(work: Path) -> None:
    if torch is None:
        return skip("graphs", "PyTorch is not installed")
    rows = rows_of_noise.write(work / "store.h5")[:, :TRAIN].reshape(VIEWS * TRAIN, -1)
    train = ViewDataset(work / "store.h5", views=VIEWS)
    loader = torch.utils.data.DataLoader(train, batch_size=5, collate_fn=collate_graphs, num_workers=2)
    found = next(iter(loader)).to("cpu")
    for number in (0, 4):
        row, arrays = rows[number], {}
        for name, offset, outputs, inputs in rows_of_noise.layout():
            arrays[name] = row[offset : offset + outputs * inputs].reshape(outputs, inputs)
        flat_arrays = list(arrays.values())
        graph = the_slow_graph(flat_arrays[0::2], [bias[:, 0] for bias in flat_arrays[1::2]])
        nodes = slice(*found.ptr[number : number + 2].tolist())
        count = len(graph["edges"])
        edges = slice(number * count, (number + 1) * count)
        check(
            found.x[nodes, 0].tolist() == graph["x"]
            and (found.edge_index[:, edges].T - nodes.start).tolist() == graph["edges"]
            and found.edge_attr[edges, 0].tolist() == graph["weight"]
            and found.node2type[nodes].tolist() == graph["node2type"]
            and found.mask_hidden[nodes, 0].tolist() == graph["hidden"]
            and found.mask_first_layer[nodes, 0].tolist() == graph["input"]
            and set(found.batch[nodes].tolist()) == {number},
            f"graph {number} of a batch has its neurons and weights in their places",
        )
    # One type each of 2 inputs' edges, of a hidden layer's, of the output's.
    types = [0] * 5 + [1] * 5 + [2] * 20 + [3] * 4
    check(found.edge2type.tolist() == types * 5, "edges have scalegmn's types", found.edge2type)
    check(
        found.num_graphs == 5
        and found.num_nodes == 5 * sum(DIMS)
        and torch.equal(found.bw_edge_index, found.edge_index[[1, 0]])
        and found.label.tolist() == [0, 1, 2, 0, 1],
        "a batch knows its graphs, their labels and their edges backwards",
    )
    stream = ViewStream(work / "store.h5", "test", batch=4, shuffle=False)
    graphs = list(torch.utils.data.DataLoader(stream, batch_size=None, collate_fn=collate_graphs))
    labels = [label for one in graphs for label in one.label.tolist()]
    check(labels == [i % 3 for i in range(57, OBJECTS)], "a stream gives graphs likewise", labels)


if __name__ == "__main__":
    sys.exit(
        run_tests(a_list_of_samples_is_a_batch, a_stream_has_every_sample_once, graphs_are_those_of_scalegmn)
    )
