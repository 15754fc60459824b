"""Give a training script what AWS's images give it: the rest of `train`, for an image of your own.

Find the code, install its requirements.txt, set the SM_* variables, and become the script, so that
process 1 is the script's own interpreter (run_script.py). Names and values are those of AWS's
sagemaker-training toolkit 5.1.4, of which this needs no part.

It needs Python 3.7 or newer and its standard library, and imports late what few jobs need, because
every job waits for it.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys

ML = os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")  # the toolkit's own variable, for tests
CODE = os.path.join(ML, "code")
INPUT = os.path.join(ML, "input")
OUTPUT = os.path.join(ML, "output")
FAILURE = os.path.join(OUTPUT, "failure")
HERE = os.path.dirname(os.path.abspath(__file__))
DRIVERS = os.path.join(INPUT, "data", "sm_drivers")  # a channel that the SageMaker SDK v3 makes

# In a project's folder, that is in the sandbox, Python is this machine's and is left as it is.
BORROWED = os.path.isdir(os.path.join(os.path.dirname(HERE), "sm_local"))
PACKAGES = os.path.join(ML, ".packages")  # what requirements.txt adds there, for one job

# Hyperparameters that are for `train`; others that begin with sagemaker_ are for frameworks.
OWN = (
    "sagemaker_program",
    "sagemaker_submit_directory",
    "sagemaker_enable_cloudwatch_metrics",
    "sagemaker_region",
    "sagemaker_container_log_level",
    "sagemaker_job_name",
    "sagemaker_s3_output",
    "default_user_module_name",
    "_tuning_objective_metric",
)
TORCHRUN = "sagemaker_torch_distributed_enabled"
# Ways to start a script on several hosts that need programs which only AWS's images have.
ELSEWHERE = (
    "sagemaker_mpi_enabled",
    "sagemaker_parameter_server_enabled",
    "sagemaker_distributed_dataparallel_enabled",
    "sagemaker_pytorch_ddp_enabled",
    "sagemaker_pytorch_xla_multi_worker_enabled",
    "sagemaker_multi_worker_mirrored_strategy_enabled",
)
# Seconds that a host has to get an address: torchrun's all live as long as the job; others may end.
LONG, SHORT = 15 * 60, 10
PORT = "7777"  # where torchrun's processes meet, as in AWS's images

# Parts of SM_TRAINING_ENV that are no variables of their own.
UNNAMED = (
    "additional_framework_parameters",
    "channel_input_dirs",
    "distribution_hosts",
    "hyperparameters",
    "is_master",
    "is_modelparallel_enabled",
    "is_smddpmprun_installed",
    "is_smddprun_installed",
    "job_name",
    "master_hostname",
)


def prepare(arguments: list[str]) -> None:
    """Do what comes before the script, and become it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    given = {name: decode(text) for name, text in read("hyperparameters.json").items()}
    resources = read("resourceconfig.json") or {"current_host": "algo-1", "hosts": ["algo-1"]}
    if given.get("sagemaker_s3_output"):
        say("sagemaker_s3_output is not used: nothing uploads /opt/ml/output/intermediate")
    together = given.get(TORCHRUN) or torchrun_of_sdk_v3()
    wait_for(resources["hosts"], LONG if together else SHORT)
    find_code(given)
    job = training_env(given, resources, read("inputdataconfig.json"))
    refuse(job)
    install(job["user_entry_point"])
    set_variables(job, given)
    become(job, [*command_line(job["hyperparameters"]), *arguments])


def read(name: str) -> dict:
    """Return a file of /opt/ml/input/config; nothing where SageMaker did not write it."""
    path = os.path.join(INPUT, "config", name)
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise Refusal(f"{path} is not JSON: {error}") from error


def decode(text: object) -> object:
    """Return what a hyperparameter means: SDKs send JSON, people plain words."""
    try:
        return json.loads(text)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return text


def say(text: str) -> None:
    """Write one line into the job's log."""
    print(f"train: {text}", file=sys.stderr, flush=True)


class Refusal(Exception):
    """What somebody can put right, in one line."""


# The code


