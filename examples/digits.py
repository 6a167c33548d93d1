"""Handwritten digits, from training to a NIR file: what `make demo` runs.

Trains a small CNN on scikit-learn's 8 x 8 digits, converts it, validates it, saves it, exports it as NIR, reads that
back, and leaves `report.html`, `digits.spk` and `model.nir` in `demo/`. Needs `pip install 'spikeport[demo]'`.
"""

import sys
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import spikeport as sp


def loaders() -> tuple[DataLoader, DataLoader]:
    """1,297 images to train on and 500 to test on, with values from 0 to 1; the same split every time."""
    digits = load_digits()
    images = torch.tensor(digits.images / 16, dtype=torch.float32).unsqueeze(1)  # (sample, channel, row, column)
    labels = torch.tensor(digits.target)
    x_train, x_test, y_train, y_test = train_test_split(images, labels, test_size=500, stratify=labels, random_state=0)
    train = DataLoader(TensorDataset(x_train, y_train), batch_size=64, shuffle=True)
    return train, DataLoader(TensorDataset(x_test, y_test), batch_size=100)


def network() -> nn.Module:
    """A CNN as one writes it for PyTorch; nothing in it knows of spikes."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 16, kernel_size=3, padding=1),
            norm1=nn.BatchNorm2d(16),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(16, 32, kernel_size=3, padding=1),
            norm2=nn.BatchNorm2d(32),
            relu2=nn.ReLU(),
            pool2=nn.AvgPool2d(2),
            conv3=nn.Conv2d(32, 32, kernel_size=3, padding=1),
            norm3=nn.BatchNorm2d(32),
            relu3=nn.ReLU(),
            pool3=nn.AvgPool2d(2),
            flatten=nn.Flatten(),
            classify=nn.Linear(32 * 2 * 2, 10),
        )
    )


def train(model: nn.Module, data: DataLoader, *, epochs: int) -> None:
    """Ordinary training with Adam."""
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(epochs):
        for x, y in data:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    model.eval()


def same_spikes(one: sp.Recording, other: sp.Recording) -> bool:
    """Whether two simulations agree in every spike of every neuron in every step, and in what they read out."""
    rasters = [np.array_equal(spikes.raster, other.spikes[name].raster) for name, spikes in one.spikes.items()]
    return all(rasters) and np.array_equal(one.readout, other.readout)


def main(epochs: int = 10) -> int:
    """Train, convert, validate, write the files; 0 if everything holds."""
    torch.manual_seed(0)
    folder = Path("demo")
    folder.mkdir(exist_ok=True)
    train_loader, test_loader = loaders()

    start = time.perf_counter()
    model = network()
    train(model, train_loader, epochs=epochs)
    print(f"trained in {time.perf_counter() - start:.1f} s")

    # Conversion looks at training images only: the test images are new to the model and to the spiking network.
    start = time.perf_counter()
    snn = sp.convert(model, train_loader)
    report = sp.validate(snn, test_loader, model=model)
    snn = snn.with_report(report)  # from here on it carries what was found on the test images
    print(f"converted and validated in {time.perf_counter() - start:.1f} s")
    print(f"\n{snn.summary()}\n\n{report}\n")

    spk = snn.save(folder / "digits.spk")  # everything, for `sp.load`
    html = report.to_html(folder / "report.html")
    nir = folder / "model.nir"
    sp.to_nir(snn, nir)  # the network, for other tools

    # Step what was written and what comes back on the same images: they must fire the same spikes.
    x = next(iter(test_loader))[0][:20]
    signed = snn.simulate(x)
    read_back = sp.simulate(sp.from_nir(nir), x.numpy(), record=signed.spikes)
    same = same_spikes(signed, read_back)

    # The same integers under another code: a neuron sends its whole count at once, as the payload of one spike.
    graded = snn.with_code("graded").simulate(x)

    print(f"accuracy     model {report.ann_accuracy:.2f} %, spiking network {report.snn_accuracy:.2f} %")
    for name, recording in {"signed": signed, "graded": graded}.items():
        spikes = sum(recording.n_spikes.values()).mean()
        print(f"{name} code  {spikes:,.0f} spikes an image, quiet within {recording.quiet_after.max()} steps")
    print(f"NIR          read back, {len(x)} images stepped: {'identical' if same else 'DIFFERENT'} spikes")
    print(f"files        {html}  {spk}  {nir}")
    return 0 if report.ok and same else 1


if __name__ == "__main__":
    torch.set_num_threads(1)  # images this small gain nothing from a second thread
    sys.exit(main())
