import boto3

role = sagemaker.get_execution_role()
training_params = {
    "TrainingJobName": job_name,
    "RoleArn": role,
    "HyperParameters": {"epochs": "5", "lr": 0.1},
    "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/out"},
}
boto3.client("sagemaker").create_training_job(**training_params)