def find_code(given: dict) -> None:
    """Take the code that came with the job, if the image has none in /opt/ml/code."""
    os.makedirs(CODE, exist_ok=True)
    channel = os.path.join(INPUT, "data", "code")
    here = channel if os.path.isdir(channel) else CODE
    source = str(given.get("sagemaker_submit_directory") or here)
    if source == CODE:
        return
    if os.listdir(CODE):
        say(f"{CODE} has code, so that in {source} is not used")
        return
    if source.startswith("s3://"):
        source = download(source, os.environ.get("AWS_REGION") or given.get("sagemaker_region"))
    archive = os.path.join(source, "sourcedir.tar.gz")
    if os.path.isfile(archive):
        source = archive
    if os.path.isdir(source):
        copy(source)
    else:
        unpack(source)


def copy(folder: str) -> None:
    """Copy a folder's content into /opt/ml/code, which may be a mount and so cannot be replaced."""
    import shutil

    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        (shutil.copytree if os.path.isdir(path) else shutil.copy2)(path, os.path.join(CODE, name))


def unpack(archive: str) -> None:
    """Unpack an archive, which may not write anywhere else."""
    import tarfile
    import zlib

    try:
        with tarfile.open(archive) as tar:
            if hasattr(tarfile, "data_filter"):  # 3.12, and security releases before it
                tar.extractall(CODE, filter="data")
                return
            for member in tar.getmembers():
                inside = os.path.abspath(os.path.join(CODE, member.name)).startswith(CODE + "/")
                if not (inside and (member.isfile() or member.isdir())) and member.name != ".":
                    raise tarfile.TarError(f"{member.name} is not a file or folder inside it")
            tar.extractall(CODE)
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:  # cut off, or damaged
        raise Refusal(f"the code cannot be unpacked from {archive}: {error}") from error


def download(uri: str, region: str | None) -> str:
    """Fetch an object of S3 with the image's boto3; return the file's path."""
    import tempfile

    with_packages()
    try:
        import boto3
    except ImportError as error:
        raise Refusal(
            f"sagemaker_submit_directory is {uri}, and the image has no boto3 to fetch it; "
            "add boto3 to container/requirements.txt, or COPY the code to /opt/ml/code"
        ) from error
    bucket, _, key = uri[len("s3://") :].partition("/")
    path = os.path.join(tempfile.mkdtemp(), "sourcedir.tar.gz")
    endpoint = os.environ.get("S3_ENDPOINT_URL")
    try:
        s3 = boto3.client("s3", region_name=region, endpoint_url=endpoint)
        s3.download_file(bucket, key, path)
    except Exception as error:  # boto3's have no common class
        raise Refusal(f"{uri} cannot be fetched: {error}") from error
    return path


def with_packages() -> None:
    """Make the installed packages importable, which -S left out."""
    import site

    site.main()


# Its requirements


def kind_of(program: str) -> str:
    """Return how a program is run: as a package, script or command, decided as the toolkit does."""
    if program.endswith(".sh"):
        return "command"
    if os.path.exists(os.path.join(CODE, "setup.py")):
        return "package"
    return "script" if program.endswith(".py") else "command"


def install(program: str) -> None:
    """Install what the code needs, with the script's own pip."""
    package = kind_of(program) == "package"
    requirements = os.path.join(CODE, "requirements.txt")
    listed = [] if kind_of(program) == "command" else requirements_in(requirements)
    if listed:
        with_packages()
    if not package and all(map(met, listed)):
        return
    import subprocess

    words = [sys.executable, "-m", "pip", "install", *(["."] if package else [])]
    words += ["--requirement", requirements] if listed else []
    words += ["--target", PACKAGES] if BORROWED else []
    manners = {
        "PIP_BREAK_SYSTEM_PACKAGES": "1",  # the Python of a container is the job's alone
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
    }
    if subprocess.call(words, cwd=CODE, env={**os.environ, **manners}):
        what = "the package in " + CODE if package else requirements
        raise Refusal(
            f"pip did not install {what}; its words are above. A job without network, such as one "
            "with EnableNetworkIsolation, needs them in the image: container/requirements.txt"
        )


