"""Run one local training job with the SageMaker SDK v3.

usage: python sdk_v3.py IMAGE CHANNEL OUTPUT
"""

import sys

from sagemaker.core.training.configs import Compute, InputData
from sagemaker.train.model_trainer import Mode, ModelTrainer

image, channel, output = sys.argv[1:]
trainer = ModelTrainer(
    training_image=image,
    training_mode=Mode.LOCAL_CONTAINER,
    role="arn:aws:iam::123456789012:role/local",
    compute=Compute(instance_type="local_cpu", instance_count=1),
    hyperparameters={"epochs": "3"},
    local_container_root=output,
)
trainer.train(
    input_data_config=[InputData(channel_name="training", data_source=channel)], wait=True
)
