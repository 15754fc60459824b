"""Find the request in what other tools write around it.

A recogniser looks at a file's root node and says what it is, and where in it requests are. The
table at the end has all of them. What such a file leaves open gets a tag of remedies.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Optional

from ..errors import SmLocalError
from .nodes import entries, items, line_number, title, word
from .remedies import PIPELINE, STATES
from .shapes import SHAPES, Kind, type_of

DEEPEST = 8  # wrappings in each other: a file may hold itself
# The ACK controller, and the operator before it, which has a region of its own.
KUBERNETES = ("sagemaker.services.k8s.aws/", "sagemaker.aws.amazon.com/")
KUBERNETES_ONLY = ("region", "sageMakerEndpoint")
OPEN_IN_PIPELINES = ("Get", "Std:Join", "Std:JsonGet")
# Answers without a request in them: a key that gives them away, and what to do.
DESCRIBE = "'aws sagemaker describe-training-job --training-job-name NAME' prints a request"
DEAD_ENDS = {
    "TrainingJobSummaries": ("a list of jobs without their requests", DESCRIBE),
    "HyperParameterTuningJobConfig": (
        "a tuning job",
        "write the CreateTrainingJob request of one of its jobs",
    ),
    "PipelineDefinition": (
        "a pipeline whose definition is JSON in a string",
        "save it alone: 'aws … --query PipelineDefinition --output text'",
    ),
    "definition": (
        "a state machine whose definition is JSON in a string",
        "save it alone: 'aws … --query definition --output text'",
    ),
}


class Wrapping(NamedTuple):
    """What a file is, and the requests in it."""

    what: str
    requests: list[tuple[str, Any]]  # where each is, and its node
    remedy: str = "write a request of the API"  # where there is none


Recogniser = Callable[[Any, Kind], Optional[Wrapping]]
Change = Callable[[Any, Any], "tuple[Any, Any]"]  # of a mapping's key and value


def unwrap(name: Path, node: Any, job: Kind) -> tuple[Any, list[str]]:
    """Return the request's node, and a line for each wrapping that was taken off.

    Raises SmLocalError where there is no request, or more than one.
    """
    notes: list[str] = []
    for _ in range(DEEPEST):
        found = (look(node, job) for look in RECOGNISERS)
        wrapping = next((one for one in found if one), None)
        if not wrapping:
            break
        where = f"{name}:{line_number(node)}: this is {wrapping.what}"
        path, node = choose(where, wrapping)
        notes.append(f"{where}; {path} is read as the request")
    return node, notes


def choose(where: str, wrapping: Wrapping) -> tuple[str, Any]:
    """Return the only request. Raises SmLocalError, with all of them where there are more."""
    found = wrapping.requests
    if not found:
        raise SmLocalError(f"{where}; {wrapping.remedy}")
    if len(found) > 1:
        lines = " or ".join(f"{path} (line {line_number(node)})" for path, node in found)
        raise SmLocalError(f"{where}; it has {len(found)} requests, keep one: {lines}")
    return found[0]


# Kubernetes


def kubernetes(node: Any, job: Kind) -> Wrapping | None:
    """Recognise an object of ACK's controller for SageMaker, or a `spec` alone."""
    top = entries(node)
    is_ours = word(top.get("apiVersion")).startswith(KUBERNETES)
    if not is_ours and top.keys() != {"spec"}:
        return None
    kind = word(top.get("kind")) or job.noun
    if kind != job.noun:
        return Wrapping(f"a Kubernetes {kind}", [], f"only a {job.noun} is read here")
    left_out = [key for key in KUBERNETES_ONLY if key in entries(top.get("spec"))]
    spec = respelt(_without(top.get("spec"), left_out), job.request)
    path = "spec" + (f", without {' and '.join(left_out)}," if left_out else "")
    return Wrapping(f"a Kubernetes {kind}", [(path, spec)] if "spec" in top else [])


def kubernetes_list(node: Any, job: Kind) -> Wrapping | None:
    """Recognise what `kubectl get` prints of several objects."""
    top = entries(node)
    if word(top.get("apiVersion")) != "v1" or word(top.get("kind")) != "List":
        return None
    objects = enumerate(items(top.get("items")))
    found = [
        (f"items[{n}]", one) for n, one in objects if word(entries(one).get("kind")) == job.noun
    ]
    named = [(f"{path}, {title(one)}", one) for path, one in found] if len(found) > 1 else found
    return Wrapping("a Kubernetes List", named, f"it has no {job.noun}")


