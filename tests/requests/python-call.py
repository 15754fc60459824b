response = sm.create_training_job(
    TrainingJobName="churn-call",
    HyperParameters={"epochs": "5"},
    EnableNetworkIsolation=False,
)
