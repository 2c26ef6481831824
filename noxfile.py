"""The checks of the project, each a named session in an environment of its own.

`nox` runs those of an ordinary change; `nox -l` lists all; `nox -s tests-3.13 -- tests/laws` hands
arguments to the tool. `.ci/run` and the workflows in .github/workflows run these sessions and no
others. Tools and libraries come in the versions of .ci/locked.txt, checked by their hashes; `nox -s
lock` renews it.
"""

import os
import random
import shutil
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv"
nox.options.download_python = "never"
nox.options.reuse_venv = "yes"
# Not every machine has every Python: a session without its interpreter says that it is skipped.
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["lint", "layers", "types", "tests-3.11", "doctests"]

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
OLDEST = PYTHONS[0]
LOCKED = ("-c", ".ci/locked.txt")
LOCKED_LIBRARIES = ("-c", ".ci/locked-libraries.txt")
LOWEST = ("-c", ".ci/lowest.txt")
ENVIRONMENT = {
    # What the shell set for other programs; tests start processes, which want bytecode.
    "PYTHONPATH": None,
    "PYTHONDONTWRITEBYTECODE": None,
    "JAX_PLATFORMS": os.environ.get("JAX_PLATFORMS", "cpu"),
    # One session finds what another has compiled with the same JAX.
    "JAX_COMPILATION_CACHE_DIR": str(Path(__file__).parent / ".test_cache" / "programs"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
# What other versions are tried with: of what does not depend on JAX, what depends on Python.
OTHER_VERSIONS = ("-m", "not slow and not libraries and not source and (python or not own)")
OTHER_JAX = ("-m", "not slow and not libraries and not source and not own")
# Of a test of many cases a few; every night, with this set to nothing, all of them.
FEW = {"AUTOVMAP_FEW": os.environ.get("AUTOVMAP_FEW", "1")}
OF_A_WHEEL = ("test_distributions.py", "test_versions.py", "test_checkers.py", "test_seed_cases.py")


def install(session: nox.Session, *arguments: str) -> None:
    """Install what is named, and settle the environment of the commands to come."""
    session.env.update(ENVIRONMENT)
    session.install(*arguments)


def installed(session: nox.Session) -> None:
    """Say which versions are tested."""
    names = ("jax", "jaxlib", "numpy", "optree", "tqdm", "matplotlib")
    code = f"from importlib.metadata import version as v; print(*(n + ' ' + v(n) for n in {names}))"
    session.log("with %s", session.run("python", "-c", code, silent=True, log=False).strip())


def pytest(session: nox.Session, *arguments: str, **env: str) -> None:
    """The tests, and what was asked for behind `--`."""
    session.run("python", "-m", "pytest", *arguments, *session.posargs, env=env)


@nox.session
def lint(session: nox.Session) -> None:
    """Lint and format; `-- --fix` puts right what can be."""
    install(session, "--group", "lint", *LOCKED)
    fix = "--fix" in session.posargs
    session.run("ruff", "check", *(["--fix"] if fix else []))
    session.run("ruff", "format", *([] if fix else ["--check"]))


@nox.session(python=OLDEST)
def layers(session: nox.Session) -> None:
    """Imports run one way."""
    install(session, "-e", ".", "--group", "layers", *LOCKED)
    session.run("lint-imports")


@nox.session(python=OLDEST)
def types(session: nox.Session) -> None:
    """pyright, strict on src/."""
    install(session, "-e", ".[demo,progress]", "--group", "types", *LOCKED)
    session.run("pyright")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The quick tests; `-- -m=` runs all but the long ones."""
    groups = ("--group", "layers", "--group", "types") if session.python == OLDEST else ()
    install(session, "-e", ".[demo,progress,test]", *groups, *LOCKED)
    installed(session)
    if session.python == OLDEST:
        pytest(session)
    else:
        pytest(session, *OTHER_VERSIONS, **FEW)


@nox.session(python=OLDEST)
def lowest(session: nox.Session) -> None:
    """A few cases of each quick test, with the lowest versions that pyproject.toml declares."""
    install(session, "-e", ".[demo,progress,test]", *LOWEST)
    installed(session)
    pytest(session, *OTHER_JAX, **FEW)


@nox.session(python="3.13")
def newest(session: nox.Session) -> None:
    """A few cases of each quick test, with whatever is newest today, locked or not."""
    install(session, "--upgrade", "-e", ".[demo,progress,test]")
    installed(session)
    pytest(session, *OTHER_VERSIONS, **FEW)


@nox.session(python=OLDEST)
def doctests(session: nox.Session) -> None:
    """The examples in docstrings, README and docs."""
    install(session, "-e", ".[demo,progress,test]", *LOCKED)
    where = session.posargs or ["src", "README.md", "docs"]
    built = "--ignore=docs/_build"  # the site has copies of the scripts
    options = ("--doctest-modules", "--doctest-glob=*.md", built)
    session.run("python", "-m", "pytest", *options, *where)


@nox.session(python=OLDEST)
def docs(session: nox.Session) -> None:
    """The documentation as a site, in docs/_build/html; a warning is an error."""
    install(session, "-e", ".[demo,progress]", "--group", "docs", *LOCKED)
    options = ("-E", "-W", "--keep-going", "-n", "-q", "-b", "html")
    session.run("sphinx-build", *options, "docs", "docs/_build/html")


@nox.session(python=OLDEST)
def dist(session: nox.Session) -> None:
    """The sdist from this tree and its wheel, checked and tested; `-- DIR` keeps them."""
    install(session, "--group", "dist", *LOCKED)
    with tempfile.TemporaryDirectory() as made:
        session.run("uv", "build", "--quiet", "--out-dir", made)
        (sdist,), (wheel,) = (list(Path(made).glob(kind)) for kind in ("*.tar.gz", "*.whl"))
        session.run("twine", "check", "--strict", str(sdist), str(wheel))
        session.run("check-wheel-contents", str(wheel))

        session.install(
            f"{wheel}[demo,progress]", "--group", "checkers", "--group", "wheel", *LOCKED
        )
        shutil.unpack_archive(sdist, Path(made) / "sdist", filter="data")
        (root,) = (Path(made) / "sdist").iterdir()
        with session.chdir(root):
            files = [str(path) for name in OF_A_WHEEL for path in (root / "tests").rglob(name)]
            assert len(files) == len(OF_A_WHEEL), files
            session.run("python", "-m", "pytest", "-m=", *files, env={"AUTOVMAP_DIST": made})

        (Path(made) / "empty").mkdir()
        session.install("--reinstall-package=autovmap", f"{sdist}[demo]", *LOCKED)
        with session.chdir(Path(made) / "empty"):
            session.run("python", "-m", "autovmap", "demo")
        for folder in session.posargs:
            Path(folder).mkdir(exist_ok=True)
            for built in (sdist, wheel):
                shutil.copy(built, folder)


@nox.session(python=OLDEST)
def libraries(session: nox.Session) -> None:
    """Third-party functions, decorated: tests/libraries, all of it."""
    install(session, "-e", ".", "--group", "libraries", *LOCKED_LIBRARIES)
    installed(session)
    pytest(session, "tests/libraries", "-m=")


@nox.session(python=OLDEST)
def long(session: nox.Session) -> None:
    """The long tests, and the laws on new cases; the seed is printed, `AUTOVMAP_SEED` sets it."""
    install(session, "-e", ".[demo,progress,test]", *LOCKED)
    installed(session)
    seed = os.environ.get("AUTOVMAP_SEED", str(random.SystemRandom().randrange(2**31)))
    session.log("AUTOVMAP_SEED=%s nox -s long repeats this run", seed)
    env = {"AUTOVMAP_SEED": seed, "AUTOVMAP_HYPOTHESIS_PROFILE": "long"}
    pytest(session, "-m", "long", **env)
    pytest(session, "-m", "", "tests/laws", **env)


@nox.session(python=OLDEST)
def coverage(session: nox.Session) -> None:
    """Lines and branches of src/ that the quick tests run; `-- -m=`: that all tests run."""
    install(session, "-e", ".[demo,progress,test]", "--group", "coverage", *LOCKED)
    pytest(session, "--cov=autovmap", "--cov-branch", "--cov-report=term")


@nox.session(python=OLDEST)
def planted(session: nox.Session) -> None:
    """How many of twenty mistakes, one a module, the tests catch; `-- COUNT SEED` picks others."""
    install(session, "-e", ".[demo,progress,test]", "--group", "coverage", *LOCKED)
    session.run(
        "python", "-m", "pytest", "-q", "--cov=autovmap", "--cov-context=test", "--cov-report="
    )
    session.run("python", "tests/planted/run.py", *session.posargs)


@nox.session(python=OLDEST)
def bench(session: nox.Session) -> None:
    """What a call costs, over the hand-written nest and others."""
    install(session, "-e", ".[demo,progress,test]", "--group", "bench", *LOCKED)
    session.run("python", "-m", "pytest", "-n0", *(session.posargs or ["benchmarks"]))


@nox.session(venv_backend="none")
def dev(session: nox.Session) -> None:
    """All of it in .venv, to work in: `source .venv/bin/activate`."""
    session.run("uv", "venv", "--allow-existing", ".venv", external=True)
    into = ("uv", "pip", "install", "--python", ".venv")
    what = ("-e", ".[demo,progress,test]", "--group", "dev")
    session.run(*into, *what, *LOCKED, external=True)


@nox.session(venv_backend="none")
def lock(session: nox.Session) -> None:
    """Renew .ci/locked*.txt: the newest of everything, for every Python, with hashes.

    No uv.lock: it names the address of the registry in each of its lines, and there are others.
    """
    extras = [f"--extra={name}" for name in ("demo", "progress", "test")]
    options = ("--universal", "--upgrade", "--generate-hashes", "--no-annotate", "--quiet")
    for file, what in (
        (LOCKED[1], [*extras, "--group=dev", "--group=wheel"]),
        (LOCKED_LIBRARIES[1], ["--group=libraries"]),
    ):
        session.run(
            *("uv", "pip", "compile", "pyproject.toml", *options, *what),
            *("--no-emit-index-url", f"--python-version={OLDEST}", "--output-file", file),
            env={"UV_CUSTOM_COMPILE_COMMAND": "nox -s lock"},
            external=True,
        )


@nox.session(venv_backend="none")
def release(session: nox.Session) -> None:
    """Whether a tag, `-- v1.2.3`, agrees with the version and the changelog."""
    session.run("python", ".ci/release.py", *session.posargs, external=True)
