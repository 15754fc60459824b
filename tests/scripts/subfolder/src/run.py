import os
import sys

from helpers import load  # next to this file
from src.helpers import load as same  # from the folder above

config = open("config.ini").read()  # in the folder that the job starts in
assert load("a") == same("a") == "loaded a"
print(os.getcwd(), __file__, sys.argv, config)
open(os.path.join(os.environ["SM_MODEL_DIR"], "ok"), "w").close()
