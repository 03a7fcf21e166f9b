"""The report in a real browser, on the finished micro sweep and on a simulated study."""

import json
import re
import zipfile
from pathlib import Path

import pytest
from browser import WIDTHS, browser, look
from unit import simulated_report
from workspace import Workspace

from entrench.analysis.risk.collect import RUN_DETAIL_COLUMNS
from entrench.analysis.summary.runs import RUN_COLUMNS, readable_runs
from entrench.analysis.tables import read_table
from entrench.study.config import FIGURES, STUDY_FIGURES

REPORT = "results/micro/report.html"
QUESTIONS = 12


@pytest.fixture(scope="module")
def opened():
    with browser() as one:
        yield one


@pytest.fixture(scope="module")
def copy(micro: Workspace, tmp_path_factory) -> Workspace:
    """The finished micro sweep with Snakemake's records, to make reports in."""
    return Workspace(tmp_path_factory.mktemp("report") / "copy").take(micro)


@pytest.fixture(scope="module")
def finished(copy) -> Path:
    done = copy.snakemake("--", REPORT)
    assert done.returncode == 0, done.stdout + done.stderr
    return copy.folder / REPORT


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    return simulated_report.write_report(folder, simulated_report.tables(2, 1))


def test_a_finished_sweep_plans_the_report_alone(micro):
    assert micro.plan(REPORT) == {"report_make": 1}
    assert micro.plan("report") == {"report_make": 1, "report": 1}


@pytest.mark.parametrize("width", WIDTHS)
def test_the_browser_shows_the_report_of_a_real_sweep(opened, finished, width, tmp_path):
    seen = look(opened, finished, width, tmp_path / "page.png")
    assert seen.said == []
    assert seen.asked == [finished.as_uri()]
    assert seen.overflow <= 0
    assert seen.escaping == 0
    assert seen.hidden == 0
    assert width < 600 or seen.first_image < 900  # answer and figure are on the first screen
    assert seen.unreadable == []
    # One model: there is no pair of a base and an instruct model.
    html = finished.read_text()
    assert '<p class="absent" id="base_vs_instruct">Not drawn: it needs a base model and' in html
    assert len(seen.images) + html.count("Not drawn: ") == len(STUDY_FIGURES)
    # organisms, summary, variance, contrasts, comparison, power, health; scores; data
    assert len(seen.tables) == 7 + 2
    assert min(seen.tables) > 0
    assert len([h for h in seen.headings if h.startswith("H2")]) == QUESTIONS + 3
    assert (tmp_path / "page.png").stat().st_size > 0


@pytest.mark.parametrize("width", WIDTHS)
def test_the_browser_shows_the_report_of_a_simulated_study(opened, simulated, width):
    seen = look(opened, simulated, width)
    assert seen.said == []
    assert seen.asked == [simulated.as_uri()]
    assert seen.overflow <= 0
    assert seen.escaping == 0
    assert seen.hidden == 0
    assert width < 600 or seen.first_image < 900  # answer and figure are on the first screen
    assert seen.unreadable == []
    assert len(seen.images) == len(FIGURES)
    for alt, natural, shown in seen.images:
        assert len(alt) > 20
        assert natural > 1000
        assert shown <= width
    assert len(seen.tables) == QUESTIONS + 2


def test_a_tap_enlarges_a_figure_on_a_phone_and_another_tap_shrinks_it(opened, simulated):
    tab = opened.new_page(viewport={"width": 390, "height": 900})
    tab.goto(simulated.as_uri())
    picture = tab.locator("#eta_curves img")
    widths = [picture.bounding_box()["width"]]
    for _ in range(2):
        picture.click()
        widths.append(picture.bounding_box()["width"])
        overflow = tab.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert overflow <= 0  # it scrolls in its own box
    assert widths[0] == widths[2] <= 390
    assert widths[1] == 960
    assert "Tap the figure to enlarge it." in tab.locator("#eta_curves figcaption").inner_text()
    tab.set_viewport_size({"width": 1280, "height": 900})
    assert "Tap" not in tab.locator("#eta_curves figcaption").inner_text()
    tab.close()


def test_the_browser_would_notice(opened, simulated, tmp_path):
    """The checks above on a page that breaks each of them."""
    spoiled = simulated.read_text().replace(
        "<header>",
        '<header><img src="http://127.0.0.1:9/x.png" alt=""><div style="width:3000px">wide</div>'
        '<p style="font-size:6px">small</p>',
    )
    blocked = tmp_path / "blocked.html"
    blocked.write_text(spoiled)
    seen = look(opened, blocked, 390)
    assert any("Content Security Policy" in line for line in seen.said)
    assert seen.overflow > 2000
    assert seen.escaping == 1
    assert seen.unreadable == ["small"]
    open_ = tmp_path / "open.html"
    open_.write_text(re.sub(r"<meta http-equiv=[^>]*>", "", spoiled))
    assert "http://127.0.0.1:9/x.png" in look(opened, open_, 390).asked


def test_the_report_says_what_made_it(finished, copy):
    html = finished.read_text()
    organism = copy.folder / "results/micro/organisms/tiny/spurious_correlation/seed0"
    record = json.loads((organism / "run.json").read_text())
    assert f"torch {record['versions']['torch']}" in html
    assert "SIMULATED" not in html
    assert "4 of 4" in html  # trainings: an organism and three runs
    assert "backend rules" in html
    assert "the miniature world" in html
    assert str(copy.folder) not in html


def test_while_runs_are_missing_the_report_is_of_the_others(copy):
    clone = Workspace(copy.folder.parent / "partial").take(copy, "results")
    delta = "organisms/tiny/spurious_correlation/seed0/bct/delta_risk.csv"
    (clone.folder / "results/micro" / delta).unlink()
    assert clone.plan("report") == {
        "partial_make": 1,
        "judges_collect": 1,
        "figures_draw": 4,
        "report_make": 1,
        "report": 1,
    }
    done = clone.snakemake("--", "report")
    assert done.returncode == 0, done.stdout + done.stderr
    partial = clone.folder / "results/micro/partial"
    lean = read_table(partial / "runs.csv", RUN_COLUMNS)
    assert lean["method"].to_list() == ["multi_view", "rejection_sampling"]
    assert lean["change_pp"].null_count() == 0
    detail = read_table(partial / "runs_detail.csv", RUN_DETAIL_COLUMNS)
    assert readable_runs(detail).equals(lean)
    html = (partial / "report.html").read_text()
    assert "What is complete so far: 2 runs on 1 organism" in html
    assert "1 run is missing; missing.csv says which." in html


def test_a_damaged_table_is_named_on_the_screen(copy):
    broken = Workspace(copy.folder.parent / "broken").take(copy)
    table = broken.folder / "results/micro/runs_detail.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    arguments = ("--config", "tests/config/micro.yaml", "--cores", "2")
    done = broken.run("workflow/scripts/report_run.py", *arguments)
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "error: results/micro/runs_detail.csv: 2 rows, 3 were written: delete " in said


def test_snakemakes_own_report_has_categories_and_captions(copy):
    done = copy.snakemake("--report", "report.zip", "--", "results/micro/summary.csv", "figures")
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(copy.folder / "report.zip") as archive:
        text = "".join(
            archive.read(name).decode()
            for name in archive.namelist()
            if name.endswith((".js", ".html", ".json"))
        )
    assert "Share of runs whose risk fell" in text
    assert "What each method did to each misalignment" in text
    assert '"Figures"' in text
    assert '"Tables"' in text
