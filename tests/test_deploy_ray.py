"""The files of `deploy/ray`: valid, of the versions that are tested, and with commands that there are."""

import json
import os
import re
import shlex
import subprocess
import tomllib
from importlib.util import find_spec
from pathlib import Path

import jsonschema
import pytest
import typer
import yaml

from streaming.cli.app import app
from streaming.settings.tables import load_settings
from tests.paths import ROOT
from tests.patience import patient

FOLDER = ROOT / "deploy" / "ray"
RAY = re.search(r"^ray==(.*)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)[1]

# What our manifests use of KubeRay's custom resources and of Kubernetes' pods, each field with its type, and no other.
# KubeRay has its schemas in its own repository and in no package, so these are by hand from the reference of v1.6.2,
# https://docs.ray.io/en/master/cluster/kubernetes/references/api.html, and from Kubernetes' (core/v1).
TEXT, NUMBER, YES = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
TEXTS = {"type": "object", "additionalProperties": TEXT}
WORDS = {"type": "array", "items": TEXT}
QUANTITIES = {"type": "object", "additionalProperties": {"type": "string", "pattern": r"^[0-9]+([KMGT]i)?$"}}


def fields(required=(), **properties):
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def several(item):
    return {"type": "array", "items": item, "minItems": 1}


PROBE = {
    "oneOf": [{"required": ["exec"]}, {"required": ["httpGet"]}],
    **fields(
        exec=fields(["command"], command=WORDS),
        httpGet=fields(["port"], path=TEXT, port={"type": ["integer", "string"]}),
        timeoutSeconds=NUMBER,
        periodSeconds=NUMBER,
        failureThreshold=NUMBER,
        initialDelaySeconds=NUMBER,
    ),
}
CONTAINER = fields(
    ["name", "image"],
    name=TEXT,
    image=TEXT,
    command=WORDS,
    args=WORDS,
    env=several(fields(["name", "value"], name=TEXT, value=TEXT)),
    envFrom=several(fields(secretRef=fields(["name"], name=TEXT))),
    ports=several(fields(["containerPort"], name=TEXT, containerPort=NUMBER)),
    resources=fields(requests=QUANTITIES, limits=QUANTITIES),
    volumeMounts=several(fields(["name", "mountPath"], name=TEXT, mountPath=TEXT)),
    readinessProbe=PROBE,
    livenessProbe=PROBE,
)
POD = fields(
    ["spec"],
    spec=fields(
        ["containers"],
        containers=several(CONTAINER),
        initContainers=several(CONTAINER),
        securityContext=fields(runAsUser=NUMBER, runAsGroup=NUMBER, fsGroup=NUMBER),
        terminationGracePeriodSeconds=NUMBER,
        volumes=several(
            fields(
                ["name"],
                name=TEXT,
                persistentVolumeClaim=fields(["claimName"], claimName=TEXT),
                configMap=fields(["name"], name=TEXT),
                emptyDir=fields(),
            )
        ),
    ),
)
CLUSTER = fields(
    ["headGroupSpec"],
    rayVersion=TEXT,
    authOptions=fields(mode={"enum": ["disabled", "token"]}),
    enableInTreeAutoscaling=YES,
    autoscalerOptions=fields(idleTimeoutSeconds=NUMBER),
    headGroupSpec=fields(["template"], rayStartParams=TEXTS, template=POD),
    workerGroupSpecs=several(
        fields(
            ["groupName", "minReplicas", "maxReplicas", "template"],
            groupName=TEXT,
            replicas=NUMBER,
            minReplicas=NUMBER,
            maxReplicas=NUMBER,
            rayStartParams=TEXTS,
            template=POD,
        )
    ),
)
JOB = fields(
    entrypoint=TEXT,
    backoffLimit=NUMBER,
    shutdownAfterJobFinishes=YES,
    ttlSecondsAfterFinished=NUMBER,
    rayClusterSpec=CLUSTER,
)
CLAIM = fields(accessModes=WORDS, resources=fields(requests=QUANTITIES))
SERVICE = fields(selector=TEXTS, ports=several(fields(["port"], name=TEXT, port=NUMBER)))
KINDS = {
    ("ray.io/v1", "RayJob"): JOB,
    ("ray.io/v1", "RayCluster"): CLUSTER,
    ("v1", "PersistentVolumeClaim"): CLAIM,
    ("v1", "Service"): SERVICE,
}


def manifests(name):
    return list(yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")))


def resources():
    return [(file.name, one) for file in sorted(FOLDER.glob("*.yaml")) for one in manifests(file.name) if "kind" in one]


def clusters():
    for name, one in resources():
        if one["kind"] in {"RayJob", "RayCluster"}:
            yield name, one["spec"].get("rayClusterSpec", one["spec"])


def pods():
    for name, cluster in clusters():
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
            yield name, group, group["template"]["spec"]


def test_ray_accepts_the_cluster():
    schema = Path(find_spec("ray").origin).parent / "autoscaler" / "ray-schema.json"
    [cluster] = manifests("cluster.yaml")
    jsonschema.validate(cluster, json.loads(schema.read_text(encoding="utf-8")))
    assert cluster["head_node_type"] in cluster["available_node_types"]
    workers = [one for name, one in cluster["available_node_types"].items() if name != cluster["head_node_type"]]
    assert [one["min_workers"] for one in workers] == [0]
    assert sum(one["max_workers"] for one in workers) == cluster["max_workers"]
    assert f"ray[default]=={RAY}" in (FOLDER / "cluster.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "resource"), resources(), ids=lambda one: one if isinstance(one, str) else one["kind"]
)
def test_kuberay_knows_every_field(name, resource):
    described = fields(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion=TEXT,
        kind=TEXT,
        metadata=fields(["name"], name=TEXT, annotations=TEXTS),
        spec=KINDS[resource["apiVersion"], resource["kind"]],
    )
    jsonschema.validate(resource, described)


def test_the_check_of_fields_finds_what_it_is_for():
    [job] = manifests("folder.yaml")
    job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["maxReplica"] = 1
    with pytest.raises(jsonschema.ValidationError, match="maxReplica"):
        test_kuberay_knows_every_field("folder.yaml", job)


def test_clusters_ask_for_a_token_and_run_the_version_that_is_tested():
    assert [name for name, _ in clusters()] == ["cameras.yaml", "folder.yaml"]
    for name, cluster in clusters():
        assert cluster["authOptions"] == {"mode": "token"}, name
        assert cluster["rayVersion"] == RAY, name


def test_only_groups_of_workers_have_gpus_and_the_head_has_no_place_for_any():
    for name, group, pod in pods():
        asked = [one["resources"]["limits"].get("nvidia.com/gpu") for one in pod["containers"]]
        assert asked == (["1"] if "groupName" in group else [None]), name
        assert ("num-cpus" in group["rayStartParams"]) is ("groupName" not in group), name
        volumes = {one["name"] for one in pod["volumes"]}
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes, name


def command_lines():
    """All command lines of `maskcast`, in manifests and in what their comments tell the user to type."""
    for file in sorted(FOLDER.glob("*.yaml")):
        text = file.read_text(encoding="utf-8")
        joined = re.sub(r" \\\n# *", " ", text)
        for found in re.findall(r"(?<!`)\bmaskcast ((?:track|run|fetch)\b[^'\n]*)", joined.replace("\n    --", " --")):
            yield file.name, shlex.split(found.split(";")[0])


def test_the_commands_are_such_that_there_are():
    command = typer.main.get_command(app)
    seen = set()
    for name, (verb, *arguments) in command_lines():
        context = command.commands[verb].make_context(verb, arguments)
        seen.add((name, verb, context.params.get("workers"), context.params.get("ray")))
    assert {(name, verb) for name, verb, _, _ in seen} >= {
        ("cluster.yaml", "track"), ("cluster.yaml", "fetch"), ("folder.yaml", "track"), ("cameras.yaml", "run"),
    }  # fmt: skip
    assert {(workers, ray) for _, verb, workers, ray in seen if verb == "track"} == {("8", "auto")}


def test_the_settings_that_are_asked_for_are_such_that_there_are(tmp_path):
    text = (FOLDER / "cameras.yaml").read_text(encoding="utf-8").partition("apiVersion")[0]
    lines = text.partition("besides the streams:")[2].splitlines()
    settings = "\n".join(line.removeprefix("#").strip() for line in lines)
    assert tomllib.loads(settings)["cluster"] == {"address": "auto", "workers": 2}
    file = tmp_path / "cameras.toml"
    file.write_text(f'{settings}\n[streams.door]\nsource = "rtsp://camera/1"\nprompts = ["person"]\n', encoding="utf-8")
    loaded = load_settings(file)
    assert (loaded.cluster.address, loaded.cluster.workers) == ("auto", 2)
    [workers] = dict(clusters())["cameras.yaml"]["workerGroupSpecs"]
    assert workers["replicas"] == loaded.cluster.workers


def test_the_head_runs_maskcast_once_ray_answers(tmp_path):
    """Its program, with a `ray` and a `maskcast` that note how they were called."""
    [head] = dict(clusters())["cameras.yaml"]["headGroupSpec"]["template"]["spec"]["containers"]
    calls = tmp_path / "calls"
    (tmp_path / "ray").write_text(
        f'#!/bin/sh\necho "ray $@" >>{calls}\n[ "$1" = start ] && exec sleep 600\n'
        f'[ "$(grep -c health {calls})" -ge 2 ]\n'
    )
    (tmp_path / "maskcast").write_text(
        f'#!/bin/sh\necho "maskcast $@" >>{calls}\nkill $(jobs -p) 2>/dev/null; exit 7\n'
    )
    for name in ("ray", "maskcast"):
        (tmp_path / name).chmod(0o755)
    begun = subprocess.Popen(
        [*head["command"], f"ulimit() {{ :; }}\n{head['args'][0]}"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "KUBERAY_GEN_RAY_START_CMD": 'ray start --head --labels="a b"'},
        start_new_session=True,
    )
    try:
        assert begun.wait(timeout=patient(60)) == 7
    finally:
        os.killpg(begun.pid, 9)
    started, *asked, ran = sorted(calls.read_text().splitlines(), key=lambda line: ("run" in line, "health" in line))
    assert started == "ray start --head --labels=a b"
    assert asked == ["ray health-check --address 127.0.0.1:6379"] * 2
    assert ran == "maskcast run /etc/maskcast/cameras.toml"
