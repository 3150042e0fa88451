"""Trains the published DWSNets on the INRs of a store: PYTHONPATH=DWSNets python3 train_dwsnets.py STORE [EPOCHS]

DWSNets is a checkout of github.com/AvivNavon/DWSNets.
"""

import sys

import torch
from nn.models import DWSModelForClassification
from torch.utils.data import DataLoader

from polyview.torch import ViewDataset, ViewStream

path, epochs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 10
train = ViewStream(path, "train", normalize=True, batch=64)
test = ViewDataset(path, "test", normalize=True, statistics=train.statistics)
torch.manual_seed(1)
one = test[[0]]
shapes = {kind: tuple(tuple(t.shape[1:-1]) for t in getattr(one, kind)) for kind in ("weights", "biases")}
model = DWSModelForClassification(
    shapes["weights"], shapes["biases"], 1, 16, 2, n_classes=int(train.store.label.max()) + 1, set_layer="ds"
)
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
for epoch in range(epochs):
    train.set_epoch(epoch)
    losses = []
    for batch in DataLoader(train, batch_size=None, num_workers=2):
        loss = torch.nn.functional.cross_entropy(model((batch.weights, batch.biases)), batch.label)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        losses.append(loss.item())
    print(f"epoch {epoch + 1}: loss {sum(losses) / len(losses):.4f}", flush=True)
with torch.no_grad():
    parts = [test[range(first, min(first + 500, len(test)))] for first in range(0, len(test), 500)]
    right = [(model((part.weights, part.biases)).argmax(1) == part.label).float() for part in parts]
print(f"test accuracy {torch.cat(right).mean():.3f}")
