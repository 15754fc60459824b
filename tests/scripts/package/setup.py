from setuptools import setup

setup(name="churn-trainer", version="1.0", packages=["churn"])
