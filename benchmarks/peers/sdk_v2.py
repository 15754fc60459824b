"""Run one local training job with the SageMaker SDK v2.

usage: python sdk_v2.py IMAGE CHANNEL OUTPUT
"""

import sys

from sagemaker.estimator import Estimator
from sagemaker.local import LocalSession

image, channel, output = sys.argv[1:]
estimator = Estimator(
    image_uri=image,
    role="arn:aws:iam::123456789012:role/local",
    instance_count=1,
    instance_type="local",
    output_path=f"file://{output}",
    hyperparameters={"epochs": 3},
    sagemaker_session=LocalSession(),
)
estimator.fit({"training": f"file://{channel}"})
