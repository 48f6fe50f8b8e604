"""The pages in a real browser, opened from a file: filters, keyboard, phone, light and dark, no errors."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from synthetic import make_submission, make_trace

from scaffold_bench.leaderboard.build import build

pytestmark = pytest.mark.browser
DOCS = Path(__file__).parents[2] / "docs"
PHONE, DESKTOP = (390, 844), (1280, 800)
HOSTILE = "\"><img src=x onerror=alert(1)><script>alert(1)</script>' onmouseover='alert(1)"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three methods on two boards, one of which says something bad."""
    made, folder = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("input") / "submissions"
    folder.mkdir()
    shutil.move(make_submission(made / "a"), folder / "one")
    shutil.move(make_submission(made / "b", description=HOSTILE, authors=(HOSTILE,)), folder / "two")
    shutil.move(make_submission(made / "c", track="simulated-vlm"), folder / "three")
    out = tmp_path_factory.mktemp("out") / "site"
    make_trace(folder.parent / "traces" / "falling.json", method="one", policy=HOSTILE[:80].strip())
    build(folder, out, DOCS, folder.parent / "traces")
    return out


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(shutil.which("chromedriver"))))
    yield made
    made.quit()


class Browser:
    """A page at a time, at a size and in a colour scheme; afterwards there must be no message in the console."""

    def __init__(self, driver: Any, site: Path) -> None:
        self.driver, self.site = driver, site
        self.look(DESKTOP)

    def look(self, size: tuple[int, int], scheme: str = "light") -> None:
        width, height = size
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def open(self, address: str) -> None:
        self.driver.get("about:blank")
        self.driver.get(f"file://{self.site}/{address}")

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> list[Any]:
        return self.driver.find_elements("css selector", selector)

    def shown(self, selector: str) -> list[str]:
        return [element.text for element in self.find(selector) if element.is_displayed()]

    def wait(self, holds: Callable[[], Any]) -> None:
        """Until something holds; fails after ten seconds."""
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 10, poll_frequency=0.05).until(lambda _: holds())

    def hash(self) -> str:
        return str(self.run("return location.hash"))

    def press(self, *keys: str) -> None:
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()


@pytest.fixture
def browser(driver: Any, site: Path) -> Iterator[Browser]:
    driver.get_log("browser")
    yield Browser(driver, site)
    assert driver.get_log("browser") == []


def choose(browser: Browser, name: str, value: str) -> None:
    (select,) = browser.find(f"select[name={name}]")
    (option,) = [
        option for option in select.find_elements("css selector", "option") if option.get_attribute("value") == value
    ]
    option.click()


def test_filters_choose_boards_and_measure_and_remember_it_in_the_address(browser: Browser) -> None:
    browser.open("index.html")
    assert len(browser.shown("section.board")) == 2
    assert browser.shown("output") == ["3 methods on 2 boards"]
    mean = browser.shown("section.board .score")
    choose(browser, "track", "simulated-vlm")
    assert browser.shown("section.board h2") == ["Simulated VLM plans"]
    choose(browser, "task", "pliers")
    browser.wait(lambda: browser.hash() == "#track=simulated-vlm&task=pliers")
    choose(browser, "track", "")
    browser.wait(lambda: browser.hash() == "#task=pliers")
    assert len(browser.shown("section.board .score")) == 3
    assert browser.shown("section.board .score") != mean
    (reset,) = browser.find("button[type=reset]")
    reset.click()
    browser.wait(lambda: browser.hash() == "")
    assert browser.shown("section.board .score") == mean


def test_an_address_with_filters_opens_so_and_nonsense_in_it_is_left_out(browser: Browser) -> None:
    browser.open("index.html#track=oracle&task=hammer&backend=physx_cpu")
    assert browser.shown("output") == ["2 methods on 1 board"]
    browser.run("location.hash = '#track=simulated-vlm'")
    browser.wait(lambda: browser.find("section.board[data-track=oracle][hidden]"))
    browser.open('index.html#track="><script>alert(1)</script>&task=constructor')
    assert browser.shown("output") == ["3 methods on 2 boards"]


