"""Finds and uses the widgets of an app through AT-SPI, by role and name, as a screen reader does."""
import time

import pyatspi
from gi.repository import GLib


class Missing(Exception):
    pass


def walk(node):
    """The nodes below a node that are not hidden, in order."""
    try:
        children = [node.getChildAtIndex(i) for i in range(node.childCount)]
        children = [c for c in children if c is not None and c.getState().contains(pyatspi.STATE_VISIBLE)]
    except Exception:  # it went away while we looked
        return
    for child in children:
        yield child
        yield from walk(child)


def describe(node):
    return f"{node.getRoleName()} '{node.name}'"


class App:
    def __init__(self, name, seconds=20):
        self.root = wait(lambda: next((a for a in pyatspi.Registry.getDesktop(0) if a is not None and a.name == name), None), seconds, f"the app {name}")

    def all(self, role, name=None):
        while True:
            try:
                return [n for n in walk(self.root) if n.getRoleName() == role and (name is None or matches(n.name, name))]
            except GLib.Error:  # a widget went away while we looked
                continue

    def find(self, role, name=None, seconds=20, which=-1):
        def look():
            found = self.all(role, name)
            return found[which] if found else None
        return wait(look, seconds, f"{role} '{name}'")

    def gone(self, role, name, seconds=20):
        wait(lambda: not self.all(role, name), seconds, f"the end of {role} '{name}'")

    def click(self, role, name, which=-1, seconds=20):
        """Of widgets of one name, those that can be clicked count."""
        def look():
            found = [n for n in self.all(role, name) if n.queryAction().nActions]
            return found[which] if found else None
        act(wait(look, seconds, f"{role} '{name}'"))

    def text(self, part, seconds=20):
        """A label that contains the part."""
        return wait(lambda: next((n for n in walk(self.root) if part in text_of(n)), None), seconds, f"the text '{part}'")

    def has_text(self, part):
        return any(part in text_of(n) for n in walk(self.root))

    def type(self, role, name, text):
        node = self.find(role, name)
        node.queryEditableText().setTextContents(text)

    def dump(self):
        for n in walk(self.root):
            print("#", describe(n), repr(text_of(n))[:80], flush=True)


def matches(name, wanted):
    return name == wanted or name.endswith(" " + wanted)  # GTK joins a button's mnemonic and its label


def text_of(node):
    """What a label says is its name; what an entry holds is its text."""
    try:
        if node.getRoleName() != "text":
            return node.name or ""
        return node.queryText().getText(0, -1)
    except Exception:
        return ""


def act(node):
    """Its first action that activates, chosen by name: the first of all may be another."""
    action = node.queryAction()
    names = [action.getName(i) for i in range(action.nActions)]
    for wanted in ("click", "activate", "press", "toggle"):
        if wanted in names:
            action.doAction(names.index(wanted))
            return
    raise Missing(f"{describe(node)} has no action to click it: {names}")


def wait(look, seconds, what):
    end = time.time() + seconds
    while True:
        try:
            found = look()
        except GLib.Error:  # a widget went away while we looked
            found = None
        if found:
            return found
        if time.time() > end:
            raise Missing(f"not found after {seconds} s: {what}")
        time.sleep(0.05)
