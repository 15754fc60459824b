def load(name):
    return "loaded " + name
