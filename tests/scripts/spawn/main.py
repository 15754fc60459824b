import json
import multiprocessing as mp
import os


class Shard:
    def __init__(self, number):
        self.number = number


def work(shard):
    return sum(range(shard.number * 1000))


if __name__ == "__main__":
    mp.set_start_method("spawn")
    with mp.Pool(2) as pool:
        sums = pool.map(work, [Shard(i) for i in range(4)])
    with open(os.path.join(os.environ["SM_MODEL_DIR"], "sums.json"), "w") as f:
        json.dump(sums, f)
    print(sums)
