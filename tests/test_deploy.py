"""The systemd unit, the container file and what their documentation says, as far as each can be tried."""

import itertools
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from collections import defaultdict
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from docs.generate.metrics import metrics_table
from streaming.page.health import Health
from streaming.settings.tables import StateSettings
from streaming.settings.web import HttpSettings
from tests.paths import ROOT
from tests.patience import eventually, patient
from tests.streaming.page.serving import monitoring, serving

DEPLOY = ROOT / "deploy"
ENTRYPOINT = DEPLOY / "entrypoint.sh"
FETCH = "maskcast-fetch.service"
README = (DEPLOY / "README.md").read_text(encoding="utf-8")
# Known to systemd from 254 on; older ones ignore them with a warning.
NEW_KEYS = ("RestartSteps", "RestartMaxDelaySec")


def unit(name="maskcast.service"):
    """Values by section and key; a key may be given several times."""
    values, section = defaultdict(list), ""
    for line in (DEPLOY / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            values[section, key].append(value)
    return values


def instructions():
    """The container file as pairs of instruction and arguments."""
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def snippets(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_accepts_the_units(tmp_path):
    copies = [tmp_path / name for name in ("maskcast.service", FETCH)]
    for copy in copies:
        text = (DEPLOY / copy.name).read_text(encoding="utf-8")
        copy.write_text(text.replace("/opt/maskcast/bin/maskcast ", f"{shutil.which('true')} "), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", *copies], check=False, capture_output=True, text=True, timeout=patient(60)
    )
    complaints = [line for line in done.stderr.splitlines() if "maskcast" in line]
    assert [line for line in complaints if not any(key in line for key in NEW_KEYS)] == []


def test_the_model_is_fetched_before_the_start_and_without_a_limit():
    fetch, run = unit(FETCH), unit()
    for order in ("Wants", "After"):
        assert FETCH in run["Unit", order][0].split()
    assert fetch["Service", "Type"] == ["oneshot"]
    assert fetch["Service", "TimeoutStartSec"] == ["infinity"]
    # Or it would not be started again before the next start.
    assert not fetch["Service", "RemainAfterExit"]
    (command,), (start,) = fetch["Service", "ExecStart"], run["Service", "ExecStart"]
    assert command == start.replace(" run ", " fetch ")


@pytest.mark.parametrize(
    "key", ["User", "Group", "UMask", "StateDirectory", "CacheDirectory", "Environment", "EnvironmentFile"]
)
def test_both_units_see_the_same_cache_token_and_proxy(key):
    assert set(unit(FETCH)["Service", key]) <= set(unit()["Service", key])
    assert unit(FETCH)["Service", key]


def entered(folder, *arguments, fetch="exit 0"):
    """What the container's entry point starts, with a `maskcast` that says how it was called."""
    (folder / "maskcast").write_text(
        f'#!/bin/sh\necho "$@" >>{folder}/calls\nls {folder}\n[ "$1" != fetch ] || {fetch}\n'
    )
    (folder / "maskcast").chmod(0o755)
    script = ENTRYPOINT.read_text(encoding="utf-8").replace("/var/lib/maskcast/", f"{folder}/")
    process = subprocess.Popen(
        ["sh", "-c", script, "entrypoint", *arguments],
        env={"PATH": f"{folder}:/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        text=True,
    )
    return process, lambda: (folder / "calls").read_text().splitlines() if (folder / "calls").exists() else []


def test_the_container_fetches_before_it_runs(tmp_path):
    process, calls = entered(tmp_path, "run", "/etc/maskcast/cameras.toml")
    said, _ = process.communicate(timeout=patient(60))
    assert process.returncode == 0
    assert calls() == ["fetch /etc/maskcast/cameras.toml", "run /etc/maskcast/cameras.toml"]
    # Marked for the health check, which has nothing to ask yet, and only then.
    assert said.split().count("fetching") == 1
    assert "/var/lib/maskcast/fetching" in dict(instructions())["HEALTHCHECK"]


def test_a_container_that_cannot_fetch_does_not_run(tmp_path):
    process, calls = entered(tmp_path, "run", "file", fetch="exit 5")
    process.communicate(timeout=patient(60))
    assert (process.returncode, calls()) == (5, ["fetch file"])
    assert not (tmp_path / "fetching").exists()


def test_a_container_passes_other_commands_on(tmp_path):
    process, calls = entered(tmp_path, "check", "file")
    process.communicate(timeout=patient(60))
    assert (process.returncode, calls()) == (0, ["check file"])


def test_a_container_that_is_stopped_while_it_fetches_ends_at_once(tmp_path):
    process, calls = entered(tmp_path, "run", "file", fetch="exec sleep 600")
    eventually(calls)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=patient(60))
    assert (process.returncode != 0, calls()) == (True, ["fetch file"])
    assert not (tmp_path / "fetching").exists()


def test_the_unit_says_what_months_unattended_need():
    values = {key: given[-1] for (section, key), given in unit().items() if section == "Service"}
    assert values["ExecStart"] == "/opt/maskcast/bin/maskcast run /etc/maskcast/cameras.toml"
    assert values["Type"] == "notify"
    assert values["ExecReload"].endswith("kill -HUP $MAINPID")
    assert (values["Restart"], unit()["Unit", "StartLimitIntervalSec"]) == ("always", ["0"])
    assert int(values["WatchdogSec"]) >= 10
    assert int(values["TimeoutStopSec"]) >= 10
    assert values["StateDirectory"] == "maskcast"
    assert values["EnvironmentFile"].startswith("-/etc/maskcast/")
    assert int(values["LimitNOFILE"]) >= 10_000
    assert values["User"] not in {"", "root"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MemoryMax", "80%"),
        ("TasksMax", "4096"),
        ("NoNewPrivileges", "yes"),
        ("PrivateTmp", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("CapabilityBoundingSet", ""),
        ("DevicePolicy", "closed"),
        ("LimitCORE", "0"),
    ],
)
def test_the_unit_is_hardened(key, value):
    assert unit()["Service", key] == [value]


def test_the_unit_reaches_gpus_and_cameras():
    allowed = unit()["Service", "DeviceAllow"]
    assert "char-nvidia* rw" in allowed
    assert "char-video4linux rw" in allowed
    assert not unit()["Service", "PrivateDevices"]


def test_the_container_runs_what_the_unit_runs_but_not_as_root():
    given = defaultdict(list)
    for name, arguments in instructions():
        given[name].append(arguments)
    (start,) = unit()["Service", "ExecStart"]
    (entry,) = json.loads(given["ENTRYPOINT"][0])
    assert ["maskcast", *json.loads(given["CMD"][0])] == ["maskcast", *start.split()[1:]]
    assert ("COPY", f"--chmod=755 deploy/entrypoint.sh {Path(entry).parent}/") in instructions()
    assert Path(entry).name == ENTRYPOINT.name
    assert int(given["USER"][-1].split(":")[0]) > 0
    assert given["VOLUME"] == ["/var/lib/maskcast"]
    # By digest, which the build has to be given: without one there is no such reference.
    assert re.fullmatch(r"docker\.io/library/python:3\.\d+-slim@\$\{PYTHON_DIGEST\}", given["FROM"][0])
    assert "PYTHON_DIGEST" in given["ARG"]
    order = [name for name, _ in instructions()]
    assert order.index("USER") > max(index for index, name in enumerate(order) if name == "RUN")


def test_the_container_installs_torch_for_the_cpu_unless_told_otherwise():
    assert ("ARG", "TORCH_INDEX=https://download.pytorch.org/whl/cpu") in instructions()
    assert ("ARG", "TORCH=cpu") in instructions()
    (torch,) = [arguments for name, arguments in instructions() if name == "RUN" and "torch.txt" in arguments]
    assert '--index-url "$TORCH_INDEX"' in torch


def test_the_container_installs_nothing_without_a_hash(tmp_path):
    runs = [arguments for name, arguments in instructions() if name == "RUN"]
    installs = [step for run in runs for step in re.findall(r"pip install [^&;|]+", run)]
    assert len(installs) == 4
    assert all("--require-hashes" in step or "--no-index /src" in step for step in installs)
    assert all("--no-deps" in step for step in installs)
    (script,) = [run for run in runs if "torch.txt" in run]
    # As the container's shell runs it, with a pip that tells what it was given.
    (tmp_path / "pip").write_text('#!/bin/sh\necho "pip $@"; for last; do :; done; cat "$last"\n')
    (tmp_path / "pip").chmod(0o755)
    (tmp_path / "constraints.txt").write_text("torch==2.13.0\ntqdm==1\n")
    for name in ("requirements.txt", "requirements-cuda.txt", "requirements-ray.txt"):
        (tmp_path / name).write_text(f"{name}\n")

    def run(**arguments):
        return subprocess.run(
            ["sh", "-c", script.replace("/src/", f"{tmp_path}/")],
            env={"PATH": f"{tmp_path}:/usr/bin:/bin", "TORCH_INDEX": "index", **arguments},
            check=False,
            capture_output=True,
            text=True,
        )

    given = run(TORCH="cpu", TORCH_SHA256="abc")
    assert given.returncode == 0, given.stderr
    assert [line for line in given.stdout.splitlines() if not line.startswith("pip")] == [
        "torch==2.13.0 --hash=sha256:abc",
        "requirements.txt",
    ]
    assert run(TORCH="cuda").stdout.splitlines()[1:] == ["requirements-cuda.txt"]
    assert run(TORCH="cuda", RAY="1").stdout.splitlines()[1::2] == ["requirements-cuda.txt", "requirements-ray.txt"]
    refused = run(TORCH="cpu")
    assert refused.returncode != 0
    assert "give the hash of the wheel" in refused.stderr


def pinned(name):
    """The versions in a list of requirements, each of which has hashes."""
    text = (DEPLOY / name).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.split() for line in text.splitlines() if not line.startswith("#")]
    assert all(
        len(line) > 1 and all(re.fullmatch("--hash=sha256:[0-9a-f]{64}", word) for word in line[1:]) for line in lines
    )
    return dict(line[0].split("==") for line in lines)


def closure(texts):
    """The names of all that these requirements need, as it is installed here."""
    found = set()
    waiting = list(texts)
    while waiting:
        requirement = Requirement(waiting.pop())
        name = canonicalize_name(requirement.name)
        if name not in found and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            found.add(name)
            waiting += metadata.requires(name) or ()
    return found


def test_the_lists_hold_what_is_needed_in_the_versions_that_are_tested():
    constraints = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if "==" in line
    )
    constraints = {canonicalize_name(name): version for name, version in constraints.items()}
    cpu, cuda, ray = (pinned(f"requirements{kind}.txt") for kind in ("", "-cuda", "-ray"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert closure(project["dependencies"]) - {"torch"} <= cpu.keys(), "run: make requirements"
    assert closure([*project["optional-dependencies"]["ray"], "pyarrow", "pandas"]) <= cpu.keys() | ray.keys()
    assert not cuda.keys() & ray.keys()
    assert {"torch", "setuptools"} <= cuda.keys()
    assert cpu.items() <= cuda.items()
    assert not {name for name in cpu if re.match("torch|triton|nvidia|cuda", name)}
    for each in (cuda, ray):
        assert {name: constraints.get(name, version) for name, version in each.items()} == each, (
            "run: make requirements"
        )


def test_the_container_copies_what_there_is_and_every_package():
    words = [word for name, rest in instructions() if name == "COPY" for word in shlex.split(rest)[:-1]]
    copied = [word for word in words if not word.startswith("--")]
    assert [name for name in copied if not (ROOT / name).exists()] == []
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = settings["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {name.rstrip("*") for name in packages} <= set(copied)
    assert settings["project"]["readme"] in copied
    assert set(settings["project"]["license-files"]) <= set(copied)


@pytest.mark.parametrize("healthy", [True, False])
def test_the_containers_health_check_tells_a_healthy_process_from_another(healthy):
    (check,) = [arguments for name, arguments in instructions() if name == "HEALTHCHECK"]
    interpreter, option, program = json.loads(check.partition("CMD ")[2])
    _, port = HttpSettings().address()
    assert interpreter == "python"
    assert f"http://127.0.0.1:{port}/healthz" in program
    assert ("EXPOSE", str(port)) in instructions()
    with serving(monitoring(health=lambda: Health(ok=healthy))) as server:
        asked = program.replace(f":{port}/", f":{server.port}/")
        done = subprocess.run([sys.executable, option, asked], check=False, capture_output=True, timeout=patient(60))
    assert (done.returncode == 0) is healthy


def test_the_settings_in_the_documentation_are_valid():
    (text,) = snippets("toml")
    settings = tomllib.loads(text)
    assert HttpSettings.model_validate(settings["http"]).address()
    folder = StateSettings.model_validate(settings["state"]).folder
    assert str(folder) == f"/var/lib/{unit()['Service', 'StateDirectory'][0]}"


def test_prometheus_scrapes_the_address_of_the_settings():
    scrape = yaml.safe_load(snippets("yaml")[0])["scrape_configs"][0]
    assert scrape["static_configs"][0]["targets"] == [HttpSettings().listen]
    assert f'up{{job="{scrape["job_name"]}"}}' in README


def test_the_alerts_ask_for_metrics_and_labels_that_exist():
    known = dict(re.findall(r"^\| `(\w+)` \| \w+ \| ([^|]*) \|", metrics_table(), re.MULTILINE))
    rules = yaml.safe_load(snippets("yaml")[1])["groups"][0]["rules"]
    assert len(rules) == 3
    for rule in rules:
        names = re.findall(r"\b(?:maskcast|process)_\w+", rule["expr"])
        assert [name for name in names if name not in known] == []
        assert names or rule["expr"].startswith("up{")
        for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
            assert label == "instance" or all(f"`{label}`" in known[name] for name in names)
    assert [name for name in re.findall(r"`((?:maskcast|process)_\w+)`", README) if name not in known] == []


def test_the_documentation_names_files_that_exist():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (DEPLOY / target).exists(), target
    for name in re.findall(r"\bdeploy/[\w.-]+", README):
        assert (ROOT / name).exists(), name


def test_the_documented_container_can_write_nowhere_and_do_little():
    (line,) = [line for line in README.replace("\\\n", " ").splitlines() if line.startswith("podman run -d --name")]
    words = line.split()
    assert {"--read-only", "--cap-drop=all", "no-new-privileges", "--memory", "--pids-limit"} <= set(words)
    # What is written has a place of its own.
    places = {target.split(":")[-1] for option, target in itertools.pairwise(words) if option == "--tmpfs"}
    places |= {target.split(":")[1] for option, target in itertools.pairwise(words) if option == "-v"}
    assert {"/tmp", "/var/lib/maskcast"} <= places
    environment = [word for name, rest in instructions() if name == "ENV" for word in shlex.split(rest)]
    for key in ("HOME", "XDG_CACHE_HOME", "HF_HOME"):
        assert any(word.startswith(f"{key}=/var/lib/maskcast") for word in environment)
    assert "PYTHONDONTWRITEBYTECODE=1" in environment
