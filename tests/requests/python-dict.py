{'TrainingJobName': 'churn-dict',
 'HyperParameters': {'epochs': '5', 'name': 'it\'s'},
 'EnableNetworkIsolation': True,
 'VpcConfig': None,
 'ResourceConfig': {'InstanceType': 'ml.m5.xlarge', 'InstanceCount': 1}}
