"""DEBUG_PORT and WAIT: a job whose script runs under debugpy, the image unchanged.

Only `make debug` asks for it. sm_local/debug/sitecustomize.py says which processes are debugged.
"""

from __future__ import annotations

from dataclasses import replace

from ..errors import SmLocalError
from ..machine import EngineFacts
from ..plan import IMAGES_PATH, Code, Container, Debugger, Plan
from . import arguments

KIT = "/opt/sm-local"
START = f"{KIT}/debug"  # first on PYTHONPATH
# where a script may lie: code/, also where it is only in the image, and the SDK v3's channel of it
CODE = ("/opt/ml/code", "/opt/ml/input/data/code")
LAST_PORT = 65535


def debugged(plan: Plan, settings: dict[str, str], facts: EngineFacts, taken: int = 0) -> Plan:
    """Return the plan of the same job under a debugger. Raises SmLocalError where none reaches it.

    A port of a host's own is published on this machine's loopback alone; without a network of its
    own, a job binds that. The first so many ports are left to other jobs.
    """
    refuse(plan, facts)
    first = int(settings["DEBUG_PORT"]) + taken
    ports = range(first, first + len(plan.containers))
    if ports[-1] > LAST_PORT:
        raise SmLocalError(f"DEBUG_PORT={first}: there is no port {ports[-1]}; choose a lower one")
    published = facts.has_images and not shares_network(plan.engine_arguments)
    where = {
        "LOCAL_DEBUG_BIND": "0.0.0.0" if published else "127.0.0.1",
        # in the sandbox /tmp is this machine's, and /opt the job's own
        "LOCAL_DEBUG_STATE": f"{'/tmp' if facts.has_images else '/opt'}/.sm-debug",
        "LOCAL_DEBUG_WAIT": settings["WAIT"],
    }
    image_s = IMAGES_PATH if facts.has_images else ""
    containers = [host(one, port, where, image_s) for one, port in zip(plan.containers, ports)]
    if not published:
        containers = [replace(one, port=0) for one in containers]
    # no container is made ahead: it would wait with the port
    return replace(plan, containers=tuple(containers), debug_ports=tuple(ports), parking=None)


def refuse(plan: Plan, facts: EngineFacts) -> None:
    """Raise SmLocalError for a job that no debugger reaches."""
    if plan.at_terminal:
        raise SmLocalError("PDB=1 is for 'make train'; leave it out for 'make debug'")
    if plan.isolated:
        raise SmLocalError(
            f"{plan.file}: no debugger reaches a job with EnableNetworkIsolation; "
            "leave it out for 'make debug'"
        )
    if plan.several and not facts.has_images:
        raise SmLocalError(
            "no debugger reaches several hosts in the sandbox, whose network has no way in; "
            "use ENGINE=docker or ENGINE=podman, or InstanceCount: 1"
        )
    for word, name, value in arguments.options(list(plan.engine_arguments)):
        if name in ("env", "e") and value.partition("=")[0] == "PYTHONPATH":
            raise SmLocalError(
                f"DOCKER_ARGS: {word} takes the place of what starts the debugger; "
                f"{plan.file} can set PYTHONPATH in its Environment"
            )


def shares_network(words: tuple[str, ...]) -> bool:
    """Return whether DOCKER_ARGS give the job this machine's network: nothing is published then."""
    chosen = [
        value for _, name, value in arguments.options(list(words)) if name in ("net", "network")
    ]
    return chosen[-1:] == ["host"]


def host(one: Container, port: int, where: dict[str, str], image_s: str) -> Container:
    """Return a host whose scripts listen on a port. The image's PYTHONPATH, or the job's, stays."""
    own = one.environment.get("PYTHONPATH")
    path = START + (image_s if own is None else f":{own}" if own else "")
    variables = {"LOCAL_DEBUG_PORT": str(port), "LOCAL_DEBUG_CODE": ":".join(code_of(one)), **where}
    return replace(
        one,
        port=port,
        variables={**one.variables, **variables},
        environment={**one.environment, "PYTHONPATH": path},
        layout=(*one.layout, Debugger()),
    )


def code_of(one: Container) -> list[str]:
    """Return the folders whose scripts are the job's: code/, and of those that the request runs."""
    mounted = [piece.target for piece in one.layout if isinstance(piece, Code)]
    words = [word for word in (*one.entrypoint, *one.arguments) if word.startswith("/")]
    named = [word.rpartition("/")[0] for word in words if word.endswith(".py")]
    return list(dict.fromkeys(filter(None, [*mounted, *CODE, *named])))
