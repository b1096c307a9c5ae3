"""The live page in a real Chromium, over a real sidecar and a real shop."""

import secrets
import shutil
import signal
import urllib.parse

import pytest

from tests.browser import CONTRASTS, Tab, Watched, axe, browser
from tests.helpers import until

IMAGE = '<img src=x onerror="window.planted=1">'
SCRIPT = '"><script>window.planted=1</script>'
REVERSED = "invoice\u202efdp.exe"
LONG = "very." * 60
TOKEN = secrets.token_hex(16)
#: Every view, and what is needed of a run for some.
VIEWS = ("", "tasks", "runs", "endings", "workers", "processes", "routes", "sidecar", "runbook/AfterwordTaskLost")
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def chromium():
    """One browser for all of them."""
    with browser() as found:
        yield found


@pytest.fixture
def watched(children, directory):
    """``watched(**env)``: a sidecar; ``.serve()`` starts the shop beside it."""
    return lambda **env: Watched(children, directory, **env)


@pytest.fixture
def tab(chromium):
    """``tab(watched, **context)``: a page of its own; none may have had a fault in the end."""
    made = []

    def open_one(of, **context):
        made.append(Tab(chromium.new_context(**context), of.origin))
        return made[-1]

    yield open_one
    for one in made:
        one.close()


def count(page, selector):
    """How many elements there are."""
    return page.locator(selector).count()


def has_text(page, selector, text):
    """Wait until the first of these has this text in it."""
    page.locator(selector).filter(has_text=text).first.wait_for()


