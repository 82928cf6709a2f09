"""docker/run as a shell program: which engine it takes, what it says, what status it gives; with stand-in programs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Programs that the script itself is made of; everything else comes from the stand-ins of each test.
TOOLS = (
    "awk", "basename", "bash", "cat", "cp", "cut", "dirname", "env", "flock", "mkdir", "mktemp", "rm", "sed",
    "sha256sum", "timeout", "touch",
)  # fmt: skip

RECORD = (
    'printf "%s" "$(basename "$0")" >>"$LOG"; for a in "$@"; do printf " <%s>" "$a" >>"$LOG"; done; echo >>"$LOG"\n'
)
DEAD = "exit 1\n"
# An engine that answers, and whose image is missing until it has been built.
ENGINE = """
case "$1" in
  info|--help) exit 0 ;;
  image|inspect) [ -e "$STATE/built" ] ;;
  build) touch "$STATE/built" ;;
  from) echo container-1 ;;
  run) [ "${2:-}" = --help ] && exit 0; exit "${STATUS:-0}" ;;
  *) exit 0 ;;
esac
"""
NO_PYTHON = "exit 1\n"
GOOD_PYTHON = '[ "$1" = - ] && { cat >/dev/null; exit 0; }; exit "${STATUS:-0}"\n'


def script(body: str, record: bool = True) -> str:
    return f"#!{shutil.which('bash')}\n{RECORD if record else ''}{body}"


@dataclass
class Machine:
    """A made-up machine: a PATH of its own, a copy of the project's recipe, a log of the programs called."""

    folder: Path
    name: str = "a project"

    def __post_init__(self) -> None:
        self.bin, self.log, project = self.folder / "bin", self.folder / "log", self.folder / self.name
        self.bin.mkdir(parents=True)
        self.log.touch()
        (project / "docker").mkdir(parents=True)
        for name in ("docker/run", "docker/Dockerfile", "pyproject.toml"):
            shutil.copy(ROOT / name, project / name)
        self.project = project
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, f"this test needs {tool}"
            (self.bin / tool).symlink_to(found)
        self.program("python3", NO_PYTHON, record=False)
        self.user(1000)

    def program(self, name: str, body: str, *, record: bool = True) -> None:
        path = self.bin / name
        path.write_text(script(body, record))
        path.chmod(0o755)

    def user(self, number: int) -> None:
        self.program("id", f"echo {number}\n", record=False)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {"PATH": str(self.bin), "HOME": str(self.folder / "home")}
        clean |= {"LOG": str(self.log), "STATE": str(self.folder), **environment}
        command = [str(self.project / "docker" / "run"), *arguments]
        return subprocess.run(
            command, env=clean, cwd=self.folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60
        )

    @property
    def calls(self) -> list[str]:
        return self.log.read_text().splitlines()

    def call(self, start: str) -> str:
        found = [line for line in self.calls if line.startswith(start)]
        assert len(found) == 1, self.calls
        return found[0]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_no_way_at_all_names_the_three_ways(machine: Machine) -> None:
    result = machine.run("pytest")
    assert result.returncode == 125
    for part in ("conda env create -f environment.yml", "Docker or Podman", "Debian or Ubuntu as root"):
        assert part in result.stderr
    assert result.stdout == ""


def test_apt_without_root_is_no_way(machine: Machine) -> None:
    machine.program("apt-get", "exit 0\n")
    result = machine.run("pytest")
    assert result.returncode == 125
    assert machine.calls == []


def test_a_usable_python_comes_first_and_needs_no_container(machine: Machine) -> None:
    machine.program("python3", GOOD_PYTHON, record=False)
    machine.program("docker", ENGINE)
    machine.program("pytest", 'printf "%s|%s|%s\\n" "$PWD" "$PYTHONPATH" "$*"\n', record=False)
    result = machine.run("pytest", "-k", "two words")
    assert result.returncode == 0
    assert "native" in result.stderr
    assert result.stdout.strip() == f"{machine.project}|{machine.project}|-k two words"
    assert machine.calls == []


