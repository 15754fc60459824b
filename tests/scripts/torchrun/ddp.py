import argparse
import os
import sys

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=1)
args = parser.parse_args()

dist.init_process_group("gloo")
torch.manual_seed(dist.get_rank())
model = DistributedDataParallel(torch.nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(args.epochs):
    optimizer.zero_grad()
    model(torch.ones(8, 4) * dist.get_rank()).square().mean().backward()
    optimizer.step()
total = torch.tensor([float(dist.get_rank() + 1)])
dist.all_reduce(total)
# one write: other ranks print at the same time
says = f"rank {dist.get_rank()} of {dist.get_world_size()} sum {total.item()}\n"
sys.stdout.write(says)
sys.stdout.flush()
with open(os.path.join(os.environ["SM_MODEL_DIR"], f"sum-{dist.get_rank()}"), "w") as f:
    f.write(str(sum(p.sum().item() for p in model.parameters())))
dist.barrier()
dist.destroy_process_group()
sys.stdout.flush()
os._exit(0)  # gloo leaves a thread now and then, and Python ends by SIGABRT
