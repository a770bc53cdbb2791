"""Full marks from Lighthouse for accessibility and good practice, on pages of every kind."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bookkit.pdf import find_chromium

FOLDER = Path(__file__).with_name("lighthouse")
LIGHTHOUSE = FOLDER / "node_modules" / ".bin" / "lighthouse"
CATEGORIES = ("accessibility", "best-practices")
PAGES = (
    "preface",
    "explorer",
    "notation",
    "05-the-law",  # many formulas and figures
    "17-prunability",  # of Part III
    "library",
    "bibliography",
)
OPTIONS = (
    "--quiet",
    "--output=json",
    "--output-path=stdout",
    f"--only-categories={','.join(CATEGORIES)}",
    "--throttling-method=provided",  # Slower networks are of interest to other categories.
    "--disable-full-page-screenshot",
    "--no-enable-error-reporting",
    "--chrome-flags=--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage",
)


@pytest.fixture(scope="module")
def lighthouse():
    """Environment to run Lighthouse in; without it tests are skipped, but never in CI."""
    missing = None
    if shutil.which("node") is None:
        missing = "there is no Node.js: install it with npm, then run `make test` again"
    elif not LIGHTHOUSE.exists():
        missing = "Lighthouse is not installed: run `npm ci` in tests/book/lighthouse"
    elif find_chromium() is None:
        missing = "there is no Chromium: install it, or set CHROMIUM"
    if missing:
        message = f"NOT TESTED WITH LIGHTHOUSE: {missing}"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return {**os.environ, "CHROME_PATH": find_chromium()}


@pytest.mark.pages
@pytest.mark.parametrize("name", PAGES)
def test_full_marks(lighthouse, site, name):
    done = subprocess.run(
        [LIGHTHOUSE, f"{site}/chapters/{name}.html", *OPTIONS],
        check=False,
        capture_output=True,
        env=lighthouse,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    counted = [part for one in report["categories"].values() for part in one["auditRefs"]]
    below = {
        part["id"]: [item.get("node", item) for item in audit.get("details", {}).get("items", [])]
        for part in counted
        if part["weight"] and (audit := report["audits"][part["id"]])["score"] not in (None, 1)
    }
    assert below == {}
    scores = {name: category["score"] for name, category in report["categories"].items()}
    assert (scores, report["runWarnings"]) == (dict.fromkeys(CATEGORIES, 1), [])


def test_lock_file_names_versions_and_digests_and_no_place():
    packages = json.loads((FOLDER / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    installed = {name: package for name, package in packages.items() if name}
    assert "node_modules/lighthouse" in installed
    assert all(package["integrity"].startswith("sha512-") for package in installed.values())
    assert not any("resolved" in package for package in installed.values())