def requirements_in(path: str) -> list[str]:
    """Return the lines of a requirements.txt that ask for something."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = [line.partition(" #")[0].strip() for line in file]
    except FileNotFoundError:
        return []
    except UnicodeDecodeError:  # such as UTF-16, PowerShell's; pip reads it, and says if it cannot
        return [path]
    return [line for line in lines if line and not line.startswith("#")]


def met(requirement: str) -> bool:
    """Return whether `name` or `name==version` is installed; for all else, ask pip."""
    try:
        from importlib import metadata

        name, _, version = requirement.partition("==")
        installed = metadata.version(name.strip())
        return version.strip() in ("", installed)
    except (ImportError, ValueError):  # Python 3.7; not installed; no mere name
        return False


# What the script is told


def training_env(given: dict, resources: dict, channels: dict) -> dict:
    """Return what the toolkit knows of a job; SM_TRAINING_ENV is all of it."""
    mine = {name for name in given if name in OWN or name.startswith("sagemaker_")}
    framework = {name: given[name] for name in given if name in mine and name not in OWN}
    parallel = os.environ.get("SM_HP_MP_PARAMETERS")
    return {
        "additional_framework_parameters": framework,
        "channel_input_dirs": {name: os.path.join(INPUT, "data", name) for name in channels},
        "framework_module": os.environ.get("SAGEMAKER_TRAINING_MODULE"),
        "hyperparameters": {name: given[name] for name in given if name not in mine},
        "input_data_config": channels,
        "is_modelparallel_enabled": parallel and parallel != "{}",
        "job_name": os.environ.get("TRAINING_JOB_NAME"),
        "log_level": given.get("sagemaker_container_log_level", 20),
        **places(given),
        **cluster(resources, framework),
        **machine(resources),
    }


def places(given: dict) -> dict:
    """Return where a job has its things, and what its program is."""
    program = str(os.environ.get("SAGEMAKER_PROGRAM") or given.get("sagemaker_program") or script())
    return {
        "input_config_dir": os.path.join(INPUT, "config"),
        "input_dir": INPUT,
        "model_dir": os.path.join(ML, "model"),
        "module_dir": str(given.get("sagemaker_submit_directory", CODE)),
        "module_name": program[:-3] if program.endswith(".py") else program,
        "output_data_dir": os.path.join(OUTPUT, "data"),
        "output_dir": OUTPUT,
        "output_intermediate_dir": os.path.join(OUTPUT, "intermediate"),
        "user_entry_point": program,
    }


def script() -> str:
    """Return the script of a job that names none."""
    try:
        with open(os.path.join(DRIVERS, "sourcecode.json"), encoding="utf-8") as file:
            return json.load(file).get("entry_script") or "train.py"
    except (OSError, ValueError):
        return "train.py"


def cluster(resources: dict, framework: dict) -> dict:
    """Return what a job's hosts know of each other."""
    groups = {
        group["instance_group_name"]: group for group in resources.get("instance_groups") or []
    }
    mine = resources.get("current_group_name", "homogeneousCluster")
    distributed = any(framework.get(name) for name in (TORCHRUN, *ELSEWHERE))
    chosen = framework.get("sagemaker_distribution_instance_groups", [mine] if distributed else [])
    hosts = [host for name in groups if name in chosen for host in groups[name]["hosts"]]
    hosts = hosts if groups else resources["hosts"]
    first = (hosts or resources["hosts"])[0]
    return {
        "current_host": resources["current_host"],
        "current_instance_group": mine,
        "current_instance_group_hosts": groups[mine]["hosts"] if mine in groups else [],
        "distribution_hosts": hosts,
        "distribution_instance_groups": chosen,
        "hosts": resources["hosts"],
        "instance_groups": list(groups),
        "instance_groups_dict": groups,
        "is_hetero": len(groups) > 1,
        "is_master": resources["current_host"] == first,
        "master_hostname": first,
    }


def machine(resources: dict) -> dict:
    """Return what this host has."""
    return {
        "current_instance_type": resources.get("current_instance_type", "local"),
        "is_smddpmprun_installed": bool(which("smddpmprun")),
        "is_smddprun_installed": bool(which("smddprun")),
        "num_cpus": os.cpu_count(),
        "num_gpus": answer("nvidia-smi", "--list-gpus").count("\nGPU "),
        "num_neurons": neurons(resources.get("current_instance_type", "local")),
        "network_interface_name": resources.get("network_interface_name", "eth0"),
        "resource_config": resources,
        "topology": resources.get("topology", []),
    }


def which(program: str) -> str:
    """Return the path of a program, or nothing."""
    for folder in os.environ.get("PATH", "").split(":"):
        path = os.path.join(folder, program)
        if os.access(path, os.X_OK):
            return path
    return ""


def answer(*words: str) -> str:
    """Return what a program prints, after a line feed; nothing if it is not here or fails."""
    if not which(words[0]):
        return ""
    import subprocess

    try:
        return "\n" + subprocess.check_output(words).decode(errors="replace")
    except (OSError, subprocess.CalledProcessError):
        return ""


