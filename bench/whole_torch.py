"""The same whole process in PyTorch, by `DataLoader` or by indexing tensors.

python bench/whole_torch.py MODEL GOAL OPTIMIZER LR SEED loader|indexing
"""

from __future__ import annotations

import gzip
import json
import os
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from contenders.torch_models import build_model


def read(kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images as float32 and labels, read from the four MNIST files."""
    folder = os.path.join(os.environ["EPOCHAL_DATA"], "mnist")
    with gzip.open(f"{folder}/{kind}-images-idx3-ubyte.gz") as file:
        x = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(f"{folder}/{kind}-labels-idx1-ubyte.gz") as file:
        y = np.frombuffer(file.read(), np.uint8, offset=8)
    return torch.tensor(x).float() / 255, torch.tensor(y).long()


name, goal, optimizer_name, lr, seed, form = sys.argv[1:7]
torch.manual_seed(int(seed))
(x, y), (x_test, y_test) = read("train"), read("t10k")
model = build_model(name)
if optimizer_name == "adam":
    optimizer: torch.optim.Optimizer = torch.optim.Adam(model.parameters(), lr=float(lr))
else:
    optimizer = torch.optim.SGD(model.parameters(), lr=float(lr), momentum=0.9 * (optimizer_name == "momentum"))
loss = nn.CrossEntropyLoss()
loader = DataLoader(TensorDataset(x, y), batch_size=100, shuffle=True)
seen: dict[str, float] = {}
for _epoch in range(1, 31):
    indexed = ((x[i], y[i]) for i in torch.randperm(len(x)).split(100))
    for x_batch, y_batch in loader if form == "loader" else indexed:
        loss(model(x_batch), y_batch).backward()
        optimizer.step()
        optimizer.zero_grad()
        seen.setdefault("first_update", time.time())
    with torch.no_grad():
        guesses = torch.cat([model(part).argmax(1) for part in x_test.split(1000)])
    accuracy = (guesses == y_test).float().mean().item()
    if accuracy >= float(goal):
        seen["goal"] = time.time()
        break
print(json.dumps({**seen, "accuracy": accuracy, "epochs": _epoch}))
