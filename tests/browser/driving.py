"""A notebook in a page of a real JupyterLab: run it, press keys in it, and see what follows."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.browser.lab import Lab

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

WITHIN_MS = 60_000
RUNS_WITHIN_MS = 300_000
LARGE_ENOUGH = {"width": 1280, "height": 1000}
CONTROL = ".pfnlab-control"
PICTURE = ".pfnlab-picture"
STATUS = ".pfnlab-status"
MESSAGE = ".pfnlab-message"
BLANKS = "\u200b \n"  # an empty label holds a space of no width
UNDER_WAY = ("sample", "replaying")
#: Keys of a slider and of a list, and what takes each back.
SLID = {"ArrowRight": "ArrowLeft", "ArrowLeft": "ArrowRight", "PageUp": "PageDown"}
LISTED = {"ArrowDown": "ArrowUp", "ArrowUp": "ArrowDown"}
DRAGGED = (6, 12, 18, 12, 6)  # pixels from where it was taken
DEAD = ".jupyter-widgets-disconnected"

# Lab shows a kernel's name before there is one: what counts is that a kernel has answered.
# What widgets have sent, and the kernel is not done with, is kept to know when all is quiet: no
# other question tells, for Lab sends those of widgets to a thread of their own.
READY = """async () => {
    const panel = window.jupyterapp.shell.currentWidget;
    await panel.revealed;
    await panel.sessionContext.ready;
    const kernel = panel.sessionContext.session.kernel;
    await kernel.info;
    const under_way = window.pfnlabUnderWay ??= new Set();
    under_way.clear();
    if (window.pfnlabKernel === kernel) return;
    window.pfnlabKernel = kernel;
    kernel.anyMessage.connect((_, {msg, direction}) => {
        const type = msg.header.msg_type;
        if (direction === 'send' && type === 'comm_msg') under_way.add(msg.header.msg_id);
        if (type === 'status' && msg.content.execution_state === 'idle')
            under_way.delete(msg.parent_header.msg_id);
    });
}"""
HAS_KERNEL = "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel"
RUN_ALL = "() => window.jupyterapp.commands.execute('notebook:run-all-cells')"
# From the model, not from the page: a cell out of sight may not be in the page.
ERRORS = """() => Array.from(window.jupyterapp.shell.currentWidget.content.model.cells)
    .filter(cell => cell.type === 'code')
    .flatMap(cell => Array.from({length: cell.outputs.length}, (_, i) => cell.outputs.get(i)))
    .filter(output => output.type === 'error')
    .map(output => `${output.toJSON().ename}: ${output.toJSON().evalue}`)"""
# A widget sends what it held back once the kernel is done with the last: so for some time.
SETTLED = """async () => {
    const pause = ms => new Promise(done => setTimeout(done, ms));
    let n_seen = -1;
    for (let n_quiet = 0; n_quiet < 4; n_quiet++) {
        await pause(40);
        if (window.pfnlabUnderWay.size || n_seen !== window.pfnlabSeen.length) n_quiet = -1;
        n_seen = window.pfnlabSeen.length;
    }
}"""
FOCUSED = """() => document.activeElement.closest('.pfnlab-control')?.className
    .match(/pfnlab-control-(\\w+)/)?.[1] ?? ''"""
FINGERPRINTS = """async selector => Object.fromEntries(await Promise.all(
    Array.from(document.querySelectorAll(selector), async image => {
        const bytes = await (await fetch(image.src)).arrayBuffer();
        const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
        const hex = Array.from(hash, byte => byte.toString(16).padStart(2, '0')).join('');
        return [image.className.split('-').at(-1), hex];
    })))"""
PIXELS = """async image => {
    const bytes = new Uint8Array(await (await fetch(image.src)).arrayBuffer());
    return btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(''));
}"""
# The clock is the page's, from when it was asked for: a key's own time stamp, and the frame that
# shows the picture it led to.
WATCH = """(() => {
    const seen = window.pfnlabSeen = [], texts = {};
    const note = (what, text, at) => {
        const entry = {what, text, at: at ?? performance.now(), shown: null};
        requestAnimationFrame(() => { entry.shown = performance.now(); });
        seen.push(entry);
    };
    document.addEventListener('keydown', event => note('key', event.key, event.timeStamp), true);
    document.addEventListener('load', event => {
        if (event.target.matches?.('img%s')) note('picture', event.target.className);
    }, true);
    new MutationObserver(() => {
        for (const [what, selector] of [['status', '%s'], ['message', '%s']]) {
            const text = document.querySelector(selector)?.textContent.trim();
            if (text !== undefined && text !== texts[what]) note(what, texts[what] = text);
        }
    }).observe(document, {subtree: true, childList: true, characterData: true});
})()""" % (PICTURE, STATUS, MESSAGE)  # noqa: UP031 - JavaScript is full of braces


@dataclass(frozen=True, slots=True)
class Seen:
    """What happened in a page: a key was pressed, a picture was loaded, a line has a new text.

    `at_ms` is when, since the page was asked for; `shown_ms` when the next frame was drawn.
    """

    what: str
    text: str
    at_ms: float
    shown_ms: float | None


class Notebook:
    """An open notebook; `complaints` are the errors of the page and its console."""

    def __init__(self, lab: Lab, browser: Browser, path: str) -> None:
        self.lab, self.path = lab, path
        self.page: Page = browser.new_page(viewport=LARGE_ENOUGH)  # type: ignore[arg-type]
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._listen)
        self.page.add_init_script(WATCH)
        self.page.goto(lab.url(path), wait_until="commit")
        self.page.wait_for_function(HAS_KERNEL, timeout=WITHIN_MS)
        self.page.evaluate(READY)

    def _listen(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(f"{message.text} ({message.location.get('url', '')})")

    # --- As a whole

    def run_all(self) -> list[str]:
        """Run all cells and return the errors among their outputs."""
        self.page.set_default_timeout(RUNS_WITHIN_MS)
        self.page.evaluate(RUN_ALL)
        self.page.set_default_timeout(WITHIN_MS)
        return self.errors()

    def errors(self) -> list[str]:
        """Return the errors among the outputs of all cells."""
        errors: list[str] = self.page.evaluate(ERRORS)
        return errors

    def restart(self) -> None:
        """Restart the kernel as a user does: by the button, and the dialog that it opens."""
        self.page.locator('[data-command="notebook:restart-kernel"]').first.click()
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        self.page.locator(".jp-Dialog").wait_for(state="detached")
        self.page.evaluate(READY)

    def photograph(self, path: Path) -> Path:
        """Save what is on the screen."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path)
        return path

    # --- Controls

    def controls(self) -> list[str]:
        """Return the names of all controls, from top to bottom."""
        rows = self.page.locator(CONTROL).all()
        found = (
            re.search(r"pfnlab-control-(\w+)", row.get_attribute("class") or "") for row in rows
        )
        return [match[1] for match in found if match]

    def control(self, name: str) -> Locator:
        """Return the row of a control."""
        return self.page.locator(f"{CONTROL}-{name}").first

    def handle(self, name: str) -> Locator:
        """Return what of a control takes the arrow keys, or the text where none does."""
        return self.control(name).locator(".noUi-handle, select, input").first

    def box(self, name: str) -> Locator:
        """Return the text box of a control."""
        return self.control(name).locator("input[type=text]").first

    def press(self, name: str, key: str) -> None:
        """Press a key on a slider or dropdown."""
        self.reveal(name)
        self.handle(name).focus()
        self.page.keyboard.press(key)

    def tab(self) -> str:
        """Press Tab, and return the name of the control that has the keyboard then, or nothing."""
        self.page.keyboard.press("Tab")
        name: str = self.page.evaluate(FOCUSED)
        return name

    def reveal(self, name: str) -> None:
        """Open the tab that a control is on, by keys."""
        for tab in self.page.locator(".pfnlab-explorer .lm-TabBar-tab").all():
            if self.handle(name).is_visible():
                break
            tab.focus()
            self.page.keyboard.press("Enter")
        self.handle(name).wait_for()

    def position(self, name: str) -> str:
        """Return where a slider is, or what of a list is chosen."""
        handle = self.handle(name)
        return handle.get_attribute("aria-valuenow") or handle.input_value()

    @contextmanager
    def nudged(self, name: str) -> Iterator[set[str]]:
        """Move a control by keys until a picture changes; name those that did; move it back.

        One way, the other way, and farther: a step may be refused, or change nothing.
        """
        start, before = self.position(name), self.fingerprints()
        for key, back in self._moves(name).items():
            self._move(name, key)
            changed = {n for n, content in self.fingerprints().items() if content != before[n]}
            if changed:
                yield changed
            if self.position(name) != start:
                self._move(name, back)
            if changed:
                return
        yield set()

    def _moves(self, name: str) -> dict[str, str]:
        listed = self.control(name).locator("select").count()
        return LISTED if listed else SLID

    def _move(self, name: str, key: str) -> None:
        # In a closed list JupyterLab takes the arrows for itself; a space opens it.
        for each in ("Space", key, "Enter") if key in LISTED else (key,):
            self.press(name, each)
        self.settle()

    def drag(self, name: str, seconds: float) -> int:
        """Drag a slider to and fro by the mouse; return how often it was moved.

        It is let go where it was taken.
        """
        self.reveal(name)
        self.handle(name).scroll_into_view_if_needed()
        box = self.handle(name).bounding_box()
        assert box is not None  # it is in sight
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        until, n = self.now_ms() + seconds * 1000, 0
        while self.now_ms() < until:
            for away in (*DRAGGED, 0):
                self.page.mouse.move(x + away, y)
                n += 1
        self.page.mouse.up()
        return n

    def enter(self, name: str, text: str) -> None:
        """Type a text into a control's box and end it with Enter."""
        self.reveal(name)
        self.box(name).focus()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(text)
        self.page.keyboard.press("Enter")
        self.settle()

    def typed(self, name: str) -> str:
        """Return the text in a control's box."""
        return self.box(name).input_value()

    # --- What is seen

    def picture(self, name: str = "") -> Locator:
        """Return a picture by the end of its class, or the first."""
        return self.page.locator(f"img{PICTURE}{name and '-'}{name}").first

    def png(self, name: str = "") -> bytes:
        """Return the bytes of the picture that is shown."""
        picture = self.picture(name)
        picture.wait_for()
        return b64decode(picture.evaluate(PIXELS))

    def fingerprints(self) -> dict[str, str]:
        """Return a hash of the content of each picture, by the end of its class."""
        found: dict[str, str] = self.page.evaluate(FINGERPRINTS, f"img{PICTURE}")
        return found

    def text(self, selector: str) -> str:
        """Return the text of the first element that matches, in sight or not."""
        return (self.page.locator(selector).first.text_content() or "").strip(BLANKS)

    def forget(self) -> None:
        """Forget what was seen so far."""
        self.page.evaluate("() => { window.pfnlabSeen.length = 0; }")

    def seen(self, what: str = "") -> list[Seen]:
        """Return what was seen, or that of a kind, in order, unless it was forgotten."""
        entries = self.page.evaluate("() => window.pfnlabSeen")
        all_ = [Seen(e["what"], e["text"], e["at"], e["shown"]) for e in entries]
        return [one for one in all_ if one.what == (what or one.what)]

    def now_ms(self) -> float:
        """Return the time on the clock of the page."""
        now: float = self.page.evaluate("() => performance.now()")
        return now

    def settle(self) -> None:
        """Wait until the kernel has nothing more to say and no picture changes any more."""
        self.page.evaluate(SETTLED)
        if not self._is_exact():
            self.wait(self._is_exact, "an exact picture")
            self.page.evaluate(SETTLED)

    def _is_exact(self) -> bool:
        """Whether all pictures are exact, or were from the start, or nothing better will come."""
        refused = any(t.strip(BLANKS) for t in self.page.locator(MESSAGE).all_text_contents())
        under_way = [
            text
            for text in self.page.locator(STATUS).all_text_contents()
            if text.strip(BLANKS).startswith(UNDER_WAY)
        ]
        return refused or not under_way

    def wait(self, condition: Callable[[], bool], what: str, within_s: float = 30) -> None:
        """Wait until `condition` holds; `what` is what was waited for, to be told if it never does.

        Raises
        ------
        AssertionError
            If it does not hold in time.
        """
        for _ in range(int(within_s * 20)):
            if condition():
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"{self.path}: waited {within_s:g} s for {what}")

    def close(self) -> None:
        """Shut its kernel down and close the page."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        self.page.close()
