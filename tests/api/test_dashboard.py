"""The dashboard in a real Chromium, beside a real bot: what a person does, what an attacker tries, and how it looks."""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.services.parts import full, library, program

pytestmark = full  # a browser, and a house of three processes
SHOTS = Path(__file__).parents[2] / "build" / "screenshots"
SIZES = {
    "desktop": ({"width": 1400, "height": 1000}, "light"),
    "phone": ({"width": 390, "height": 844}, "light"),
    "dark": ({"width": 1400, "height": 1000}, "dark"),
}
XSS = (
    "<script>window.pwned=1</script>", "<img src=x onerror=window.pwned=1>", "\"><svg onload=window.pwned=1>", "javascript:window.pwned=1",
    "<iframe srcdoc='<script>parent.pwned=1</script>'>", "'-window.pwned=1-'", "</script><script>window.pwned=1</script>",
    "<a href=javascript:window.pwned=1>x</a>", "{{constructor.constructor('window.pwned=1')()}}", "<style>@import'//evil.example'</style>",
)  # fmt: skip


@pytest.fixture(scope="module")
def chromium():
    path = program("chromium", "chromium-browser", "google-chrome")
    library("playwright")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, house):
    """A page that is logged in; what its console says of errors and broken policies fails the test."""
    context = chromium.new_context(viewport=SIZES["desktop"][0])
    one = context.new_page()
    wrong = []
    one.on("console", lambda said: wrong.append(said.text) if said.type in {"error", "warning"} else None)
    one.on("pageerror", lambda error: wrong.append(str(error)))
    one.add_init_script(
        "document.addEventListener('securitypolicyviolation', (e) => console.error('CSP ' + e.violatedDirective + ' ' + e.blockedURI))"
    )
    enter(one, house)
    yield one
    context.close()
    assert not wrong, wrong


def enter(page, house, name="all"):
    page.goto(f"http://127.0.0.1:{house.port}/#token={house.token(name)}")
    page.wait_for_selector("body:not(.out)")
    page.wait_for_selector("#fresh:text-is('live')")


def text(page, selector):
    return page.locator(selector).inner_text()


def test_mounts_that_are_valued_at_closes_of_their_own_are_added_up_whole(page):
    rows = [
        ("01:00", "a", "600"),
        ("02:00", "a", "610"),
        ("04:00", "a", "590"),
        ("04:00", "b", "400"),
        ("05:00", "a", "600"),
    ]
    said = [{"at": f"2024-03-01T{at}:00Z", "mount": mount, "equity": worth} for at, mount, worth in rows]
    assert [one["value"] for one in page.evaluate("rows => together(rows)", said)] == [1_000, 1_010, 990, 1_000]


def test_a_signal_is_seen_to_become_a_fill_and_says_why(page, house):
    house.active()
    assert "token" not in page.url
    house.rate({"BTC/USDT": 91.5})
    page.wait_for_selector("#signals td:has-text('BTC/USDT trader_grade 91.5')", timeout=10_000)
    page.wait_for_selector("#signals tr:first-child .badge:has-text('traded')", timeout=15_000)
    page.wait_for_selector("#fills td:has-text('buy')")
    page.wait_for_selector("#holdings td:has-text('BTC/USDT')")
    page.locator("#signals tbody tr:first-child button").click()
    page.wait_for_selector("#why[open] li:has-text('filled')")
    assert "ordered" in text(page, "#why")
    page.keyboard.press("Escape")
    assert page.locator("#why[open]").count() == 0


def test_halt_is_one_click_and_resume_is_typed(page, house):
    house.active()
    page.locator("#halt").click()
    page.wait_for_selector("#state:text-is('halted')")
    assert house.state() == "halted"
    page.locator("#resume").click()
    assert page.locator("#confirm-go").is_disabled()
    page.locator("#typed").fill("resume hous")
    assert page.locator("#confirm-go").is_disabled()
    page.locator("#typed").fill("resume house")
    page.keyboard.press("Enter")
    page.wait_for_selector("#state:text-is('active')", timeout=20_000)


def test_the_keyboard_is_enough(page, house):
    house.active()
    page.locator("body").click(position={"x": 1, "y": 1})
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
    assert {"halt", "resume", "flatten", "theme", "leave"} <= reached


def test_what_is_old_is_not_shown_as_live(page, house):
    os.kill(house.processes["bot"].pid, signal.SIGSTOP)
    try:
        page.wait_for_selector("#stale:visible", timeout=40_000)
        assert text(page, "#fresh") == "not live"
        assert text(page, "#state") == "unknown"
        assert page.evaluate("document.body.classList.contains('old')")
    finally:
        os.kill(house.processes["bot"].pid, signal.SIGCONT)
    page.wait_for_selector("#fresh:text-is('live')", timeout=30_000)
    assert not page.locator("#stale").is_visible()


