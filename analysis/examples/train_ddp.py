"""The same on several processes, each with its share of the store:

torchrun --nproc-per-node 2 train_ddp.py STORE [EPOCHS]
"""

import sys

import torch
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from polyview.torch import Batch, ViewStream

torch.distributed.init_process_group("gloo")  # before the streams, which ask it for their share
path, epochs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 10
train = ViewStream(path, "train", normalize=True, batch=16)
test = ViewStream(path, "test", normalize=True, statistics=train.statistics, shuffle=False)


def flat(batch: Batch) -> torch.Tensor:
    return torch.cat([tensor.flatten(1) for tensor in (*batch.weights, *batch.biases)], 1)


torch.manual_seed(1)
classes = int(train.store.label.max()) + 1
model = DistributedDataParallel(
    torch.nn.Sequential(
        torch.nn.Linear(train.store.params, 128), torch.nn.ReLU(), torch.nn.Linear(128, classes)
    )
)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
for epoch in range(epochs):
    train.set_epoch(epoch)
    total = torch.zeros(2, dtype=torch.float64)  # loss, samples
    for batch in DataLoader(train, batch_size=None, num_workers=1):
        loss = torch.nn.functional.cross_entropy(model(flat(batch)), batch.label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += torch.tensor([loss.item() * len(batch), len(batch)])
    torch.distributed.all_reduce(total)
    if train.rank == 0:
        print(f"epoch {epoch + 1}: loss {total[0] / total[1]:.4f} over {total[1]:.0f} samples", flush=True)
right = torch.zeros(2, dtype=torch.int64)
for batch in test:
    right += torch.tensor([(model.module(flat(batch)).argmax(1) == batch.label).sum(), len(batch)])
torch.distributed.all_reduce(right)
if train.rank == 0:
    print(f"test accuracy {right[0] / right[1]:.3f} of {right[1]} samples")
torch.distributed.destroy_process_group()