def width(page):
    """How far it can be scrolled to the side, in pixels."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def test_the_first_paint_has_the_verdict_and_asks_nobody_else(watched, tab):
    """No complaint of the browser, no broken policy, no foreign address."""
    one = watched().serve()
    one.visit("/mail/7")
    until(lambda: one.items("runs"))
    seen = tab(one)
    seen.open().locator(".verdict strong").wait_for()
    has_text(seen.page, "#link", "live")
    for view in VIEWS:
        seen.open(f"#/{view}")
    assert {urllib.parse.urlsplit(url).netloc for url in seen.asked} == {one.listen}
    assert seen.complaints == []


def test_a_policy_that_is_broken_is_heard(watched, tab):
    """The test above can fail: a style in the markup is refused, and noticed."""
    seen = tab(watched())
    page = seen.open()
    with page.expect_console_message(lambda message: message.text.startswith("CSP style-src")):
        page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\">x</p>')")
    assert seen.faults
    seen.complaints.clear()


def test_a_run_that_dies_with_its_process_is_told_by_the_same_page(watched, tab):
    """The verdict turns, and the run is among the newest bad endings; nothing is loaded anew."""
    one = watched().serve()
    one.visit("/mail/7")
    until(lambda: one.items("runs", state="running") or one.items("runs", state="overdue"))
    seen = tab(one)
    page = seen.open()
    has_text(page, "table[aria-label^='Open runs'] tr", "shop_app.mail")
    assert page.locator(".verdict strong").text_content() in ("ok", "degraded")
    page.evaluate("window.kept = true")
    one.kill()
    seen.verdict("bad")
    row = page.locator("table[aria-label='The newest bad endings'] tbody tr").filter(has_text="shop_app.mail")
    row.filter(has_text="lost").filter(has_text="killed").wait_for()
    assert page.evaluate("window.kept")


def test_from_the_verdict_to_the_line_where_a_run_is_stuck(watched, tab):
    """By click; back leads back, and the address alone leads there again."""
    one = watched(AFTERWORD_TIME_SCALE="20").serve()
    run = one.overdue()
    page = tab(one).open()
    page.locator("table[aria-label='Tasks with their books'] a").filter(has_text="mail").click()
    has_text(page, "main h1", "shop_app.mail")
    page.locator("table[aria-label='Open runs'] a").filter(has_text="mail").click()
    page.locator(".calls li").first.wait_for()
    assert page.locator(".timeline li b").all_text_contents() == ["scheduled", "started", "due", "now"]
    calls = page.locator(".calls li").all_text_contents()
    assert sorted(call.rpartition(" in ")[2] for call in calls) == ["answer", "mail"]
    assert page.url.endswith(f"#/run/{run['id']}")
    page.go_back()
    has_text(page, "h2", "Limits and habit")
    page.go_forward()
    page.reload()
    has_text(page, ".calls li", "in answer")


def test_the_innermost_call_stands_where_the_page_says(watched, tab):
    """Last, and marked: there the run is stuck."""
    one = watched(AFTERWORD_TIME_SCALE="20").serve()
    page = tab(one).open(f"#/run/{one.overdue()['id']}")
    heading = page.locator("h2").filter(has_text="Where it is stuck").text_content()
    first, *_, last = page.locator(".calls li").all_text_contents()
    innermost = last if "last" in heading else first
    assert innermost.endswith(" in answer"), heading
    marked = page.locator(".calls li").evaluate_all(
        "nodes => nodes.findIndex(n => getComputedStyle(n).boxShadow !== 'none')"
    )
    assert page.locator(".calls li").nth(marked).text_content() == innermost


def test_the_same_way_without_a_mouse(watched, tab):
    """As the page's own help says: Tab, j, k, Enter, Esc."""
    one = watched(AFTERWORD_TIME_SCALE="20").serve()
    one.overdue()
    page = tab(one).open("#/tasks")
    focused = "document.activeElement"
    page.keyboard.press("Tab")
    assert page.evaluate(f"{focused}.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate(f"{focused}.id") == "main"
    page.keyboard.press("j")
    assert "mail" in page.evaluate(f"{focused}.textContent")
    assert page.evaluate(f"getComputedStyle({focused}).outlineStyle") != "none"
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    has_text(page, "h2", "Limits and habit")
    while not page.evaluate(f"{focused}.getAttribute('href')?.startsWith('#/run/')"):
        page.keyboard.press("j")
    page.keyboard.press("Enter")
    has_text(page, ".calls li", "in answer")
    page.keyboard.press("Escape")
    has_text(page, "h2", "Limits and habit")
    page.keyboard.press("Escape")
    has_text(page, "main h1", "Tasks")
    page.wait_for_function(f"() => {focused}.textContent.includes('mail')")  # the row that was left
    page.keyboard.press("?")
    page.locator("dialog[open] dt").first.wait_for()
    page.keyboard.press("Escape")
    page.wait_for_function("() => !document.querySelector('dialog').open")


def test_a_run_that_nobody_knows_is_told_so(watched, tab):
    """In one sentence, with a way on."""
    page = tab(watched().serve()).open(f"#/run/{urllib.parse.quote(REVERSED + IMAGE, safe='')}")
    has_text(page, "main", f"No run invoice\\u202efdp.exe{IMAGE} is open or kept")
    assert (count(page, "main img"), page.evaluate("window.planted")) == (0, None)
    page.get_by_role("link", name="To the overview").click()
    page.locator(".verdict").wait_for()


def test_a_lost_run_has_its_reason_and_what_to_do(watched, tab):
    """Its timeline ends, and the runbook of its alert is below."""
    one = watched().serve()
    one.visit("/mail/7")
    until(lambda: [run for run in one.items("runs") if run["started"]])
    one.kill()
    until(lambda: one.items("endings", ending="lost", task="shop_app.mail"))
    page = tab(one).open("#/endings?ending=lost")
    page.locator("tbody tr").filter(has_text="shop_app.mail").locator("a").first.click()
    has_text(page, ".why", "killed, while running")
    assert page.locator(".timeline li b").all_text_contents() == ["scheduled", "started", "ended"]
    has_text(page, ".prose h2", "AfterwordTaskLost")
    assert page.locator(".prose h3").all_text_contents()[0] == "Meaning"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_in_both_schemes(watched, tab, scheme):
    """At least 4.5:1, on a bad day."""
    one = watched(AFTERWORD_TIME_SCALE="20").serve()
    one.visit("/push")
    run = one.overdue()
    seen = tab(one, color_scheme=scheme)
    for view in (*VIEWS, f"run/{run['id']}", "task/shop/background/shop_app.mail"):
        page = seen.open(f"#/{view}")
        low = [found for found in page.evaluate(CONTRASTS) if found[0] < 4.5]
        assert low == [], view
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert all((int(part) < 64) == (scheme == "dark") for part in ground.strip("rgb()").split(",")), ground


def test_a_chosen_scheme_is_kept(watched, tab):
    """Over a reload, and again the other way."""
    page = tab(watched().serve(), color_scheme="light").open()
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Switch between light and dark").click()
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    assert page.evaluate(ground) == dark
    page.get_by_role("button", name="Switch between light and dark").click()
    page.reload()
    assert page.evaluate(ground) == light


def test_a_phone_shows_the_verdict_first_and_never_scrolls_sideways(watched, tab):
    """390 pixels are enough for every view."""
    one = watched(AFTERWORD_TIME_SCALE="20").serve()
    one.visit("/push")
    run = one.overdue()
    seen = tab(one, viewport=PHONE)
    page = seen.open()
    box = page.locator(".verdict").bounding_box()
    assert box["y"] + box["height"] <= PHONE["height"]
    assert page.locator(".brand").bounding_box()["height"] < 48  # its name on one line
    for view in (*VIEWS, f"run/{run['id']}", "task/shop/background/shop_app.mail"):
        seen.open(f"#/{view}")
        assert width(page) <= 0, view


def test_ten_thousand_open_runs_are_no_burden(watched, tab):
    """A page of them at a time: few elements, the last one is reached, another view comes within seconds."""
    one = watched().serve(AFTERWORD_SLOTS="16384")
    one.visit("/crowd?times=10000")
    seen = tab(one)
    page = seen.open()
    has_text(page, ".verdict ~ *", "10,000")
    for view in ("Tasks", "Open runs", "Bad endings", "Overview", "Open runs"):
        page.get_by_role("navigation", name="Views").get_by_role("link", name=view, exact=True).click(timeout=8000)
        has_text(page, ".verdict ~ *" if view == "Overview" else "main h1", "10,000" if view == "Overview" else view)
        assert count(page, "*") < 3000, view
    has_text(page, ".pager", "1 to 100 of 10,000")
    page.get_by_role("link", name="Next").click()
    has_text(page, ".pager", "101 to 200 of 10,000")
    seen.open("#/runs?offset=9800").get_by_role("link", name="Next").click()
    has_text(page, ".pager", "9,901 to 10,000 of 10,000")
    page.get_by_role("link", name="Next").wait_for(state="hidden")
    assert count(page, "tbody tr") == 100
    seen.open("#/tasks?offset=100")
    has_text(page, ".pager", "101 to 200 of 200")


@pytest.mark.parametrize("name", [IMAGE, SCRIPT, REVERSED, LONG])
def test_a_name_is_a_text_whatever_is_in_it(watched, tab, name):
    """Of task, route, service, owner and exception: shown, not obeyed."""
    one = watched().serve(PLANTED=name, AFTERWORD_SERVICE=name)
    one.visit(f"/fails/{urllib.parse.quote(name)}")
    one.visit(f"/ends/{urllib.parse.quote(name)}")
    until(lambda: one.items("routes"))
    (ending,) = until(lambda: one.items("endings", ending="failed"))
    seen = tab(one, viewport=PHONE)
    page = seen.open()
    shown = ending["task"].replace("\u202e", "\\u202e")
    here = urllib.parse.quote(ending["service"], safe=""), ending["kind"], urllib.parse.quote(ending["task"], safe="")
    for view in ("", "tasks", "endings", "routes", "processes", f"run/{ending['id']}", f"task/{'/'.join(here)}"):
        seen.open(f"#/{view}")
        page.set_viewport_size({"width": 1440, "height": 900})
        if view != "processes":
            has_text(page, "main", shown)
        assert (count(page, "img"), count(page, "script")) == (1, 3)
        assert page.evaluate("window.planted") is None
        assert "\u202e" not in page.evaluate("document.body.textContent + document.title")
        assert width(page) <= 0, view
        page.set_viewport_size(PHONE)
        assert width(page) <= 0, view


def test_a_sidecar_that_hangs_or_dies_makes_the_page_say_that_it_is_old(watched, tab):
    """Plainly and within seconds; with its next word all is well again."""
    one = watched().serve()
    page = tab(one).open()
    has_text(page, "#link", "live")
    for number in (signal.SIGSTOP, signal.SIGKILL):
        one.sidecar.child.signal(number)
        page.locator("#notices").filter(has_text="what is shown is old").wait_for(timeout=25_000)
        assert page.evaluate("document.body.classList.contains('old')")
        if number == signal.SIGSTOP:
            one.sidecar.child.signal(signal.SIGCONT)
        else:
            one.watch()
        page.locator("#link").filter(has_text="live").wait_for(timeout=40_000)
        page.wait_for_function("() => document.getElementById('notices').childElementCount === 0")


def test_a_directory_without_a_ledger_is_blind_and_one_that_is_gone_is_said_to_be(watched, tab, directory):
    """Neither is good news; a shop that begins is seen without a reload."""
    one = watched()
    page = tab(one).open()
    has_text(page, "main", "No application keeps a ledger here yet")
    page.wait_for_function("() => document.title.startsWith('blind')")
    one.serve()
    page.locator(".verdict").wait_for()
    one.shop[0].end()

    def is_gone():
        shutil.rmtree(directory, ignore_errors=True)  # what the sidecar writes just now may be in the way
        return not directory.exists()

    until(is_gone)
    has_text(page, "#notices", "The directory of the ledgers")
    page.wait_for_function("() => document.title.startsWith('blind')")


def test_the_token_opens_the_page_and_its_events(watched, tab, chromium):
    """As the password of any user; without it the browser is refused."""
    one = watched(AFTERWORD_TOKEN=TOKEN).serve()
    page = tab(one, http_credentials={"username": "me", "password": TOKEN}).open()
    has_text(page, "#link", "live")
    with chromium.new_context() as context:
        assert context.request.get(f"{one.origin}/").status == 401
        assert context.request.get(f"{one.origin}/api/events").status == 401


def test_nobody_is_shut_out(watched, tab):
    """Nothing is found by axe: names, landmarks, one h1, roles, contrast."""
    looks = axe()
    one = watched(AFTERWORD_TIME_SCALE="20").serve()
    one.visit("/push")
    run = one.overdue()
    seen = tab(one)
    for view in (*VIEWS, f"run/{run['id']}", "task/shop/background/shop_app.mail"):
        page = seen.open(f"#/{view}")
        assert count(page, "h1") == count(page, "main") == count(page, "body > header") == 1
        found = looks.run(page).response["violations"]
        assert [(rule["id"], [node["html"] for node in rule["nodes"]][:3]) for rule in found] == [], view
