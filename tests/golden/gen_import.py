# SPDX-License-Identifier: MIT
# Writes torch_lenet16.safetensors (the zoo's lenet for 3x16x16, 5 classes, half precision, wrapped as DataParallel wraps) and
# torch_lenet16.npz (x, and y: what PyTorch makes of it in float32). Needs torch, safetensors, numpy.
import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
import torch.nn.functional as F


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(64, 120), nn.Linear(120, 84), nn.Linear(84, 5)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(torch.flatten(x, 1)))
        return self.fc3(F.relu(self.fc2(x)))


torch.manual_seed(7)
net = LeNet().half().float()
state = {"module." + k: v.half() for k, v in net.state_dict().items()}
state["module.fc2.weight"] = state["module.fc2.weight"].bfloat16()
net.load_state_dict({k[7:]: v.float() for k, v in state.items()})
save_file(state, "torch_lenet16.safetensors", metadata={"format": "pt"})
x = torch.randn(4, 3, 16, 16)
np.savez("torch_lenet16.npz", x=x.numpy(), y=net(x).detach().numpy())