def test_a_token_that_may_only_look_cannot_act(chromium, house):
    context = chromium.new_context()
    one = context.new_page()
    enter(one, house, "read")
    assert one.locator("#halt").is_disabled()
    assert one.locator("#job-form").is_hidden()
    one.locator("#leave").click()
    one.wait_for_selector("body.out")
    one.locator("#token").fill("wrong-token-wrong-token-wrong")
    one.keyboard.press("Enter")
    one.wait_for_selector("#login-error:has-text('wrong')")
    context.close()


def test_a_backtest_is_begun_and_its_report_opened(page, house):
    page.locator("#job-config").select_option("backtest.yaml")
    page.locator("#job-form button").click()
    link = page.wait_for_selector("#jobs a:has-text('report')", timeout=60_000)
    with page.context.expect_page() as opened:
        link.click()
    report = opened.value
    report.wait_for_load_state()
    assert "RatingBand" in report.content()
    assert report.evaluate("window.origin") == "null"  # sandboxed: it can reach nothing of ours


def payloads(count):
    lot = random.Random(7)
    for number in range(count):
        base = XSS[number % len(XSS)]
        yield (
            number,
            base
            if number < len(XSS)
            else base.replace("pwned=1", f"pwned={number}") + lot.choice(["", "'", '"', "-->", "]]>"]),
        )


def hostile(house, count):
    """Payloads through every text that comes from outside: ids, sources, kinds, assets, bodies of webhooks, commands' reasons."""
    house.active()
    for number, said in payloads(count):
        plain = said.replace(" ", "/")[:90]
        match number % 5:
            case 0:
                house.rate({"BTC/USDT": 50}, source=plain)
            case 1:
                house.rate({"BTC/USDT": 50}, kind=plain)
            case 2:
                house.rate({"BTC/USDT": 50}, id_=plain + str(number))
            case 3:
                house.rate({plain: 50})
            case _:
                house.ask(
                    "POST",
                    "/v1/commands/reconcile",
                    {"argument": said},
                    headers={"Idempotency-Key": f"hostile-{number:04}"},
                )


@pytest.mark.parametrize("count", [20, pytest.param(200, marks=full)])
def test_hostile_texts_are_texts(page, house, count):
    hostile(house, count)
    page.wait_for_selector("#signals td:has-text('pwned')", timeout=15_000)
    page.wait_for_selector("#log li:has-text('pwned')", timeout=15_000)
    for row in page.locator("#signals tbody tr button").all()[:10]:
        row.click()
        page.wait_for_selector("#why[open]")
        page.keyboard.press("Escape")
    page.reload()
    page.wait_for_selector("#signals td:has-text('pwned')", timeout=15_000)
    assert page.evaluate("window.pwned") is None
    assert page.locator("main script, main img, main iframe, main svg").count() == 0


@pytest.mark.parametrize("name", SIZES)
def test_how_it_looks_and_who_can_read_it(chromium, house, name):
    """Screenshots for docs/, and axe finds nothing serious; made after some trading so that there is something to see."""
    library("axe_playwright_python")
    from axe_playwright_python.sync_playwright import Axe

    house.active()
    house.rate({"BTC/USDT": 88, "ETH/USDT": 77})
    time.sleep(1.5)
    size, scheme = SIZES[name]
    context = chromium.new_context(
        viewport=size, color_scheme=scheme, bypass_csp=True
    )  # for axe alone: it evaluates text
    one = context.new_page()
    enter(one, house)
    one.wait_for_selector("#fills td:has-text('buy')")
    one.wait_for_timeout(1_500)
    SHOTS.mkdir(parents=True, exist_ok=True)
    one.screenshot(path=SHOTS / f"dashboard-{name}.png", full_page=True)
    assert one.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it must not scroll sideways"
    found = Axe().run(one).response["violations"]
    serious = [
        (bad["id"], bad["impact"], [node["html"][:120] for node in bad["nodes"]])
        for bad in found
        if bad["impact"] in {"serious", "critical"}
    ]
    assert not serious, json.dumps(serious, indent=1)
    context.close()


def test_the_page_of_the_api_lists_every_route(page, house):
    page.goto(f"http://127.0.0.1:{house.port}/docs")
    page.wait_for_selector("code:has-text('/v1/commands/{name}')")
    paths = json.loads(house.ask("GET", "/openapi.json").body)["paths"]
    assert page.locator("article").count() == sum(map(len, paths.values()))
