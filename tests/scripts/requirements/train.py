import os

from slugger import slug

with open(os.path.join(os.environ["SM_MODEL_DIR"], "name"), "w") as f:
    f.write(slug("Churn Model"))
