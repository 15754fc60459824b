"""Finish the bake: make folders that git cannot keep, then run the project's doctor.

Standard library only.
"""

import json
import os
import re
import subprocess
import sys

answers = json.loads(r"""
<< cookiecutter | tojson >>
""")


def record_origin():
    """Write into .sm-local.json which commit was baked, and where a template of this machine is.

    The rendered file cannot know either. A template that is no git repository has no commit. The
    file is to be committed, so a token in the address is left out: git asks its credential helper.
    """
    folder = os.path.join(os.environ.get("PWD") or ".", answers["_repo_dir"])
    with open(".sm-local.json", encoding="utf-8") as file:
        record = json.load(file)
    record["template"] = re.sub(r"^(https?://)[^/]*@", r"\1", record["template"])
    if os.path.isdir(os.path.join(folder, ".git")):
        command = ["git", "-C", folder, "rev-parse", "HEAD"]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False
            )
            record["commit"] = done.stdout.decode().strip()
        except (OSError, subprocess.TimeoutExpired):
            pass
        if answers["_repo_dir"] == answers["_template"]:
            record["template"] = os.path.realpath(folder)
    with open(".sm-local.json", "w", encoding="utf-8") as file:
        json.dump(record, file, indent=2, ensure_ascii=False)
        file.write("\n")


def run_doctor():
    """Print the doctor's report and return its exit status.

    If the report cannot be made, the bake still succeeds. Why the status is not 0 stands in the
    report, unless there is none, and is said once more only where it ends the bake.
    """
    command = [sys.executable, "-B", "-m", "sm_local", "doctor"]
    # If a make runs this bake, it is not the project's make.
    environment = {key: value for key, value in os.environ.items() if key != "SM_LOCAL_GIVEN"}
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=90,
            check=False,
        )
        sys.stdout.buffer.write(done.stdout)
        sys.stdout.flush()
        if answers["gpu"] == "required" or not done.stdout:
            sys.stderr.buffer.write(done.stderr)
            sys.stderr.flush()
        return done.returncode
    except (OSError, subprocess.TimeoutExpired) as error:
        print(
            f"sm-local: the doctor gave no report ({error}); 'make doctor' tries again",
            file=sys.stderr,
        )
        return 0


record_origin()
if not os.path.lexists("opt/ml/model"):  # after an earlier bake it may be a link
    os.mkdir("opt/ml/model")
status = run_doctor()
if status and answers["gpu"] == "required":
    print("sm-local: not baked: gpu=required; answer gpu=auto to bake it anyway", file=sys.stderr)
    sys.exit(1)
where = os.path.relpath(os.path.realpath("."), os.path.realpath(os.environ.get("PWD") or ".."))
print(
    f"\n{answers['project']} is ready:  cd {where} && make build && make train"
    "      (make help: all verbs)"
)
