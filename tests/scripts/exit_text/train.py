import os
import sys

if not os.path.isdir(os.environ.get("SM_CHANNEL_VALIDATION", "nowhere")):
    sys.exit("this job needs a channel named validation")