def camel_case(node: Any, job: Kind) -> Wrapping | None:
    """Recognise the API's keys as Kubernetes and the SDKs of other languages spell them."""
    keys, members = entries(node).keys(), SHAPES[job.request]["members"].keys()
    camel = {f"{key[0].lower()}{key[1:]}" for key in members if key[1:].lower() != key[1:]}
    if keys & members or not keys & camel:
        return None
    spelt = "a request with keys in camelCase"
    return Wrapping(spelt, [("the API's spelling of it", respelt(node, job.request))])


def _without(node: Any, keys: list[str]) -> Any:
    """Return a mapping without some of its keys."""
    if not keys:
        return node
    return _like(node, [(key, item) for key, item in node.value if key.value not in keys])


def _like(node: Any, value: Any, tag: str = "") -> Any:
    """Return a node of the same place with another value."""
    return type(node)(tag or node.tag, value, node.start_mark, node.end_mark)


def respelt(node: Any, name: str, above: tuple[Any, ...] = ()) -> Any:
    """Return a node whose keys are a shape's, whatever their case, and whose maps are maps."""
    if any(node is one for one in above):
        return node
    shape, above = SHAPES[name], (*above, node)
    if "members" in shape and entries(node):
        known = {member.lower(): member for member in shape["members"]}
        return _like(node, [_respelt(pair, known, shape, above) for pair in node.value])
    if type_of(name) == "list":
        members = [respelt(one, shape["member"], above) for one in items(node)]
        return _like(node, members or node.value)
    return _as_map(node) if type_of(name) == "map" else node


def _respelt(pair: tuple[Any, Any], known: dict, shape: dict, above: tuple) -> tuple[Any, Any]:
    """Return a key as a shape spells it, and its value likewise; an unknown key as it is."""
    key, item = pair
    member = known.get(word(key).lower())
    if not member:
        return pair
    return _like(key, member), respelt(item, shape["members"][member], above)


def _as_map(node: Any) -> Any:
    """Return a list of names and values as a map."""
    found = [entries(one) for one in items(node)]
    if not found or any({key.lower() for key in one} != {"name", "value"} for one in found):
        return node
    lower = [{key.lower(): item for key, item in one.items()} for one in found]
    return _like(items(node)[0], [(one["name"], one["value"]) for one in lower])


# Step Functions


def state(node: Any, job: Kind) -> Wrapping | None:
    """Recognise a state that creates the job, or its Parameters or Arguments alone."""
    top = entries(node)
    key = next((key for key in ("Parameters", "Arguments") if key in top), "")
    if not key or not (_creates(node, job) or top.keys() == {key}):
        return None
    return Wrapping("a state of Step Functions", [(key, _changed(top[key], _filled_by_states))])


def state_machine(node: Any, job: Kind) -> Wrapping | None:
    """Recognise a state machine's definition."""
    if "States" not in entries(node):
        return None
    found = [(f"state {key}", one) for key, one in _below(node) if _creates(one, job)]
    remedy = f"no state of it has the resource create{job.noun}"
    return Wrapping("a state machine of Step Functions", found, remedy)


def _creates(node: Any, job: Kind) -> bool:
    """Return whether a node is a state that creates such a job, waiting for it or not."""
    resource = word(entries(node).get("Resource")).partition(".")[0].lower()
    return resource.endswith(f"sagemaker:create{job.noun}".lower())


def _filled_by_states(key: Any, item: Any) -> tuple[Any, Any]:
    """Mark what a run of the state machine fills in: `Key.$`, or JSONata in `{% %}`."""
    if word(key).endswith(".$"):
        return _like(key, key.value[:-2]), _like(item, word(item), STATES)
    if word(item).startswith("{%"):
        return key, _like(item, item.value, STATES)
    return key, item


# Pipelines of SageMaker


def pipeline_step(node: Any, job: Kind) -> Wrapping | None:
    """Recognise one step of a pipeline."""
    if not _is_step(node, job):
        return None
    arguments = _changed(entries(node)["Arguments"], _filled_by({}))
    return Wrapping("a step of a pipeline", [("Arguments", arguments)])