def test_the_ranking_is_used_from_the_keyboard(browser: Browser) -> None:
    from selenium.webdriver import Keys

    browser.open("index.html")
    browser.press(Keys.TAB)
    assert browser.run("return document.activeElement.className") == "skip"
    for _ in range(20):
        browser.press(Keys.TAB)
        if browser.run("return document.activeElement.name") == "track":
            break
    browser.press(Keys.ARROW_DOWN)
    browser.wait(lambda: browser.hash() == "#track=oracle")
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert browser.run(outline) != "none"
    for _ in range(20):
        browser.press(Keys.TAB)
        if browser.run("return document.activeElement.className") == "method":
            break
    browser.press(Keys.ENTER)
    browser.wait(lambda: "/methods/" in browser.driver.current_url)


def all_addresses(site: Path) -> list[str]:
    return sorted(str(path.relative_to(site)) for path in site.rglob("*.html"))


@pytest.mark.parametrize("size", [PHONE, DESKTOP, (320, 640)], ids=str)
def test_no_page_scrolls_sideways(browser: Browser, site: Path, size: tuple[int, int]) -> None:
    browser.look(size)
    for address in all_addresses(site):
        browser.open(address)
        assert browser.run("return document.documentElement.scrollWidth") <= size[0], address


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_light_or_dark_from_the_start_and_text_is_readable(browser: Browser, scheme: str) -> None:
    browser.look(DESKTOP, scheme)
    browser.open("index.html")
    paper, ink, soft = (
        sum(int(part) for part in browser.run(f"return getComputedStyle({what}).{kind}")[4:-1].split(","))
        for what, kind in (
            ("document.body", "backgroundColor"),
            ("document.body", "color"),
            ("document.querySelector('.protocol')", "color"),
        )
    )
    assert (paper > 600) == (scheme == "light")
    assert abs(paper - ink) > 450
    assert abs(paper - soft) > 300


def test_what_a_submission_says_is_shown_and_not_run(browser: Browser) -> None:
    browser.open("methods/two.html")
    assert browser.find("main img") == []
    assert browser.find("main script") == []
    assert HOSTILE in browser.run("return document.querySelector('main').textContent")


def test_the_replay_moves_and_is_used_by_keyboard_and_hand(browser: Browser) -> None:
    from selenium.webdriver import ActionChains, Keys

    browser.open("replays/falling.html")
    (canvas,), (play,), (scrubber,) = (
        browser.find(selector) for selector in ("canvas.replay", "button[name=play]", "input[name=frame]")
    )

    def frame() -> int:
        return int(browser.run("return arguments[0].value", scrubber))

    def picture() -> str:
        return str(browser.run("return arguments[0].toDataURL()", canvas))

    def changes(before: str) -> None:
        browser.wait(lambda: picture() != before)

    browser.wait(lambda: frame() > 2)  # plays by itself
    play.click()
    assert play.text == "Play"
    before = picture()
    canvas.click()
    for key in (Keys.ARROW_LEFT, Keys.ARROW_UP, "+"):
        browser.press(key)
        changes(before)
        before = picture()
    ActionChains(browser.driver).drag_and_drop_by_offset(canvas, 80, 20).perform()
    changes(before)
    browser.press(Keys.HOME)
    browser.wait(lambda: frame() == 0)
    browser.press(".")
    browser.wait(lambda: frame() == 1)
    browser.run("arguments[0].focus()", scrubber)
    browser.press(Keys.ARROW_RIGHT)
    browser.wait(lambda: frame() == 2)
    assert "cm" in browser.shown("output.state")[0]
    browser.press(Keys.END)
    browser.wait(lambda: "solved" in browser.shown("output.state")[0])
    play.click()
    browser.wait(lambda: 0 < frame() < 20)  # from the start again


def test_a_method_links_to_its_replay(browser: Browser) -> None:
    browser.open("methods/one.html")
    (link,) = browser.find("a[href*='replays/falling']")
    link.click()
    browser.wait(lambda: browser.driver.current_url.endswith("replays/falling.html"))
