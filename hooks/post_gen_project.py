"""Finish the bake: folders that git cannot keep, then the project's own doctor. Standard library only."""

import json
import os
import subprocess
import sys

answers = json.loads(r"""
<< cookiecutter | tojson >>
""")


def run_doctor():
    """Print the doctor's report; return its exit status. A bake does not fail because the report cannot be made."""
    command = [sys.executable, "-B", "-m", "sm_local.verbs.doctor"]
    environment = {
        key: value for key, value in os.environ.items() if key != "MAKELEVEL"
    }  # a make around this bake is not the project's
    try:
        return subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, timeout=90, check=False
        ).returncode
    except (OSError, subprocess.TimeoutExpired) as error:
        print(
            f"sm-local: the doctor gave no report ({error}); 'make doctor' tries again",
            file=sys.stderr,
        )
        return 0


if not os.path.lexists("opt/ml/model"):  # baked over: it may be a link to the last job's
    os.mkdir("opt/ml/model")
status = run_doctor()
if status and answers["gpu"] == "required":
    print("sm-local: not baked: gpu=required; answer gpu=auto to bake it anyway", file=sys.stderr)
    sys.exit(1)
print(
    f"\n{answers['project']} is ready:  cd {answers['project']} && make build && make train      "
    "(make help: all verbs)"
)
