"""Trains a classifier on the INRs of a store: python3 train.py STORE [EPOCHS]"""

import sys

import torch
from torch.utils.data import DataLoader

from polyview.torch import Batch, ViewDataset, ViewStream

path, epochs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 10
train = ViewStream(path, "train", normalize=True, batch=32)
test = ViewDataset(path, "test", normalize=True, statistics=train.statistics)


def flat(batch: Batch) -> torch.Tensor:
    return torch.cat([tensor.flatten(1) for tensor in (*batch.weights, *batch.biases)], 1)


torch.manual_seed(1)
classes = int(train.store.label.max()) + 1
model = torch.nn.Sequential(
    torch.nn.Linear(train.store.params, 128), torch.nn.ReLU(), torch.nn.Linear(128, classes)
)  # or a published model, which takes (batch.weights, batch.biases)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
for epoch in range(epochs):
    train.set_epoch(epoch)
    losses = []
    for batch in DataLoader(train, batch_size=None, num_workers=2):
        loss = torch.nn.functional.cross_entropy(model(flat(batch)), batch.label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print(f"epoch {epoch + 1}: loss {sum(losses) / len(losses):.4f}")
everything = test[range(len(test))]
print(f"test accuracy {(model(flat(everything)).argmax(1) == everything.label).float().mean():.3f}")
