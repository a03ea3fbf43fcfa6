# SPDX-License-Identifier: MIT
# Writes optim_golden.h: parameters after 6 steps, and learning rates, as PyTorch computes them. Run: python make_optim.py
import torch
torch.manual_seed(3)
N, STEPS = 7, 6
w0 = torch.randn(N)
grads = [torch.randn(N) * (1 + i) for i in range(STEPS)]
arr = lambda t: ", ".join(float(v).hex() + "f" for v in t)
out = ["/* SPDX-License-Identifier: MIT", " * Made by make_optim.py with PyTorch " + torch.__version__.split("+")[0] + ". */",
       f"enum {{ GOLDEN_N = {N}, GOLDEN_STEPS = {STEPS} }};", f"static const float golden_w0[GOLDEN_N] = {{{arr(w0)}}};",
       "static const float golden_grad[GOLDEN_STEPS][GOLDEN_N] = {"] + [f"    {{{arr(g)}}}," for g in grads] + ["};"]
cases = [
    (".kind = OCT_OPTIM_SGD, .lr = 0.1f, .momentum = OCT_NONE, .weight_decay = OCT_NONE", lambda p: torch.optim.SGD(p, lr=0.1), 0),
    (".kind = OCT_OPTIM_SGD, .lr = 0.1f, .momentum = 0.9f, .nesterov = OCT_SWITCH_NO, .weight_decay = 0.01f", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01), 0),
    (".kind = OCT_OPTIM_SGD, .lr = 0.05f, .momentum = 0.8f, .nesterov = OCT_SWITCH_YES, .weight_decay = 0.001f", lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.8, nesterov=True, weight_decay=0.001), 0),
    (".kind = OCT_OPTIM_SGD, .lr = 0.1f, .momentum = 0.9f, .nesterov = OCT_SWITCH_NO, .weight_decay = OCT_NONE, .clip_norm = 2.0f", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), 2.0),
    (".kind = OCT_OPTIM_ADAM, .lr = 0.01f", lambda p: torch.optim.Adam(p, lr=0.01), 0),
    (".kind = OCT_OPTIM_ADAM, .lr = 0.01f, .weight_decay = 0.1f, .beta1 = 0.8f, .beta2 = 0.99f, .eps = 1e-6f", lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1, betas=(0.8, 0.99), eps=1e-6), 0),
    (".kind = OCT_OPTIM_RMSPROP, .lr = 0.01f", lambda p: torch.optim.RMSprop(p), 0),
    (".kind = OCT_OPTIM_RMSPROP, .lr = 0.02f, .alpha = 0.9f, .eps = 1e-5f, .momentum = 0.8f, .weight_decay = 0.05f", lambda p: torch.optim.RMSprop(p, lr=0.02, alpha=0.9, eps=1e-5, momentum=0.8, weight_decay=0.05), 0),
    (".kind = OCT_OPTIM_RMSPROP, .lr = 0.005f, .alpha = 0.95f, .centered = true", lambda p: torch.optim.RMSprop(p, lr=0.005, alpha=0.95, centered=True), 0),
    (".kind = OCT_OPTIM_RMSPROP, .lr = 0.01f, .centered = true, .momentum = 0.5f, .clip_norm = 1.5f", lambda p: torch.optim.RMSprop(p, centered=True, momentum=0.5), 1.5),
    (".kind = OCT_OPTIM_ADAMW, .lr = 0.02f", lambda p: torch.optim.AdamW(p, lr=0.02), 0),
]
out += ["static const struct {", "    oct_optim_opts opts;", "    float w[GOLDEN_N];", "} golden_optim[] = {"]
for text, make, clip in cases:
    p = w0.clone().requires_grad_(True)
    o = make([p])
    for g in grads:
        p.grad = g.clone()
        if clip: torch.nn.utils.clip_grad_norm_([p], clip)
        o.step()
    out.append(f"    {{{{{text}}}, {{{arr(p.detach())}}}}},")
out.append("};")
S = torch.optim.lr_scheduler
scheds = [
    (".kind = OCT_SCHEDULE_STEP, .lr = 0.1f, .every = 4, .gamma = 0.5f", 0.1, lambda o: S.StepLR(o, 4, 0.5)),
    (".kind = OCT_SCHEDULE_MULTI_STEP, .lr = 0.1f, .milestones = {3, 8, 11}", 0.1, lambda o: S.MultiStepLR(o, [3, 8, 11])),
    (".kind = OCT_SCHEDULE_COSINE, .lr = 0.2f, .total = 12, .final_lr = 0.01f", 0.2, lambda o: S.CosineAnnealingLR(o, 12, 0.01)),
    (".kind = OCT_SCHEDULE_ONE_CYCLE, .lr = 0.4f, .total = 12", 0.4, lambda o: S.OneCycleLR(o, 0.4, total_steps=12, cycle_momentum=False)),
    (".kind = OCT_SCHEDULE_ONE_CYCLE, .lr = 0.4f, .total = 12, .pct_start = 0.5f, .div = 10, .final_div = 100", 0.4,
     lambda o: S.OneCycleLR(o, 0.4, total_steps=12, pct_start=0.5, div_factor=10, final_div_factor=100, cycle_momentum=False)),
]
out += ["static const struct {", "    oct_schedule s;", "    float lr[12];", "} golden_schedule[] = {"]
for text, lr, make in scheds:
    o = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    s = make(o)
    v = []
    for i in range(12):
        v.append(o.param_groups[0]["lr"])
        o.step()
        if i < 11: s.step()
    out.append(f"    {{{{{text}}}, {{{', '.join(repr(float(x)) + 'f' for x in v)}}}}},")
out.append("};")
open("optim_golden.h", "w").write("\n".join(out) + "\n")