def test_native_runs_python_where_only_python3_exists(machine: Machine) -> None:
    machine.program("python3", GOOD_PYTHON)
    assert machine.run("python", "demos/x.py").returncode == 0
    assert machine.calls[-1] == "python3 <demos/x.py>"


def test_native_runs_homfem_where_it_is_not_installed(machine: Machine) -> None:
    machine.program("python3", GOOD_PYTHON)
    assert machine.run("homfem", "doctor").returncode == 0
    assert machine.calls[-1] == "python3 <-m> <homfem> <doctor>"


def test_native_passes_the_exit_status_on(machine: Machine) -> None:
    machine.program("python3", GOOD_PYTHON, record=False)
    machine.program("pytest", "exit 3\n", record=False)
    assert machine.run("pytest").returncode == 3


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_an_engine_that_answers_builds_once_and_runs(machine: Machine, engine: str) -> None:
    machine.program(engine, ENGINE)
    result = machine.run("pytest", "-k", "two words")
    assert result.returncode == 0, result.stderr
    build, run = machine.call(f"{engine} <build>"), machine.call(f"{engine} <run> <--rm>")
    assert "<SUITE=trixie>" in build
    assert "<docker/Dockerfile>" in build
    assert run.endswith("<pytest> <-k> <two words>")
    assert f"<--mount> <type=bind,source={machine.project},target=/homfem>" in run
    assert machine.run("pytest").returncode == 0
    assert sum(" <build>" in line for line in machine.calls) == 1


def test_docker_is_taken_before_podman(machine: Machine) -> None:
    machine.program("docker", ENGINE)
    machine.program("podman", ENGINE)
    assert machine.run("pytest").returncode == 0
    assert not any(line.startswith("podman") for line in machine.calls)


def test_an_engine_that_does_not_answer_is_passed_over(machine: Machine) -> None:
    machine.program("docker", DEAD)
    machine.program("podman", ENGINE)
    result = machine.run("pytest")
    assert result.returncode == 0
    assert "podman" in result.stderr
    assert not any(line.startswith("docker <run>") for line in machine.calls)


def test_docker_runs_as_the_calling_user(machine: Machine) -> None:
    machine.program("docker", ENGINE)
    machine.run("pytest")
    assert "<--user> <1000:1000>" in machine.call("docker <run> <--rm>")


@pytest.mark.parametrize("engine", ["docker", "podman", "buildah"])
@pytest.mark.parametrize("status", [1, 2, 3, 77])
def test_the_exit_status_of_the_command_is_passed_on(machine: Machine, engine: str, status: int) -> None:
    machine.user(0)
    machine.program(engine, ENGINE)
    machine.program("mmdebstrap", "exit 0\n")
    (machine.folder / "built").touch()
    assert machine.run("--engine", engine, "pytest", STATUS=str(status)).returncode == status


# buildah runs the command in the container, where the folder of the cache is mounted, and speaks up where it fails.
BUILDAH_RUNS = """
cache=
while [ "$1" != -- ]; do
  case $1 in type=bind,source=*,target=/cache,rw=true) cache=${1#type=bind,source=}; cache=${cache%%,target=*} ;; esac
  shift
done
shell=$4; ended=$cache/${5#/cache/}; shift 5
bash -c "$shell" "$ended" "$@" || { status=$?; echo "subprocess exited with status $status" >&2; exit "$status"; }
"""


@pytest.mark.parametrize("status", [0, 2, 77])
def test_buildah_does_not_speak_where_the_command_fails(machine: Machine, status: int) -> None:
    machine.user(0)
    machine.program("buildah", ENGINE.replace('exit "${STATUS:-0}"', BUILDAH_RUNS))
    machine.program("mmdebstrap", "exit 0\n")
    machine.program("setpriv", 'while [ "$1" != -- ]; do shift; done; shift; "$@"\n')
    (machine.folder / "built").touch()
    result = machine.run("--engine", "buildah", "bash", "-c", f"echo two words; exit {status}")
    assert (result.returncode, result.stdout) == (status, "two words\n")
    assert "subprocess" not in result.stderr
    assert machine.call("setpriv").startswith("setpriv <--pdeathsig> <KILL> <--> <bash>")  # it dies with its shell
    assert not list((machine.folder / "home").rglob(".status-*"))


