import logging
import os
import sys

logger = logging.getLogger(__name__)
logger.setLevel(logging.DEBUG)
logger.addHandler(logging.StreamHandler(sys.stderr))


def load(path):
    logger.info("loading %s", path)
    print("still fine")
    with open(path) as f:
        return f.read()


logger.info("hyperparameters: %s", os.environ["SM_HPS"])
print("starting on", os.environ["SM_CURRENT_HOST"])
load(os.environ["SM_CHANNEL_TRAINING"] + "/validation.csv")