def pipeline(node: Any, job: Kind) -> Wrapping | None:
    """Recognise a pipeline's definition; its parameters have their default values."""
    top = entries(node)
    if "Steps" not in top:
        return None
    every = [entries(one) for one in items(top.get("Parameters"))]
    defaults = {word(one.get("Name")): one.get("DefaultValue") for one in every}
    steps = [one for _, one in _below(node) if _is_step(one, job)]
    found = [(f"step {word(entries(one).get('Name'))}", one) for one in steps]
    filled = [(path, _changed(one, _filled_by(defaults))) for path, one in found]
    return Wrapping("a pipeline", filled, f"no step of it has a {job.noun}'s Arguments")


def _is_step(node: Any, job: Kind) -> bool:
    """Return whether a node is a step of a pipeline that runs such a job."""
    top = entries(node)
    return "Arguments" in top and word(top.get("Type")) == job.noun.removesuffix("Job")


def _filled_by(defaults: dict[str, Any]) -> Change:
    """Return what puts parameters' default values in, and marks what a run fills in."""

    def change(key: Any, item: Any) -> tuple[Any, Any]:
        inside = entries(item)
        function = next((one for one in OPEN_IN_PIPELINES if inside.keys() == {one}), "")
        if not function:
            return key, item
        source = word(inside[function])
        default = defaults.get(source.partition(".")[2])
        if function == "Get" and source.startswith("Parameters.") and default is not None:
            return key, default
        scalar = next(iter(item.value))[0]  # the function's name: a node of the right class
        return key, _like(scalar, source or function, PIPELINE)

    return change


# Answers of the API


def search(node: Any, job: Kind) -> Wrapping | None:
    """Recognise an answer of Search."""
    top = entries(node)
    if "Results" not in top:
        return None
    results = [entries(one).get(job.noun) for one in items(top["Results"])]
    found = [(_titled(f"Results[{n}]", one), one) for n, one in enumerate(results) if one]
    return Wrapping("an answer of Search", found, f"it has no {job.noun}")


def described(node: Any, job: Kind) -> Wrapping | None:
    """Recognise a list of what Describe or Search print, as `--query` makes it."""
    jobs = items(node)
    if not jobs or not all(f"{job.noun}Arn" in entries(one) for one in jobs):
        return None
    found = [(_titled(f"[{n}]", one), one) for n, one in enumerate(jobs)]
    return Wrapping("a list of jobs", found)


def _titled(path: str, node: Any) -> str:
    """Return a path with the name of the job there."""
    return f"{path}, {title(node)}" if title(node) else path


def dead_end(node: Any, job: Kind) -> Wrapping | None:
    """Recognise what has no request in it."""
    top = entries(node)
    if top and top.keys() <= {f"{job.noun}Arn", "ResponseMetadata"}:
        return Wrapping(f"the answer of Create{job.noun}", [], DESCRIBE)
    key = next((key for key in DEAD_ENDS if key in top), "")
    what, remedy = DEAD_ENDS.get(key, ("", ""))
    return Wrapping(what, [], remedy) if what else None


def skeleton(node: Any, job: Kind) -> Wrapping | None:
    """Recognise what --generate-cli-skeleton prints, before anybody has filled it in."""
    top = entries(node)
    empty = [key for key in (f"{job.noun}Name", "RoleArn") if key in top and not word(top[key])]
    if len(empty) < 2 or any(top[key].id != "scalar" for key in empty):
        return None
    remedy = "fill in the keys that you need, remove the others: all may be left out here"
    return Wrapping("the AWS CLI's skeleton", [], remedy)


# Trees


def _changed(node: Any, change: Change, done: dict[int, Any] | None = None) -> Any:
    """Return a copy of a tree in which `change` has replaced what mappings hold, from above."""
    done = {} if done is None else done
    if id(node) in done or node.id == "scalar":
        return done.get(id(node), node)
    copy = done[id(node)] = _like(node, [])
    for one in node.value:
        if node.id == "mapping":
            key, item = change(*one)
            copy.value.append((key, _changed(item, change, done)))
        else:
            copy.value.append(_changed(change(one, one)[1], change, done))
    return copy


def _below(node: Any, key: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, Any]]:
    """Yield every mapping below a node, once, with the key that leads to it."""
    seen = set() if seen is None else seen
    if id(node) in seen:
        return
    seen.add(id(node))
    if node.id == "mapping":
        yield key, node
        for inner, item in entries(node).items():
            yield from _below(item, inner, seen)
    for item in items(node):
        yield from _below(item, key, seen)


RECOGNISERS: tuple[Recogniser, ...] = (
    kubernetes,
    kubernetes_list,
    state,
    state_machine,
    pipeline_step,
    pipeline,
    search,
    described,
    dead_end,
    skeleton,
    camel_case,
)