@pytest.mark.parametrize("engine", ["docker", "podman", "buildah"])
def test_a_path_with_a_colon_is_mounted_whole(tmp_path: Path, engine: str) -> None:
    machine = Machine(tmp_path, "a:b c")
    machine.user(0)
    machine.program(engine, ENGINE)
    machine.program("mmdebstrap", "exit 0\n")
    (machine.folder / "built").touch()
    cache = tmp_path / "ca:che"
    assert machine.run("--engine", engine, "pytest", HOMFEM_CACHE=str(cache)).returncode == 0
    run = next(line for line in machine.calls if line.startswith(f"{engine} <run>") and "<pytest>" in line)
    write = ",rw=true" if engine == "buildah" else ""
    assert f"<--mount> <type=bind,source={machine.project},target=/homfem{write}>" in run
    assert f"<--mount> <type=bind,source={cache}/trixie,target=/cache{write}>" in run


def test_a_path_with_a_comma_is_refused_for_a_container(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "a,b")
    machine.program("docker", ENGINE)
    result = machine.run("pytest")
    assert result.returncode == 125
    assert "comma" in result.stderr
    other = Machine(tmp_path / "other")
    other.program("docker", ENGINE)
    result = other.run("pytest", HOMFEM_CACHE=str(tmp_path / "c,d"))
    assert result.returncode == 125
    assert "HOMFEM_CACHE" in result.stderr


def test_a_native_python_finds_the_package_below_a_path_with_a_colon(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "a:b")
    machine.program("python3", GOOD_PYTHON, record=False)
    machine.program("pytest", 'printf "%s|%s" "$PWD" "$PYTHONPATH"\n', record=False)
    assert machine.run("pytest", PYTHONPATH="/x").stdout == f"{machine.project}|.:/x"


def test_a_failed_build_runs_nothing(machine: Machine) -> None:
    machine.program("docker", ENGINE.replace('build) touch "$STATE/built"', "build) exit 17"))
    assert machine.run("pytest").returncode != 0
    assert not any(line.startswith("docker <run>") for line in machine.calls)


def test_a_changed_recipe_is_another_image(machine: Machine) -> None:
    machine.program("docker", ENGINE)
    machine.run("pytest")
    first = machine.call("docker <build>").split("<-t> <")[1].split(">")[0]
    with (machine.project / "docker" / "Dockerfile").open("a") as recipe:
        recipe.write("# changed\n")
    (machine.folder / "built").unlink()
    machine.log.write_text("")
    machine.run("pytest")
    second = machine.call("docker <build>").split("<-t> <")[1].split(">")[0]
    assert first != second


@pytest.mark.parametrize("engine", ["docker", "podman", "buildah"])
def test_the_documentation_has_a_stage_and_an_image_of_its_own(machine: Machine, engine: str) -> None:
    machine.user(0)
    machine.program(engine, ENGINE)
    machine.program("mmdebstrap", "exit 0\n")
    machine.program("apt-get", 'echo "Debian http://mirror.example/debian"\n')
    assert machine.run("--engine", engine, "pytest").returncode == 0
    (machine.folder / "built").unlink()
    assert machine.run("--engine", engine, "docs", "--quiet").returncode == 0
    builds = [line for line in machine.calls if line.startswith(f"{engine} <build>")]
    for build, stage, name in zip(builds, ("homfem", "docs"), ("homfem", "homfem-docs"), strict=True):
        assert f"<--target> <{stage}>" in build
        assert f"<-t> <{name}:trixie-" in build
    assert f"AS {stage}" in (ROOT / "docker" / "Dockerfile").read_text()
    run = machine.calls[-2 if engine == "buildah" else -1]
    assert "<python3> <-m> <sphinx> <--fail-on-warning>" in run
    assert run.endswith("<docs> <docs/_build/html> <--quiet>")


def test_what_is_built_by_default_is_the_lean_stage() -> None:
    stages = re.findall(r"^FROM .* AS (\w+)$", (ROOT / "docker" / "Dockerfile").read_text(), flags=re.MULTILINE)
    assert stages[-1] == "homfem"


