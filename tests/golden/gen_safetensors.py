# SPDX-License-Identifier: MIT
# Writes torch_small.safetensors: what PyTorch's own writer makes. Needs torch, safetensors.
import torch
from safetensors.torch import save_file

save_file({
    "conv1.weight": torch.arange(12, dtype=torch.float32).reshape(2, 1, 2, 3) / 4 - 1,
    "half": torch.tensor([1.5, -0.0, 65504.0, 2.0 ** -24, float("inf")], dtype=torch.float16),
    "brain": torch.tensor([[1.0, -2.5, 3e38]], dtype=torch.bfloat16),
    "steps": torch.tensor(7, dtype=torch.int64),
    "codes": torch.tensor([-128, 0, 127], dtype=torch.int8),
    "double": torch.tensor([0.1], dtype=torch.float64),
    "empty": torch.zeros(0, 3),
}, "torch_small.safetensors", metadata={"format": "pt"})
