first = {"TrainingJobName": "churn-first"}
second = {"TrainingJobName": "churn-second"}