def test_native_documentation_names_the_packages_that_it_needs(machine: Machine) -> None:
    here = '[ "$1" = - ] && { cat >/dev/null; exit 0; }; [ "$1" = -c ] && exit 1; exit 0\n'
    machine.program("python3", here)
    result = machine.run("docs")
    assert result.returncode == 125
    assert "pip install --editable '.[docs]'" in result.stderr
    assert not any("<sphinx>" in line for line in machine.calls)
    machine.program("python3", GOOD_PYTHON)
    assert machine.run("docs").returncode == 0
    assert machine.calls[-1].startswith("python3 <-m> <sphinx>")


def test_suite_sid_is_built_from_sid(machine: Machine) -> None:
    machine.program("docker", ENGINE)
    assert machine.run("--suite", "sid", "pytest").returncode == 0
    assert "<SUITE=sid>" in machine.call("docker <build>")
    assert "sid" in machine.call("docker <run> <--rm>")


def test_a_suite_inside_its_own_image_is_native_and_another_is_not(machine: Machine) -> None:
    machine.program("python3", GOOD_PYTHON, record=False)
    machine.program("pytest", "exit 0\n", record=False)
    assert "native" in machine.run("pytest", HOMFEM_SUITE="trixie").stderr
    assert "native" in machine.run("--suite", "trixie", "pytest", HOMFEM_SUITE="trixie").stderr
    other = machine.run("--suite", "sid", "pytest", HOMFEM_SUITE="trixie")
    assert "native" not in other.stderr
    assert other.returncode == 125


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--suite", "bookworm", "pytest"], ["bookworm", "trixie", "sid"]),
        (["--engine", "lxc", "pytest"], ["lxc", "native", "docker", "podman", "buildah"]),
        ([], ["no command", "docker/run pytest"]),
        (["--suite"], ["needs a name"]),
    ],
)
def test_bad_options_are_refused_with_what_is_allowed(machine: Machine, arguments: list[str], parts: list[str]) -> None:
    machine.program("docker", ENGINE)
    result = machine.run(*arguments)
    assert result.returncode != 0
    assert all(part in result.stderr for part in parts), result.stderr
    assert machine.calls == []


def test_a_named_engine_that_cannot_work_is_an_error_not_a_fallback(machine: Machine) -> None:
    machine.program("docker", ENGINE)
    result = machine.run("--engine", "native", "pytest")
    assert result.returncode == 125
    assert "dolfinx" in result.stderr
    assert machine.calls == []


def test_root_on_debian_without_engine_installs_buildah_from_its_packages(machine: Machine) -> None:
    machine.user(0)
    install = """
case "$*" in
  *install*) for name in buildah mmdebstrap; do cp "$STATE/engine" "$(dirname "$0")/$name"; done ;;
  indextargets*) echo "Debian http://mirror.example/debian" ;;
esac
"""
    (machine.folder / "engine").write_text(script(ENGINE))
    (machine.folder / "engine").chmod(0o755)
    machine.program("apt-get", install)
    result = machine.run("pytest", "-q")
    assert result.returncode == 0, result.stderr
    installed = next(line for line in machine.calls if "<install>" in line)
    assert all(f"<{name}>" in installed for name in ("buildah", "crun", "mmdebstrap"))
    assert machine.call("mmdebstrap").endswith("<http://mirror.example/debian>")
    run = machine.call("buildah <run>")
    assert "<container-1> <--> <sh>" in run
    assert run.endswith(" <pytest> <-q>")
    assert machine.calls[-1] == "buildah <rm> <container-1>"


def test_help_prints_the_header(machine: Machine) -> None:
    result = machine.run("--help")
    assert result.returncode == 0
    assert "--suite" in result.stdout
    assert "#" not in result.stdout


def test_the_script_is_executable_and_parses() -> None:
    assert os.access(ROOT / "docker" / "run", os.X_OK)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    for name in ("docker/run", ".ci/run"):
        subprocess.run(["bash", "-n", str(ROOT / name)], check=True)
