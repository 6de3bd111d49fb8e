#!/usr/bin/python3
"""The app from start to end, through AT-SPI. Prints TAP.   drive_app.py APP ENGINE MODEL [real]

With "real" the engine is pumice itself and the model one that adds; else it is fake_engine.py."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from atspi_driver import App, Missing, act, text_of, wait, walk
from fake_hub import Hub

program, engine, model = sys.argv[1:4]
real = sys.argv[4:] == ["real"]
folder = tempfile.mkdtemp()
data = os.path.join(folder, "data")
name = os.path.basename(model).removesuffix(".gguf")
n_case = n_failed = 0
with socket.create_server(("127.0.0.1", 0)) as free:
    free_port = free.getsockname()[1]
shots = os.environ.get("PM_SHOTS")


def start(*files):
    no_vulkan = {"VK_DRIVER_FILES": os.devnull, "VK_ICD_FILENAMES": os.devnull}  # a doctor takes minutes for a software driver
    process = subprocess.Popen([program, "--engine", engine, "--data", data, *files], env={**os.environ, **no_vulkan})
    return process, App("pumice-gui")


def engine_pids(process):
    out = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True).stdout
    return [int(pid) for pid in out.split()]


def preferences():
    """Opens them; returns the number of threads, as a widget."""
    app.click("push button", "Main menu")
    app.click("menu item", "Preferences")
    return app.find("spin button", "Threads of the processor")


def request(address, key):
    """The status of an answer of the engine to another program."""
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1, "stream": True, "chat_template_kwargs": {"enable_thinking": False}})
    headers = {"Authorization": "Bearer " + key, "Content-Type": "application/json"}
    try:
        return urllib.request.urlopen(urllib.request.Request(address + "/chat/completions", body.encode(), headers), timeout=20).status
    except urllib.error.HTTPError as error:
        return error.code


def ask(question):
    app.type("text", "Message", question)
    app.click("push button", "Send")


def answered(n):
    """All of n answers are whole: each has a button to make another."""
    wait(lambda: len(app.all("push button", "Regenerate answer")) == n and not app.all("push button", "Stop"), 60, f"{n} whole answers")


def case(title):
    def run(function):
        global n_case, n_failed
        n_case += 1
        try:
            function()
            print(f"ok {n_case} - {title}", flush=True)
        except Exception as error:
            n_failed += 1
            print(f"# {type(error).__name__}: {error}\nnot ok {n_case} - {title}", flush=True)
            print(f"# exit code of the app, if it ended: {process.poll()}", flush=True)
            app.dump()
            if shots:
                shoot(f"failed-{n_case}")
    return run


def shoot(what):
    if shots:
        subprocess.run(["import", "-window", "root", os.path.join(shots, what + ".png")])


def check(condition, what):
    if not condition:
        raise Missing(what)


process, app = start(model)


@case("a model file that is opened shows how it fits, and loads")
def _():
    app.find("list item", name)
    app.text("tokens/s expected, limited by the")
    app.text("free")
    shoot("picker")
    app.click("push button", "Load")
    app.gone("frame", "Models")
    app.find("push button", name)
    app.gone("progress bar", "Loading the model", 60)
    if not real:
        app.text("is loaded, but running on the CPU")
        app.click("push button", "Dismiss")
        wait(lambda: not app.has_text("is loaded, but"), 5, "the end of the banner")


@case("preferences reach the engine when it starts again")
def _():
    preferences().queryValue().currentValue = 1
    app.click("push button", "Close")
    app.gone("frame", "Preferences")
    before = engine_pids(process)
    app.click("push button", "Main menu")
    app.click("menu item", "Restart engine")
    wait(lambda: engine_pids(process) not in ([], before), 10, "another engine")
    app.gone("progress bar", "Loading the model", 60)
    with open(f"/proc/{engine_pids(process)[0]}/cmdline") as file:
        check("--threads\0" + "1\0" in file.read(), "the engine was not told")


@case("the engine's log says how it was started")
def _():
    app.click("push button", "Main menu")
    app.click("menu item", "Engine log")
    log = text_of(app.find("text", "Engine log"))
    check(log.count("$ ") == 2 and "--threads 1" in log and "listening on http://127.0.0.1" in log, log)
    app.click("push button", "Close")
    app.gone("frame", "Engine log")


@case("devices are checked")
def _():
    app.click("push button", "Main menu")
    app.click("menu item", "Check the devices")
    wait(lambda: "Everything works." in text_of(app.find("text", "Devices")), 60, "what the doctor found")
    app.click("push button", "Close")
    app.gone("frame", "Devices")


@case("other programs may use the model, with a key")
def _():
    preferences()
    act(app.find("check box", "Other programs may use the model"))
    app.find("spin button", "Port").queryValue().currentValue = free_port
    address = text_of(app.text(f"http://127.0.0.1:{free_port}/v1"))
    key = next(text_of(n) for n in walk(app.root) if re.fullmatch("[0-9a-f-]{36}", text_of(n)))
    app.click("push button", "Restart Engine")
    app.click("push button", "Close")
    app.gone("progress bar", "Loading the model", 60)
    check(request(address, key) == 200 and request(address, "another key") == 401, "the address does not answer as it should")


@case("settings of a conversation: the likeliest word alone")
def _():
    app.click("push button", "Conversation settings")
    app.find("spin button", "Temperature").queryValue().currentValue = 0
    app.click("push button", "Close")
    app.gone("frame", "Conversation settings")


@case("a sum is asked for and answered, with thoughts and figures")
def _():
    ask("What is 37 + 58?")
    answered(1)
    app.text("95")
    app.text("Thought for")
    app.text("tokens/s")
    app.text("Context ")
    app.find("list item", "What is 37 + 58?")
    shoot("answer")


@case("every button has a name")
def _():
    buttons = [n.name for n in walk(app.root) if n.getRoleName() in ("push button", "toggle button")]
    check(len(buttons) > 8 and all(b and not b.startswith("Gtk") for b in buttons), f"{buttons}")


@case("another answer stands beside the first")
def _():
    app.click("push button", "Regenerate answer")
    answered(1)
    app.text("2/2")
    app.click("push button", "Previous version")
    app.text("1/2")


@case("an edited question is a branch of its own")
def _():
    app.click("push button", "Edit message")
    app.type("text", "Edited message", "What is 30 + 12?")
    app.click("push button", "Send edited message")
    answered(1)
    app.text("What is 30 + 12?")
    app.text("2/2")


def ask_slowly(question):
    """The real engine is fast: it waits until grow() lets it run, so that its answer is not whole before we have looked."""
    if real:
        signal_engine(signal.SIGSTOP)
    ask(question)


def grow(seconds=0.005):
    """Lets the text grow a little."""
    if real:
        signal_engine(signal.SIGCONT)
        time.sleep(seconds)
        signal_engine(signal.SIGSTOP)
    time.sleep(0.25)


def signal_engine(number):
    for pid in engine_pids(process):
        os.kill(pid, number)


def new_text(before):
    """The longest text that is there and was not before: of an answer."""
    return max((text_of(n) for n in app.all("label") if text_of(n) not in before and "cut off" not in text_of(n)), key=len, default="")


def stop_in_the_middle():
    """Whether an answer that had been seen to grow was stopped; not if it came to its own end before."""
    app.click("push button", "New conversation")
    question = "Tell me a fairy tale about a dragon." if real else "slow, please"
    before = {text_of(n) for n in app.all("label")} | {question}
    ask_slowly(question)
    lengths, seconds = [0], 0.005
    try:
        while sum(b > a for a, b in zip(lengths, lengths[1:])) < 3 and len(lengths) < 30:
            grow(seconds)
            lengths.append(len(new_text(before)))
            seconds *= 0.7 if lengths[-1] > lengths[-2] else 1.5  # machines differ in how long is a little
        check(len(lengths) < 30, f"the text did not grow: {lengths}")
        if not app.all("push button", "Stop"):
            return False
        app.click("push button", "Stop")
    finally:
        signal_engine(signal.SIGCONT)
    answered(1)
    return app.has_text("stopped")


@case("an answer streams, and stops when told to")
def _():
    tries = 5 if real else 1  # the real engine's tales may be short
    check(any(stop_in_the_middle() for _ in range(tries)), f"none of {tries} answers was stopped")


@case("a stopped answer goes on")
def _():
    app.click("push button", "Continue answer")
    answered(1)
    if not real:
        app.text("and it went on")


if not real:
    @case("thinking ends when told to")
    def _():
        app.click("push button", "New conversation")
        ask("ponder 37 + 58")
        app.click("push button", "Answer now")
        answered(1)
        app.text("The sum is 95")

    @case("code has a button that copies it")
    def _():
        ask("code, please")
        answered(2)
        app.click("push button", "Copy code")

    @case("an answer without room says so, one with an error too")
    def _():
        ask("full")
        answered(3)
        app.text("no room for more")
        ask("broken")
        app.text("the device was lost")
        answered(4)
        app.text("Half an")

    @case("a lost device is a banner, and the engine starts again")
    def _():
        ask("lost")
        app.text("The engine has stopped: the device is lost")
        app.click("push button", "Restart engine")
        wait(lambda: not app.has_text("The engine has stopped") and not app.all("progress bar", "Loading the model"), 10, "an engine that runs")
        ask("What is 37 + 58?")
        answered(6)


@case("a search finds a word in an old conversation")
def _():
    app.type("entry", "Search conversations", "30 + 12")
    wait(lambda: [n.name for n in app.all("list item")] and all(n.name == "What is 37 + 58?" for n in app.all("list item")), 10, "what was found alone")
    app.type("entry", "Search conversations", "zebra")
    app.text("Nothing found")
    app.type("entry", "Search conversations", "")
    wait(lambda: len(app.all("list item")) >= 2, 5, "all conversations")


@case("a deleted conversation comes back")
def _():
    before = len(app.all("list item"))
    app.click("push button", "Conversation menu")
    app.click("menu item", "Delete")
    wait(lambda: len(app.all("list item")) == before - 1, 5, "one conversation less")
    app.click("push button", "Undo")
    wait(lambda: len(app.all("list item")) == before, 5, "the conversation again")


@case("a conversation is exported")
def _():
    path = os.path.join(folder, "out.json")
    app.click("push button", "Conversation menu")
    app.click("menu item", "Export as JSON…")
    app.find("push button", "Export")
    app.type("text", "Name:", path)
    app.click("push button", "Export")
    wait(lambda: os.path.exists(path), 10, "the exported file")
    with open(path) as file:
        chat = json.load(file)
    check(chat["format"] == "pumice-chat" and len(chat["messages"]) >= 2, "the file is not whole")


@case("the engine is killed: the window stays, says so, and starts it again")
def _():
    app.click("push button", "New conversation")
    ask_slowly("Tell me a fairy tale about a fox." if real else "slow, please")
    grow()
    app.find("push button", "Stop")
    signal_engine(signal.SIGKILL)
    app.text("The engine has stopped", 10)
    app.text("interrupted")
    shoot("killed")
    app.click("push button", "Restart engine")
    wait(lambda: not app.has_text("The engine has stopped") and not app.all("progress bar", "Loading the model"), 60, "an engine that runs")
    ask("What is 20 + 22?")
    answered(2)


@case("the program is killed in the middle of an answer: all that was shown is there again")
def _():
    global process, app
    app.click("push button", "New conversation")
    question = "Tell me a fairy tale about a king." if real else "slow and killed"
    before = {text_of(n) for n in app.all("label")} | {question}
    ask_slowly(question)
    shown = ""
    for i in range(30):
        grow(0.005 * 1.2 ** i)
        shown = new_text(before)
        if len(shown) > 45:
            break
    check(app.all("push button", "Stop"), "the answer was whole before the program was killed")
    process.kill()  # the engine ends with it
    process.wait()
    process, app = start()
    app.click("push button", "Conversation menu", which=0, seconds=20)
    app.click("menu item", "Export as Markdown…")
    app.find("push button", "Export")
    path = os.path.join(folder, "killed.md")
    app.type("text", "Name:", path)
    app.click("push button", "Export")
    wait(lambda: os.path.exists(path), 10, "the exported file")
    with open(path) as file:
        kept = " ".join(file.read().split())
    check(" ".join(shown.split()) in kept, f"'{shown}' was lost; there is '{kept}'")
    check(preferences().queryValue().currentValue == 1, "the preferences were lost")
    app.click("push button", "Close")


if not real:
    @case("a model is downloaded: looked up, paused, resumed by another run, whole")
    def _():
        global process, app
        hub = Hub(model, "pebble-copy.gguf")
        app.click("push button", "Pick a model")
        app.click("push button", "Download…")
        app.type("text", "Address of a model", "pebble")
        app.click("push button", "Look Up")
        app.text("This is not the address of a model")
        app.type("text", "Address of a model", hub.url)
        app.click("push button", "Look Up")
        app.find("push button", "Download pebble-copy")
        shoot("download-choice")
        app.click("push button", "Download pebble-copy")
        part = os.path.join(data, "models", "pebble-copy.gguf.part")
        wait(lambda: os.path.exists(part) and os.path.getsize(part) == len(hub.content) // 2, 20, "half of the file")
        shoot("download")
        app.click("push button", "Pause download")
        app.text("Paused")
        process.kill()
        process.wait()
        process, app = start()
        app.click("push button", "Choose a Model")
        app.text("Paused")
        app.click("push button", "Resume download")
        app.gone("push button", "Discard download")
        app.find("list item", "pebble-copy")
        with open(part.removesuffix(".part"), "rb") as file:
            check(file.read() == hub.content and hub.starts == [0, len(hub.content) // 2], f"the file is not that of the hub: {hub.starts}")

    @case("a model that cannot be loaded is a banner with the reason")
    def _():
        global process, app
        process.kill()
        process.wait()
        refused = os.path.join(folder, "refused.gguf")
        shutil.copy(model, refused)
        process, app = start(refused)
        app.text("tokens/s expected, limited by the")
        app.click("push button", "Load")
        app.text("the file is truncated; download it again")
        app.find("push button", "Pick a model")


process.kill()
print(f"1..{n_case}")
shutil.rmtree(folder, ignore_errors=True)
sys.exit(1 if n_failed else 0)
