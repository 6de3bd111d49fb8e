"""serve_page.py BROWSER URL SERVER: types into the page at URL with a headless Chromium, over its DevTools protocol on a pipe
(chromedevtools.github.io/devtools-protocol), and looks at the document. SERVER is the server's process, which is stopped in the end.
Prints TAP."""
import json
import os
import select
import signal
import subprocess
import sys
import time


class Browser:
    def __init__(self, program, profile):
        read_end, self.commands = os.pipe()
        self.replies, write_end = os.pipe()

        def pipes():  # the browser reads commands from 3 and writes replies to 4
            kept = os.dup(read_end), os.dup(write_end)
            os.dup2(kept[0], 3)
            os.dup2(kept[1], 4)

        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-pipe"]
        self.process = subprocess.Popen([program, *options, f"--user-data-dir={profile}", "about:blank"], close_fds=False, preexec_fn=pipes,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(read_end)
        os.close(write_end)
        self.number, self.rest, self.session, self.complaints = 0, b"", None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(domain + ".enable")

    def message(self):
        while b"\0" not in self.rest:
            if not select.select([self.replies], [], [], 60)[0]:
                raise TimeoutError("the browser does not answer")
            got = os.read(self.replies, 1 << 16)
            if not got:
                raise EOFError("the browser has ended")
            self.rest += got
        text, self.rest = self.rest.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, **params):
        self.number += 1
        command = {"id": self.number, "method": method, "params": params}
        if self.session:
            command["sessionId"] = self.session
        os.write(self.commands, json.dumps(command).encode() + b"\0")
        while True:
            m = self.message()
            if m.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(m["params"]["exceptionDetails"])
            if m.get("method") == "Log.entryAdded" and m["params"]["entry"]["level"] == "error":
                self.complaints.append(m["params"]["entry"])
            if m.get("id") == self.number:
                if "error" in m:
                    raise RuntimeError(f"{method}: {m['error']}")
                return m["result"]

    def value(self, expression):
        r = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in r:
            raise RuntimeError(r["exceptionDetails"])
        return r["result"].get("value")

    def until(self, expression, seconds=60):
        end = time.monotonic() + seconds
        while not self.value(f"Promise.resolve({expression}).then(Boolean)"):
            if time.monotonic() > end:
                raise TimeoutError(f"not in {seconds} s: {expression}\n{self.value('document.body.innerText')}")
            time.sleep(0.05)

    def key(self, name, code):
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code)

    def send(self, text):
        self.value("document.getElementById('input').focus()")
        self.call("Input.insertText", text=text)
        self.key("Enter", 13)


n = failed = 0


def check(name, body):
    global n, failed
    n += 1
    try:
        body()
        print(f"ok {n} - {name}", flush=True)
    except Exception as e:
        print(f"# {type(e).__name__}: {e}".replace("\n", "\n# "))
        print(f"not ok {n} - {name}", flush=True)
        failed = 1


def equal(a, b):
    if a != b:
        raise AssertionError(f"{a!r} is not {b!r}")


def main():
    program, url, server = sys.argv[1], sys.argv[2], int(sys.argv[3])
    b = Browser(program, os.path.abspath("profile"))
    answers = "[...document.querySelectorAll('.assistant .text')].map(e => e.textContent)"
    idle = "document.getElementById('send').textContent === 'Send'"

    def opens():
        b.call("Page.navigate", url=url + "/")
        b.until("document.readyState === 'complete' && document.getElementById('state')?.textContent.includes('ready')")
        equal(b.value("document.title"), "Pumice")
        b.until("document.activeElement.id === 'input'")

    def chats():
        b.send("What is 37 + 58?")
        b.until(idle + " && document.querySelector('.assistant small')")
        equal(b.value("document.querySelector('.user').textContent"), "What is 37 + 58?")
        equal(b.value(answers), ["37 + 58 = 95"])
        equal(b.value("document.querySelector('details').textContent.includes('carry 1')"), True)
        equal(b.value("/^[1-9][0-9]* tokens, [0-9.]+ per second$/.test(document.querySelector('small').textContent)"), True)
        equal(b.value("document.getElementById('input').value"), "")

    def goes_on():
        b.send("What is 1 + 1?")
        b.until(idle + " && document.querySelectorAll('small').length === 2")
        equal(len(b.value(answers)), 2)

    def stops():
        b.value("document.getElementById('fresh').click()")
        equal(b.value("document.querySelectorAll('.message').length"), 0)
        b.send("Tell me a long tale about a dragon.")
        b.until("document.querySelector('.assistant')?.textContent.length > 20")
        b.key("Escape", 27)
        b.until(idle)
        said = b.value("document.querySelector('.assistant').textContent")
        b.until("fetch('slots').then(r => r.json()).then(s => s.every(x => !x.is_processing))", 5)
        equal(b.value("document.querySelector('.assistant').textContent"), said)

    def begins_anew():
        b.send("Tell me a long tale about a cow.")
        b.until("document.querySelectorAll('.assistant')[1]?.textContent.length > 20")
        b.value("document.getElementById('fresh').click()")
        b.until(idle)
        b.send("What is 37 + 58?")
        b.until(idle + " && document.querySelector('small')")
        equal(b.value(answers), ["37 + 58 = 95"])

    def tells_of_errors():
        equal(b.complaints, [])
        os.kill(server, signal.SIGINT)
        b.until("document.getElementById('state').textContent === 'the server does not answer'", 20)
        b.send("Hello?")
        b.until(idle + " && document.querySelector('.error')")

    check("the page opens", opens)
    check("a chat through its form", chats)
    check("a second turn", goes_on)
    check("an answer is stopped", stops)
    check("a new chat in the middle of an answer", begins_anew)
    check("no complaints so far; it tells when the server has gone", tells_of_errors)
    print(f"1..{n}")
    b.session = None
    b.call("Browser.close")
    b.process.wait()
    return failed


sys.exit(main())