def neurons(instance_type: str) -> int:
    """Return the number of this host's NeuronCores."""
    if "trn2.48xlarge" in instance_type:
        return 64
    try:
        devices = json.loads(answer("neuron-ls", "-j") or "[]")
        return sum(device.get("nc_count", 0) for device in devices)
    except (ValueError, TypeError, AttributeError):  # a machine without devices may say so in words
        return 0


def set_variables(job: dict, given: dict) -> None:
    """Set the variables that the script finds."""
    variables = {f"SM_{name.upper()}": as_text(value) for name, value in named(job).items()}
    packages = [PACKAGES] if os.path.isdir(PACKAGES) else []
    python_path = [CODE, *packages, os.environ.get("PYTHONPATH", "")]
    region = given.get("sagemaker_region", os.environ.get("AWS_DEFAULT_REGION"))
    variables.update(
        CURRENT_HOST=job["current_host"],
        PYTHONPATH=":".join(filter(None, python_path)),
        SAGEMAKER_JOB_NAME=as_text(given.get("sagemaker_job_name")),
        SAGEMAKER_REGION=as_text(region),
    )
    export(variables, network(job))


def named(job: dict) -> dict:
    """Return what the SM_* variables say, by the rest of their names."""
    hidden = UNNAMED if job["topology"] else (*UNNAMED, "topology")  # only UltraServers have one
    hyperparameters, channels = job["hyperparameters"], job["channel_input_dirs"]
    return {
        **{name: value for name, value in job.items() if name not in hidden},
        "channels": sorted(channels),
        "framework_params": job["additional_framework_parameters"],
        "hps": hyperparameters,
        "training_env": job,
        "user_args": command_line(hyperparameters),
        **{f"channel_{name}": path for name, path in channels.items()},
        **{f"hp_{name}": value for name, value in hyperparameters.items()},
    }


def network(job: dict) -> dict[str, str]:
    """Return where frameworks meet, as AWS's PyTorch images say it."""
    ways = {}
    if len(job["hosts"]) > 1:
        ways = dict.fromkeys(
            ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME"), job["network_interface_name"]
        )
    return {"MASTER_ADDR": job["master_hostname"], "MASTER_PORT": PORT, **ways}


def export(variables: dict[str, str], defaults: dict[str, str]) -> None:
    """Put variables into the environment; what the job set itself goes before defaults."""
    for name, value in variables.items():
        try:
            os.environ[name] = value
        except ValueError as error:  # also what UTF-8 cannot express
            raise Refusal(f"{name} cannot be an environment variable: {error}") from error
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    # A line is in the log once printed, in the order of the prints, in the script's children too.
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    if BORROWED:  # the code is the person's own folder, as in an image; no __pycache__ there
        os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")


def as_text(value: object) -> str:
    """Return a value as a variable has it: text as it is, all else as compact JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def command_line(hyperparameters: dict) -> list[str]:
    """Return hyperparameters as arguments: `--name value`, or `-n value`, sorted by name."""
    words = []
    for name in sorted(hyperparameters):
        value = hyperparameters[name]
        if isinstance(value, dict):
            value = ",".join(f"{key}={one}" for key, one in sorted(value.items()))
        dashes = "--" if len(name) > 1 else "-" if name else ""
        words += [dashes + name, "" if value is None else str(value)]
    return words


# Several hosts


def refuse(job: dict) -> None:
    """Refuse what this file cannot do."""
    framework = job["additional_framework_parameters"]
    wanted = [name for name in ELSEWHERE if framework.get(name)]
    if "mpi_additional_options" in torchrun_of_sdk_v3():
        wanted.append("the SDK's MPI")
    if wanted:
        raise Refusal(
            f"{wanted[0]} needs what AWS's images have; use one as BASE_IMAGE, "
            f"or torchrun, by {TORCHRUN}"
        )
    program = job["user_entry_point"]
    path = os.path.realpath(os.path.join(CODE, program))
    if program.startswith("-") or not path.startswith(os.path.realpath(CODE) + "/"):
        raise Refusal(f"sagemaker_program is {program}; name a file of {CODE}, such as train.py")
    if not os.path.isfile(path) and kind_of(program) != "package":
        raise Refusal(f"{os.path.join(CODE, program)} is missing; {what_is_there()}")
    if program.endswith(".ipynb"):
        raise Refusal(
            f"{program} is a notebook, not a script; 'jupyter nbconvert --to script {program}' "
            "makes one"
        )


def what_is_there() -> str:
    """Return what to do about a script that is missing."""
    there = sorted(name for name in os.listdir(CODE) if name.endswith((".py", ".sh")))
    if not there:
        return "'make build' copies code/ into the image, CODE=mount mounts it"
    return (
        f"{CODE} has {', '.join(there[:5])}; "
        "the hyperparameter sagemaker_program or the variable SAGEMAKER_PROGRAM names it"
    )


def torchrun_of_sdk_v3() -> dict:
    """Return how the SDK v3's ModelTrainer wants the script started; it says so in a channel."""
    try:
        with open(os.path.join(DRIVERS, "distributed.json"), encoding="utf-8") as file:
            return json.load(file) or {}
    except (OSError, ValueError):
        return {}


