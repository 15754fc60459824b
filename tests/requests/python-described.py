{'TrainingJobName': 'churn-notebook',
 'TrainingJobArn': 'arn:aws:sagemaker:us-west-2:111122223333:training-job/churn-notebook',
 'HyperParameters': {'epochs': '5'},
 'CreationTime': datetime.datetime(2026, 3, 2, 8, 15, tzinfo=tzlocal()),
 'EnableManagedSpotTraining': False,
 'ResponseMetadata': {'HTTPStatusCode': 200, 'RetryAttempts': 0}}
