"""The HTML report in a real browser: it filters, fits a narrow window, follows the theme, asks nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bus_schemas.cases import CaseRecord
from qgjob.report.html import html
from tests.conftest import required_program
from tests.support.browser import Page, browser, chromium
from tests.support.wait import wait_for
from tests.unit.report.test_reports import job, report

SHOWN = "[...document.querySelectorAll('details.job')].filter((j) => !j.hidden).map((j) => j.id).join()"


def page_of_a_run() -> str:
    jobs = [job(0), job(1, "failed", message="x" * 300), job(2, flaky=True), job(3, "errored")]
    jobs.append(job(4, "passed", test=f"tests/{'very_long_name_' * 12}.py"))
    cases = {"j_1": [CaseRecord(name="a" * 200, outcome="failed", message="no\n" + "button " * 90)]}
    return html(report(*jobs, cases=cases, logs={"j_1": "line " * 200}))


async def click(page: Page, selector: str) -> None:
    await page.value(
        f"document.querySelector({selector!r}).dispatchEvent(new MouseEvent('click', {{bubbles: true}}))"
    )


async def test_a_report_works_looks_right_and_loads_nothing(tmp_path: Path) -> None:
    if chromium() is None:
        required_program("chromium")
    file = tmp_path / "report.html"
    file.write_text(page_of_a_run())
    async with browser(tmp_path / "profile") as page:
        await page.open(file.as_uri())
        ready = "document.readyState == 'complete' && !!document.querySelector('.filters:not([hidden])')"
        await wait_for(lambda: page.value(ready), 30, "the script of the page")
        assert await page.value(SHOWN) == "j_1,j_3,j_2,j_0,j_4"

        await click(page, "button[data-state=flaky]")
        assert await page.value(SHOWN) == "j_2"
        await click(page, "button[data-state=failed]")
        assert await page.value(SHOWN) == "j_1,j_2"
        await click(page, "button[data-state=flaky]")
        await click(page, "button[data-state=failed]")
        search = "s = document.getElementById('search'), s.value = {!r}, s.dispatchEvent(new Event('input'))"
        await page.value(search.format("LONG_name tests"))
        assert await page.value(SHOWN) == "j_4"
        await page.value(search.format("nowhere"))
        assert await page.value("!document.getElementById('none').hidden")
        await page.value(search.format(""))

        assert not await page.value("document.getElementById('j_0').open")
        await click(page, "rect[data-job=j_0]")
        assert await page.value("document.getElementById('j_0').open")
        await click(page, "#every")
        assert await page.value("document.querySelectorAll('details.job[open]').length") == 5

        for width in (1280, 390):
            size: dict[str, Any] = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
            await page.call("Emulation.setDeviceMetricsOverride", **size)
            root = "document.documentElement"
            assert await page.value(f"{root}.scrollWidth - {root}.clientWidth") == 0  # nothing sticks out

        grounds: list[tuple[int, ...]] = []
        for theme in ("light", "dark"):
            features = [{"name": "prefers-color-scheme", "value": theme}]
            await page.call("Emulation.setEmulatedMedia", features=features)
            picture = await page.picture()
            colour = picture.getpixel((2, 2))
            assert isinstance(colour, tuple)
            grounds.append(colour)
        assert min(grounds[0]) > 200
        assert max(grounds[1]) < 60
        assert page.addresses == [file.as_uri()]