def wait_for(hosts: list[str], seconds: float) -> None:
    """Wait until all hosts have an address, but not for ever.

    On a person's machine, a host whose script has ended has none any more.
    """
    if len(hosts) < 2 or os.environ.get("SM_STUDIO_LOCAL_MODE", "").lower() == "true":
        return
    import socket
    import time

    end = time.monotonic() + seconds
    for host in hosts:
        while time.monotonic() < end:
            try:
                socket.gethostbyname(host)
                break
            except OSError:
                time.sleep(0.2)


def torchrun(job: dict) -> list[str]:
    """Return the words that start the script once for each GPU of each host; none if not wanted."""
    framework, sdk = job["additional_framework_parameters"], torchrun_of_sdk_v3()
    here = job["current_instance_group"] in job["distribution_instance_groups"]
    if not (framework.get(TORCHRUN) and here) and "process_count_per_node" not in sdk:
        return []
    with_packages()
    import importlib.util

    if not importlib.util.find_spec("torch"):
        raise Refusal("torchrun is wanted, and the image has no torch; container/requirements.txt")
    hosts = job["distribution_hosts"] or job["hosts"]
    wanted = framework.get("sagemaker_mpi_num_of_processes_per_host")
    count = (
        wanted or sdk.get("process_count_per_node") or job["num_gpus"] or job["num_neurons"] or 1
    )
    words = ["-m", "torch.distributed.run", f"--nnodes={len(hosts)}", f"--nproc_per_node={count}"]
    if len(hosts) > 1:
        words.append(f"--master_addr={hosts[0]}")
        words.append(f"--master_port={os.environ['MASTER_PORT']}")
        words.append(f"--node_rank={hosts.index(job['current_host'])}")
    return words


# The script


def become(job: dict, arguments: list[str]) -> None:
    """Become the script."""
    program, kind = job["user_entry_point"], kind_of(job["user_entry_point"])
    launcher = torchrun(job)
    if launcher and kind != "script":
        raise Refusal(f"torchrun starts Python scripts, and sagemaker_program is {program}")
    os.chdir(CODE)
    if kind == "command":
        words = [f"./{program}", *arguments]
    else:
        name = ["-m", job["module_name"]] if kind == "package" else [program]
        runner = os.path.join(HERE, "run_script.py")
        words = [sys.executable, "-u", *launcher, runner, *name, *arguments]
    if isinstance(job["log_level"], int) and job["log_level"] <= 10:
        say("runs " + json.dumps(words))
    execute(words)


def execute(words: list[str]) -> None:
    """Become a program; a text that names no interpreter is for the shell."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, a shell script must not
        signal.signal(number, signal.SIG_DFL)
    try:
        if words[0].startswith("./"):
            make_executable(words[0])
        os.execv(words[0], words)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise Refusal(f"{words[0]} cannot be run: {error}") from error
        os.execv("/bin/sh", ["sh", *words])
    except ValueError as error:
        raise Refusal(f"a hyperparameter cannot be an argument: {error}") from error


def make_executable(path: str) -> None:
    """Set the bit that archives and some file systems lose; in a read-only folder, leave it."""
    try:
        if not os.access(path, os.X_OK):
            os.chmod(path, 0o755)
    except OSError:
        return


def main() -> None:
    """Become the script, or say in one line why not: in the log and as the FailureReason."""
    try:
        prepare(sys.argv[1:])
    except (Refusal, OSError) as reason:
        say(str(reason))
        try:
            with open(FAILURE, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{reason}\n")
        except OSError:
            pass
        sys.exit(1)


if __name__ == "__main__":
    main()
