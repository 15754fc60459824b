def fit(epochs):
    return [1.0 / (i + 1) for i in range(epochs)]
