"""What the documents say: examples that run, names and files that exist, versions that agree."""

import doctest
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import yaml

import bookkit
import overparam
from bookkit.lint import STATUSES

ROOT = Path(__file__).parents[2]
LIB = ROOT / "lib"
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")


def modules() -> list[str]:
    paths = [path.relative_to(LIB) for path in LIB.rglob("*.py") if path.name != "__main__.py"]
    return sorted(
        ".".join(path.with_suffix("").parts) for path in paths if path.name != "__init__.py"
    )


def examples_of(module: ModuleType) -> list[doctest.DocTest]:
    names = {name: getattr(overparam, name) for name in overparam.__all__}
    namespace = {"np": np, **names, **vars(module)}
    return [test for test in doctest.DocTestFinder().find(module, globs=namespace) if test.examples]


@pytest.mark.parametrize("name", modules())
def test_examples_of_docstrings(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Claims and figures are displayed, and there is nothing here to display them.
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: None)
    for test in examples_of(import_module(name)):
        result = doctest.DocTestRunner().run(test)
        assert result.failed == 0, capsys.readouterr().out


def test_example_of_the_readme() -> None:
    result = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert result.attempted > 0
    assert result.failed == 0


# What the commands of the studies are made of is read in their source.
STUDIES = {
    "arms", "comparison", "double_descent", "experiment", "measurements", "pfp_study",
    "sipp_study", "width_study", "zoo", "zoo_ranking",
}  # fmt: skip


def test_page_of_networks_has_every_public_name() -> None:
    page = (ROOT / "chapters" / "library-networks.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\.\. auto\w+:: (\S+)$", page, re.MULTILINE)
    public = {
        f"{name}.{attribute}"
        for name in modules()
        if name.startswith(("overparam.networks.", "overparam.graphs."))
        and name.rpartition(".")[2] not in STUDIES
        for attribute, value in vars(import_module(name)).items()
        if getattr(value, "__module__", None) == name
        and not attribute.startswith("_")
        and callable(value)
        and getattr(value, "__name__", None) == attribute
    }
    assert set(documented) == public
    assert len(documented) == len(public)


def test_library_page_has_every_public_name() -> None:
    page = (ROOT / "chapters" / "library.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\.\. auto\w+:: (\S+)$", page, re.MULTILINE)
    public = {f"overparam.{name}" for name in overparam.__all__}
    assert {name for name in documented if re.fullmatch(r"overparam\.\w+", name)} == public
    for name in documented:  # also what is imported by its module, such as overparam.runs.read
        module, _, attribute = name.rpartition(".")
        assert getattr(import_module(module), attribute).__doc__, name
    assert {f"bookkit.{name}" for name in bookkit.__all__} <= set(documented)
    assert len(documented) == len(set(documented))


def test_ledger_page_explains_every_status() -> None:
    page = (ROOT / "chapters" / "ledger.md").read_text(encoding="utf-8")
    explained = re.findall(r"^(.+)\n: ", page, re.MULTILINE)
    assert explained == list(STATUSES.values())


@pytest.mark.parametrize("name", DOCUMENTS)
def test_files_and_commands_that_are_named_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        assert (ROOT / target).exists(), target
    paths = re.findall(r"\b(?:chapters|lib|tests|tools|\.github)/[\w./-]*\w", text)
    for path in paths:
        assert (ROOT / path).exists() or path == "chapters/NN-slug.md", path
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = re.findall(r"(?:^|`|&& )make ([a-z]+)", text, re.MULTILINE)
    assert set(commands) <= set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))


def test_versions_agree() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"$', project, re.MULTILINE)[1]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == citation["preferred-citation"]["version"] == version
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"version = {{{version}}}" in readme
    assert version in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_workflows_are_least_privileged() -> None:
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert workflow["permissions"] == {"contents": "read"}, path
        assert "concurrency" in workflow, path
