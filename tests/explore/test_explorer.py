"""The explorer: walks, the shortest way to a state, who is let in, what is saved, and the page in a browser."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import struct
import threading

import jsonschema
import pytest

from harness import ROOT, complaints
from pasidlab import designs
from pasidlab.checking.api import check
from pasidlab.cli import main
from pasidlab.errors import PasidlabError
from pasidlab.explore.goal import shortest_way
from pasidlab.explore.page import explore_page
from pasidlab.explore.server import Explorer
from pasidlab.explore.walk import Walker
from pasidlab.model.scope import Scope
from pasidlab.report.account import Account, Checked
from pasidlab.report.json import results_json
from pasidlab.report.schema import schema_text
from pasidlab.trace.steps import Move

SMALL = Scope(cpus=2, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "migrate", "softirq"}))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WRONG = "task.need_fpu_load and cpu.fpregs_owner is task and task.last_cpu is cpu and cpu.msr_pasid != 0 and not task.bv_pasid"


@pytest.fixture(scope="module")
def walker():
    return Walker(designs.late_either, SMALL)


@pytest.fixture(scope="module")
def server(walker):
    served = Explorer(walker, walker.walk(()), None)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield served
    served.shutdown()
    served.server_close()


def ask(server, path, body=None, host=None, kind="application/json"):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    headers = {"Host": host or f"127.0.0.1:{server.server_port}"} | ({"Content-Type": kind} if body is not None else {})
    connection.request("GET" if body is None else "POST", path, body if body is None else json.dumps(body), headers)
    reply = connection.getresponse()
    return reply.status, reply.read().decode()


def test_a_walk_takes_any_enabled_step_and_no_other(walker) -> None:
    begin = walker.walk(())
    assert [(e.cpu, e.words) for e in begin.enabled] == [
        (0, "<softirq>"), (1, "<softirq>"), (0, "<preempted>"), (1, "<idle looks for work>"),
        (0, "ENQCMD -> #GP"), (0, "uses its registers"),
    ]  # fmt: skip
    for choice in begin.enabled:
        after = walker.walk([choice.move])
        assert after.path.steps[0].move == choice.move and len(after.path.steps[0].others) == 5 and after.path.property == ""
    for wrong in (Move("enqcmd", (2,)), Move("enqcmd", (7,)), Move("enqcmd", ()), Move("nothing", ())):
        with pytest.raises(PasidlabError, match=r"step 1, .* cannot be made there"):
            walker.walk([wrong])


def test_the_shortest_way_to_a_state(walker) -> None:
    found = shortest_way(walker, WRONG).path
    assert (len(found.steps), found.property) == (12, "coherent")
    assert len(shortest_way(walker, "cpu.user_regs != 0").path.steps) == 1
    assert shortest_way(walker, "cpu.current is task").path.steps == ()


@pytest.mark.parametrize(("expression", "column"), [
    ("cpu.nothing", 1), ("  foo", 3), ("cpu.current  is   task and\n foo", 29), ("cpu.msr_pasid ==", 17), ("  (1", 3), ("1 +* 2", 4),
])  # fmt: skip
def test_a_mistake_has_the_column_it_was_typed_at(walker, expression: str, column: int) -> None:
    with pytest.raises(PasidlabError) as caught:
        shortest_way(walker, expression)
    assert str(caught.value.position) == f"<expression>:1:{column}"


@pytest.mark.parametrize("nothing", ["", "  "])
def test_no_expression_is_a_mistake(nothing: str, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["explore", "late-either", "--find", nothing])
    assert ended.value.code == 2 and "an expression is needed" in capsys.readouterr().err


@pytest.mark.parametrize(("expression", "said"), [
    ("task.state == 2", "no state between two steps of a walk is such: all [0-9,]+ of this scope"),
    ("cpu.msr_pasid ==", "not an expression"),
    ("cpu.current.need_fpu_load and cpu.current is None", "cannot be computed in a state [0-9]+ steps? away"),
    ("foo.bar", "unknown name 'foo'(.|\n)*hint: cpu, task, mm, pasid, other_cpu, other_task stand for any element"),
    ("cpu.nothing", "Cpu has no field 'nothing'"), ("__import__('os').system('x')", "cannot call"),
])  # fmt: skip
def test_what_is_no_such_state_is_told(walker, expression: str, said: str) -> None:
    with pytest.raises(PasidlabError, match=said):
        shortest_way(walker, expression)


def test_the_page_says_what_an_expression_may_name(walker) -> None:
    own = designs.Opening(str(ROOT / "examples" / "models" / "tls_register.py")).design()
    assert own.own
    mine = Walker(own, own.own.scope())
    assert "(cpu, task stand for any)" in explore_page(mine.walk(()), mine)
    page = explore_page(walker.walk(()), walker)
    assert "(cpu, task, mm, pasid, other_cpu, other_task stand for any)" in page and 'placeholder="task.need_fpu_load and' in page


def test_only_who_knows_the_address_is_let_in(server) -> None:
    page = f"/{server.token}/"
    assert ask(server, page)[0] == 200
    assert [ask(server, path)[0] for path in ("/", "/walk", "/wrong/", f"/{server.token}")] == [404] * 4
    assert ask(server, page, host="evil.example")[0] == 404 and ask(server, page, host=f"localhost:{server.server_port}")[0] == 200
    asked = {"moves": [], "initial": 0}
    assert ask(server, f"{page}walk", asked)[0] == 200
    assert ask(server, f"{page}walk", asked, host="evil.example:80")[0] == 404 and ask(server, "/wrong/walk", asked)[0] == 404
    assert ask(server, f"{page}walk", asked, kind="text/plain")[0] == 404
    for wrong in ({"moves": 3}, {"moves": [["enqcmd"]]}, {"moves": [["enqcmd", ["x"], []]]}, {"initial": "a"}, [], "x"):
        assert ask(server, f"{page}walk", wrong)[0] == 400
    assert ask(server, f"{page}walk", {"initial": 7})[0] == 400 and ask(server, f"{page}nothing", asked)[0] == 404


def test_what_is_wrong_with_a_request_is_told(server, walker, capfd) -> None:
    page, first = f"/{server.token}/", walker.walk(()).enabled[0].move
    moves = [[first.action, list(first.params), list(first.choices)]]
    assert "with a token in it" in ask(server, "/")[1]
    assert "answers to the names 127.0.0.1:" in ask(server, page, host="evil.example")[1]
    assert "with a token in it" in json.loads(ask(server, "/wrong/walk", {})[1])["error"]
    assert "nested too deeply" in json.loads(ask(server, f"{page}find", {"expression": "-" * 100_000 + "1"})[1])["error"]
    assert "nested too deeply" in json.loads(ask(server, f"{page}find", {"expression": "1+" * 20_000 + "1"})[1])["error"]
    for damaged in ({"moves": 3}, {"moves": moves, "initial": None}, {"moves": moves, "initial": ["x"]}, {"moves": [["enqcmd", 0]]}):
        status, said = ask(server, f"{page}load", damaged)
        assert (status, "are damaged" in said) == (400, True)
    status, said = ask(server, f"{page}load", {"moves": moves, "initial": [1, 2]})
    assert status == 200 and len(json.loads(said)["trace"]["steps"]) == 1
    gone = socket.create_connection(("127.0.0.1", server.server_port))
    gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    gone.sendall(b"GET /")
    gone.close()
    assert ask(server, page)[0] == 200 and capfd.readouterr().err == ""


def test_a_saved_path_is_made_again(server, walker, tmp_path, capsys) -> None:
    moves = [[m.action, list(m.params), list(m.choices)] for m in shortest_way(walker, WRONG).path.recipe().moves[:8]]
    status, text = ask(server, f"/{server.token}/save", {"moves": moves, "initial": 0})
    assert status == 200
    jsonschema.validate(json.loads(text), json.loads(schema_text("path")))
    assert json.loads(text)["results"][0]["file"] == "{pasidlab}/designs/late_either.py"
    (tmp_path / "path.json").write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["replay", str(tmp_path / "path.json")])
    out = capsys.readouterr().out
    assert ended.value.code == 0 and "path, 8 steps" in out and "T0 ENQCMD -> #GP" in out and "VIOLATED" not in out


@pytest.fixture
def opened(server):
    """The page in a browser as wide as a phone, and what its console complains of."""
    if CHROMIUM is None:
        pytest.skip("no browser on this machine: apt-get install chromium")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=60_000)
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=120_000)
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.set_default_timeout(60_000)
        errors = complaints(page)
        page.goto(server.url)
        yield page, errors
        browser.close()


def test_the_page_takes_steps_goes_back_and_finds(opened, tmp_path) -> None:
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import expect

    page, errors = opened
    assert page.locator(".trace output").inner_text() == "Step 0 of 0"
    page.get_by_role("button", name="Take: CPU 0: T0 ENQCMD").click()
    expect(page.locator(".trace output")).to_have_text("Step 1 of 1")
    page.locator("#goal").fill(WRONG)
    page.get_by_role("button", name="Find").click()
    expect(page.locator(".trace output")).to_have_text("Step 12 of 12")
    assert page.locator(".picture .wrong").count() == 2 and "coherent" in page.locator(".trace h3").inner_text()
    page.locator("input[type=range]").fill("4")
    page.get_by_role("button", name="Take: CPU 1").first.click()
    expect(page.locator(".trace output")).to_have_text("Step 5 of 5")
    page.locator("#goal").fill("cpu.nothing")
    page.get_by_role("button", name="Find").click()
    expect(page.locator(".said")).to_contain_text("no field")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save the path").click()
    saved.value.save_as(tmp_path / "path.json")
    page.get_by_role("button", name="Start again").click()
    expect(page.locator(".trace output")).to_have_text("Step 0 of 0")
    page.locator("#load").set_input_files(tmp_path / "path.json")
    expect(page.locator(".trace output")).to_have_text("Step 0 of 5")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert [text for text in errors if "400 (Bad Request)" not in text] == [] and len(errors) == 1  # what was asked for in vain
    assert [v["id"] for v in Axe().run(page).response["violations"]] == []


def test_the_walk_outlives_a_reload_and_back_leads_to_the_one_before(opened, walker, tmp_path) -> None:
    """A counterexample of a saved check is loaded, stepped through with the mouse, and left in the middle."""
    from playwright.sync_api import expect

    page, errors = opened
    where = page.locator(".trace output")
    part = check("late-either", SMALL, jobs=1, properties=["coherent"])
    (tmp_path / "found.json").write_text(json.dumps(results_json(Account((Checked(designs.late_either, part),)))), encoding="utf-8")
    page.locator("#load").set_input_files(tmp_path / "found.json")
    expect(where).to_have_text("Step 0 of 12")
    box = page.locator("input[type=range]").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 8, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, middle, steps=40)
    expect(where).to_have_text("Step 12 of 12")
    page.mouse.move(box["x"] + box["width"] / 3, middle, steps=20)
    page.mouse.up()
    expect(where).to_have_text("Step 4 of 12")
    page.reload()
    expect(where).to_have_text("Step 4 of 12")
    first = page.locator(".others li").first.inner_text()
    page.get_by_role("button", name="Take: CPU 1").first.dblclick()
    expect(where).to_have_text("Step 5 of 5")
    page.reload()
    expect(where).to_have_text("Step 5 of 5")
    page.go_back()
    expect(where).to_have_text("Step 4 of 12")
    assert page.locator(".others li").first.inner_text() == first
    page.go_forward()
    expect(where).to_have_text("Step 5 of 5")
    page.evaluate("location.hash = 'walk=nothing:7:&step=1'")
    expect(page.locator(".said")).to_contain_text("step 1, nothing, cannot be made there")
    assert [text for text in errors if "400 (Bad Request)" not in text] == [] and len(errors) == 1
