# Our interpreter of chat templates against Python's Jinja, set up as the programs do for which templates are written. Prints TAP.
#   jinja_oracle.py RENDER_TEMPLATE FILE...     FILE: chat.json, templates (*.jinja) or tokenizer_config.json
import datetime
import json
import subprocess
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox

NOW = 1700000000


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_text"), [], [], body).set_lineno(line)

    def _text(self, caller):
        return caller()


def environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda fmt: datetime.datetime.fromtimestamp(NOW).strftime(fmt)
    return env


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def call(name, arguments, number=0):
    return {"type": "function", "id": f"call_{number}", "function": {"name": name, "arguments": arguments}}


def tool(name, description, **properties):
    schema = {"type": "object", "properties": properties, "required": sorted(properties)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


WEATHER = tool("get_weather", "Tells the weather — now & \"here\".", city={"type": "string", "description": "Where?"},
               unit={"type": "string", "enum": ["°C", "°F"]})
ADD = tool("add", "a + b", a={"type": "number"}, b={"type": ["number", "null"], "default": 1.5})
SYSTEM = {"role": "system", "content": "Be brief.\n"}
THOUGHT = "<think>\nThey greet.\n</think>\n\nHello!"

# Variables of a template: messages and what goes with them.
CONVERSATIONS = {
    "one question": dict(messages=[user("Hello")], add_generation_prompt=True),
    "system": dict(messages=[SYSTEM, user("  Hi\n")], add_generation_prompt=True),
    "several turns": dict(messages=[user("2+2?"), assistant("4"), user("3+3?"), assistant("6"), user("Thanks")], add_generation_prompt=True),
    "thinking": dict(messages=[SYSTEM, user("Hi"), assistant(THOUGHT), user("再来 🙂"), assistant("ok", reasoning_content="hm\nso")],
                     add_generation_prompt=False, enable_thinking=True, thinking=True),
    "no thinking": dict(messages=[user("Hi"), assistant(THOUGHT), user("And?")], add_generation_prompt=True, enable_thinking=False, thinking=False),
    "empty": dict(messages=[{"role": "system", "content": ""}, user(""), assistant(""), user("x")], add_generation_prompt=True),
    "tools": dict(messages=[SYSTEM, user("Weather in Zürich?")], tools=[WEATHER, ADD], add_generation_prompt=True),
    "tool calls": dict(
        messages=[user("Weather?"), assistant("", tool_calls=[call("get_weather", {"city": "Oslo", "unit": "°C"}), call("add", {"a": 1, "b": -2.5}, 1)]),
                  {"role": "tool", "name": "get_weather", "tool_call_id": "call_0", "content": "{\"t\": -3}"},
                  {"role": "tool", "name": "add", "tool_call_id": "call_1", "content": "-1.5"}, assistant("Cold."), user("Bye")],
        tools=[WEATHER, ADD], add_generation_prompt=True),
    "calls as text": dict(
        messages=[user("Weather?"), assistant(None, tool_calls=[call("get_weather", "{\"city\": \"Oslo\"}"), call("add", "{\"a\": 1}", 1)]),
                  {"role": "tool", "name": "get_weather", "tool_call_id": "call_0", "content": "{\"t\": -3}"}],
        tools=[WEATHER], add_generation_prompt=True),
    "two users": dict(messages=[user("a"), user("b"), assistant("c"), assistant("d")], add_generation_prompt=False),
    "parts": dict(messages=[{"role": "user", "content": [{"type": "text", "text": "See"}, {"type": "text", "text": "this"}]}], add_generation_prompt=True),
}

COMMON = dict(bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>", tools=None, documents=None)

# The language itself, feature by feature; the variables are those of VARIABLES.
VARIABLES = dict(
    n=7, m=-3, f=2.5, big=1e20, small=1.5e-7, yes=True, no=False, none_=None, s="Hello, World", u="äÖé ñ 日本", empty="", blank=" \t\nx \n",
    xs=[3, 1, 2], ss=["b", "A", "c", "a"], ds=[{"k": "x", "v": 2, "o": {"p": [1, 2]}}, {"k": "y", "v": 1}, {"k": "Z", "v": 3, "o": None}],
    d={"one": 1, "two": [1, "2", None, True, 1.0], "items": "shadow", "nested": {"a": {"b": "deep"}}}, quotes="it's \"q\" \\ \n\t\x01", e={},
)
FEATURES = r"""
{{ n + m }} {{ n - m }} {{ n * m }} {{ n / 2 }} {{ n // 2 }} {{ m // 2 }} {{ n % 4 }} {{ m % 4 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ -n }} {{ +n }}
{{ f }} {{ f * 4 }} {{ big }} {{ small }} {{ 1e16 }} {{ 123456789.125 }} {{ 0.1 + 0.2 }} {{ 1.0 }} {{ 5 / 5 }} {{ -0.0 }} {{ 100000.0 * 100000 }}
{{ n == 7.0 }} {{ yes == 1 }} {{ n != m }} {{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ "a" < "b" }} {{ [1, 2] < [1, 3] }} {{ n >= 7 and m <= 0 }}
{{ 1 in xs }} {{ 9 not in xs }} {{ "ell" in s }} {{ "one" in d }} {{ none_ in [None] }} {{ missing in xs }} {{ 1 in missing }} {{ not 1 in xs }}
{{ yes and "x" }} {{ no or "y" }} {{ not no }} {{ empty or none_ }} {{ xs and ss }} {{ not missing }} {{ (yes or no) and not no }}
{{ "a" if yes else "b" }} {{ "a" if no else "b" }} {{ "a" if no }} {{ "x" if no else "y" if yes else "z" }} {{ ("a" if yes) ~ "b" }}
{{ s ~ n ~ none_ ~ yes ~ f ~ xs }} {{ "a" "b" 'c' }} {{ 1 ~ 2 + 3 }} {{ 2 + 3 ~ 1 }}
{{ xs }} {{ ss }} {{ d }} {{ (1, "a") }} {{ (1,) }} {{ () }} {{ {} }} {{ [] }} {{ quotes }} {{ [quotes] }} {{ ["'", '"', "'\""] }} {{ [u] }}
{{ xs[0] }} {{ xs[-1] }} {{ xs[5] }} {{ xs[1:] }} {{ xs[:-1] }} {{ xs[::-1] }} {{ xs[::2] }} {{ xs[5:] }} {{ xs[-2:] }} {{ s[0] }} {{ s[-3:] }} {{ u[1:4] }} {{ s[::-1] }} {{ s[1:8:3] }} {{ xs[:] }} {{ xs[2:0:-1] }}
{{ d.one }} {{ d["one"] }} {{ d.items() | list }} {{ d["items"] }} {{ d.nested.a.b }} {{ d["nested"]["a"]["b"] }} {{ d.none }} {{ d.get("x") }} {{ d.get("x", 5) }} {{ d.get("one") }} {{ d.keys() | list }} {{ d.values() | list }} {{ ds[0].o.p[1] }} {{ xs.0 }} {{ ds.1.k }}
{% for x in xs %}{{ loop.index }}/{{ loop.index0 }}/{{ loop.revindex }}/{{ loop.revindex0 }}/{{ loop.first }}/{{ loop.last }}/{{ loop.length }}:{{ x }};{% endfor %}
{% for x in xs %}{{ loop.previtem }}<{{ x }}<{{ loop.nextitem }} {{ loop.cycle("odd", "even") }} {{ loop.changed(x > 1) }};{% endfor %}
{% for x in xs if x > 1 %}{{ loop.index }}={{ x }}/{{ loop.length }} {% else %}none{% endfor %}|{% for x in [] %}x{% else %}none{% endfor %}|{% for x in xs if x > 9 %}{{ x }}{% else %}no{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }},{% endfor %}{% for c in "héy" %}[{{ c }}]{% endfor %}{% for a, b in [(1, 2), [3, 4]] %}{{ a + b }},{% endfor %}
{% for x in range(5) %}{% if x == 1 %}{% continue %}{% endif %}{% if x == 3 %}{% break %}{% endif %}{{ x }}{% endfor %} {{ range(3) | list }} {{ range(1, 10, 4) | list }} {{ range(5, 0, -2) | list }}
{% for x in xs %}{% for y in ss %}{{ loop.index }}{% endfor %}{{ loop.index }};{% endfor %}
{% set a = 1 %}{% for x in xs %}{% set a = x %}{{ a }}{% endfor %}{{ a }}{% if yes %}{% set a = 5 %}{% endif %}{{ a }}
{% set ns = namespace(a=1, b="x") %}{% for x in xs %}{% set ns.a = ns.a + x %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns.c is defined }}{% set ns.c = [1] %}{{ ns.c }}{% set ns2 = namespace({"q": 1}) %}{{ ns2.q }}
{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set c = 1, 2 %}{{ c }}{% set t %}body {{ a }}{% endset %}[{{ t }}]{% set t2 | upper %}up {{ s }}{% endset %}{{ t2 }}
{% macro hi(name, greeting="Hello", n=2) %}{{ greeting }} {{ name }}{{ "!" * n }}{% endmacro %}{{ hi("A") }} {{ hi("B", "Hey") }} {{ hi(name="C", n=0) }} {{ hi("D", n=1) | upper }} {{ hi() }}
{% macro fact(k) %}{% if k <= 1 %}1{% else %}{{ k * (fact(k - 1) | int) }}{% endif %}{% endmacro %}{{ fact(6) }}
{% macro outer() %}<{{ caller("x") }}>{% endmacro %}{% call(arg) outer() %}in {{ arg }} {{ n }}{% endcall %}
{% macro usesglobal() %}{{ later }}{{ n }}{% endmacro %}{% set later = "L" %}{{ usesglobal() }}
{% with a = 1, b = n %}{{ a + b }}{% endwith %}{{ a is defined }}{% filter upper %}shout {{ s }}{% endfilter %}{% generation %}gen{% set z = 1 %}{% endgeneration %}{{ z is defined }}
{% if no %}a{% elif yes %}b{% else %}c{% endif %}{% if no %}a{% elif no %}b{% else %}c{% endif %}{% if missing %}a{% endif %}{% if xs %}x{% endif %}
{% raw %}{{ not this }}{% if %}{% endraw %}{# comment {{ n }} #}{{ "{{" }}{{ '}}' }}{{ {"a": {"b": 1}}["a"]["b"] }}
   {% if yes %}   
   indented
   {% endif %}   
  tail {{ n }}  
  {%- if yes -%}   x   {%- endif -%}   
  y {{- n -}}   z   {%+ if yes %} kept {% endif +%}
 next
  {# gone #}  
after {{- " a " -}} b
{% for x in xs -%}
  {{ x }}
{%- endfor %}

end
{{ " a b " | trim }}|{{ "xxaxx" | trim("x") }}|{{ s | upper }}|{{ s | lower }}|{{ "hello world-foo (bar" | title }}|{{ "hELLO wORLD" | capitalize }}|{{ u | upper }}|{{ u | lower }}|{{ u | length }}
{{ xs | length }} {{ s | count }} {{ d | length }} {{ missing | length }} {{ xs | sum }} {{ ds | sum(attribute="v") }} {{ xs | min }} {{ xs | max }} {{ ss | max }} {{ xs | first }} {{ xs | last }} {{ [] | first }} {{ s | first }} {{ s | last }}
{{ xs | sort }} {{ xs | sort(reverse=true) }} {{ ss | sort }} {{ ss | sort(case_sensitive=true) }} {{ ds | sort(attribute="v") | map(attribute="k") | join(",") }} {{ d.nested | dictsort }} {{ {"b": 1, "A": 2, "c": 0} | dictsort }} {{ {"b": 1, "A": 2, "c": 0} | dictsort(by="value") }} {{ {"b": 1, "A": 2} | dictsort(true) }}
{{ xs | join }} {{ xs | join(", ") }} {{ ds | join("-", attribute="k") }} {{ s | join("|") }} {{ xs | reverse | list }} {{ s | reverse }} {{ ["a", "A", "b"] | unique | list }} {{ [1, 1.0, 2] | unique | list }} {{ xs | list }} {{ "abc" | list }} {{ d | list }} {{ range(7) | batch(3) | list }} {{ range(4) | batch(3, "-") | list }}
{{ ds | map(attribute="k") | list }} {{ ds | map(attribute="o.p", default="none") | list }} {{ ss | map("upper") | list }} {{ xs | map("string") | join("/") }} {{ ["1", "2"] | map("int") | sum }} {{ ss | map("replace", "a", "Q") | list }} {{ ds | map(attribute="o.p.0") | list }}
{{ xs | select("odd") | list }} {{ xs | select("gt", 1) | list }} {{ xs | reject("odd") | list }} {{ ds | selectattr("v", "ge", 2) | map(attribute="k") | list }} {{ ds | selectattr("o") | list | length }} {{ ds | rejectattr("k", "equalto", "x") | map(attribute="k") | list }} {{ ds | selectattr("o", "defined") | list | length }} {{ [0, 1, "", "a"] | select | list }} {{ ds | selectattr("k", "in", ["x", "y"]) | list | length }} {{ ["a", none, "b"] | reject("none") | list }}
{{ missing | default("d") }} {{ empty | default("d") }} {{ empty | default("d", true) }} {{ none_ | d("x") }} {{ none_ | d("x", boolean=true) }} {{ d.zz | default }} {{ "a,b,c" | replace(",", ";") }} {{ "aaa" | replace("a", "b", 2) }} {{ 5 | string ~ "x" }} {{ "<a href='x'>&\"" | e }} {{ "x" | safe }}
{{ "42" | int }} {{ " 7 " | int }} {{ "x" | int }} {{ "x" | int(5) }} {{ "3.9" | int }} {{ 3.9 | int }} {{ -3.9 | int }} {{ "2.5" | float }} {{ "x" | float }} {{ "1e3" | float }} {{ m | abs }} {{ -2.5 | abs }} {{ 2.5 | round }} {{ 3.5 | round }} {{ 2.567 | round(2) }} {{ 2.1 | round(0, "ceil") }} {{ 2.9 | round(method="floor") }} {{ 2 | round(2) }} {{ "ff" | int(0, 16) }} {{ true | int }} {{ 7 | float }}
{{ d | tojson }} {{ xs | tojson }} {{ u | tojson }} {{ u | tojson(ensure_ascii=true) }} {{ quotes | tojson }} {{ none_ | tojson }} {{ yes | tojson }} {{ f | tojson }} {{ big | tojson }} {{ ds | tojson(indent=2) }} {{ {} | tojson(indent=2) }} {{ [] | tojson(indent=2) }} {{ d | tojson(separators=(",", ":")) }} {{ {"b": 1, "a": {"d": 1, "c": 2}} | tojson(sort_keys=true) }} {{ "<b>&'" | tojson }} {{ {1: 2} | tojson }} {{ (1, 2) | tojson }} {{ "😀" | tojson(ensure_ascii=true) }}
{{ "a\nb\n\nc" | indent }}|{{ "a\nb\n\nc" | indent(2, true) }}|{{ "a\nb\n\nc" | indent(2, blank=true) }}|{{ "a\nb" | indent("> ") }}|{{ "a\n" | indent }}|{{ "" | indent(2, true) }}
{{ "%s is %d and %.2f %r %5s|%-5s|%05d %x %%" | format("a", 3, 2.5, "q", "r", "l", 42, 255) }} {{ "%s-%s" % ("a", 1) }} {{ "%s" % n }} {{ "{} {1} {name} {{}}".format("a", "b", name="c") if no else "{} {}".format("a", 1) }} {{ "{0}{1}{0}".format("a", "b") }} {{ "{x}".format(x=n) }}
{{ s.upper() }} {{ s.lower() }} {{ "  x ".strip() }}| {{ "  x ".lstrip() }}| {{ "  x ".rstrip() }}| {{ "xyaxy".strip("xy") }} {{ "xya".lstrip("x") }} {{ "they're bill's".title() }} {{ "hELLO".capitalize() }}
{{ s.split(", ") }} {{ "a b  c ".split() }} {{ "a,b,,c".split(",") }} {{ "a,b,c".split(",", 1) }} {{ "a b  c d ".split(none, 1) }} {{ "a,b,c".rsplit(",", 1) }} {{ " a b  c ".rsplit(none, 1) }} {{ "".split() }} {{ "".split(",") }} {{ "a</think>b</think>c".split("</think>")[-1] }} {{ "x".split("</think>") | last }} {{ "a\nb\r\nc\n".splitlines() }} {{ "a\nb".splitlines(true) }} {{ "abc".split("b")[0] }}
{{ s.startswith("He") }} {{ s.endswith("x") }} {{ s.startswith(("x", "H")) }} {{ s.replace("l", "L") }} {{ s.replace("l", "L", 1) }} {{ "ab".replace("", "-") }} {{ s.find("o") }} {{ s.rfind("o") }} {{ s.find("zz") }} {{ u.find("日") }} {{ s.count("l") }} {{ "-".join(ss) }} {{ s.index("W") }} {{ xs.index(1) }} {{ xs.count(3) }} {{ "prefix".removeprefix("pre") }} {{ "suffix".removesuffix("fix") }}
{{ "12".isdigit() }} {{ "1a".isdigit() }} {{ "".isdigit() }} {{ "ab".isalpha() }} {{ "a1".isalnum() }} {{ " ".isspace() }} {{ "AB1".isupper() }} {{ "Ab".islower() }} {{ "1".islower() }} {{ "日".isalpha() }}
{{ n is defined }} {{ missing is defined }} {{ missing is undefined }} {{ none_ is none }} {{ n is number }} {{ n is integer }} {{ f is float }} {{ yes is boolean }} {{ yes is true }} {{ n is true }} {{ no is false }} {{ s is string }} {{ d is mapping }} {{ xs is mapping }} {{ xs is sequence }} {{ s is sequence }} {{ n is sequence }} {{ xs is iterable }} {{ n is iterable }} {{ s is iterable }} {{ range is callable }} {{ n is odd }} {{ n is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(4) }} {{ n is eq 7 }} {{ n is equalto(8) }} {{ n is gt 3 }} {{ n is in [7] }} {{ n is not none }} {{ not n is none }} {{ "AB" is upper }} {{ "ab" is lower }} {{ n is sameas n }} {{ d.x is not defined }} {{ "a" is in "abc" }} {{ n is lt 3 }} {{ n is ne 3 }} {{ yes is number }} {{ yes is integer }}
{{ dict(a=1, b=2) }} {{ dict({"x": 1}, y=2) }} {{ dict(a=1).a }} {{ d | items | list | length }} {{ [1, 2] + [3] }} {{ (1, 2) + (3,) }} {{ [0] * 3 }} {{ "ab" * 2 }} {{ 2 * "ab" }} {{ true + 1 }} {{ [1, [2, [3]]] }} {{ [[1, 2], [3]] | sum(start=[]) }}
{{ strftime_now("%Y-%m-%d") }} {{ strftime_now("%d %b %Y") }} {{ strftime_now("%H:%M") }} {{ 1_000 }} {{ "\u00e9\x41\101\n\t\\" }} {{ '\'' }} {{ "a\
b" }} {{ "\q" }} {{ true }} {{ True }} {{ none }} {{ None }} {{ false }}
{{ missing }}{{ d.x }}[{{ xs[10] }}] {{ -xs[0] }} {{ -n | abs }} {{ n | abs - 2 }} {{ (n - 9) | abs }} {{ 10 - 2 - 3 }} {{ 2 * 3 + 4 }} {{ 2 + 3 * 4 }} {{ 7 // 2 * 2 }} {{ not yes == no }} {{ 1 == 1 == 1 }} {{ "a" ~ "b" == "ab" }} {{ n is defined and n > 3 }} {{ xs | length > 2 }} {{ xs | length == 3 and s is string }}
{%- set x = "a" -%} {{ x }} {%- set y = x ~ "b" %} {{ y }}
{{- "x" -}}
{{ missing.attr }}
{{ missing["x"] }}
{{ missing() }}
{{ none_.attr.deep }}
{{ n.attr }}|{{ s.attr }}|{{ none_.attr }}
{{ "a" + 1 }}
{{ 1 + "a" }}
{{ "a" + none_ }}
{{ "a" + missing }}
{{ missing + "a" }}
{{ missing < 1 }}
{{ 1 < "a" }}
{{ 1 in 5 }}
{{ 1 in "abc" }}
{{ 1 / 0 }}
{{ 1 % 0 }}
{% for x in 5 %}{% endfor %}
{% for x in none_ %}{% endfor %}
{% for a, b in [1] %}{% endfor %}
{% for a, b in [(1, 2, 3)] %}{% endfor %}
{{ none_ | length }}
{{ missing | tojson }}
{{ raise_exception("no") }}
{{ xs.append(1) }}
{{ d.update({}) }}
{{ s.nope() }}
{{ "%d" % "a" }}
{{ s.index("zz") }}
{{ xs | nofilter }}
{{ 2.5 | round(0, "up") }}
{{ xs is notest }}
{{ "abc".split("") }}
{% set d.x = 1 %}
{{ n() }}
{{ hi("x", "y", "z", "w") }}{% macro hi(a) %}{% endmacro %}
{% macro hi(a) %}{% endmacro %}{{ hi("x", "y") }}
{% macro hi(a) %}{% endmacro %}{{ hi(b=1) }}
{% if %}
{% endfor %}
{% for x in xs %}
{{ x
{% include "x" %}
{{ 'abc }}
{{ a b }}
{{ [1, 2 }}
{{ (1 }}
{% break %}
{% unknown %}
{{ }}
{% set %}
{{ 1 + }}
{{ "a" is }}
{{ xs | }}
{{ d. }}
{{ d[ }}
{{ @ }}
{# open
"""


def features():
    # Lines, except that an indented line or one without a tag goes on with the one before.
    parts = []
    for line in FEATURES[1:-1].split("\n"):
        if parts and (not line.startswith("{") or parts[-1].endswith("\\") or line.startswith(("{%- set x", "{{- "))):
            parts[-1] += "\n" + line
        else:
            parts.append(line)
    return parts


def templates(path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    if not path.endswith(".json"):
        return [(path.split("/")[-1], text)]
    data = json.loads(text)
    if isinstance(data, list):
        return [(t["name"], t["template"]) for t in data]
    found = data.get("chat_template") or []
    name = path.split("/")[-3] if path.count("/") > 1 else path
    return [(name, found)] if isinstance(found, str) else [(f"{name} {t['name']}", t["template"]) for t in found]


def main():
    env = environment()
    cases = []
    for i, text in enumerate(features()):
        cases.append((f"feature {i + 1}: {text[:60]!r}", text, VARIABLES))
    n_template = 0
    for path in sys.argv[2:]:
        for name, text in templates(path):
            n_template += 1
            for title, conversation in CONVERSATIONS.items():
                cases.append((f"{name}: {title}", text, {**COMMON, **conversation}))
    lines = [json.dumps({"template": text, "context": context, "now": NOW}) for _, text, context in cases]
    ran = subprocess.run([sys.argv[1]], input="\n".join(lines) + "\n", capture_output=True, text=True, encoding="utf-8")
    replies = [json.loads(line) for line in ran.stdout.splitlines()]
    if ran.returncode or len(replies) != len(cases):
        print(f"# {sys.argv[1]} ended with {ran.returncode} after {len(replies)} of {len(cases)} templates: {ran.stderr[:2000]}")
        print("not ok 1 - the program renders them all")
        return
    n_refused, differing = 0, 0
    for (name, text, context), reply in zip(cases, replies):
        try:
            expected = env.from_string(text).render(**context)
        except Exception as e:  # whatever Python objects to
            expected, why = None, f"{type(e).__name__}: {e}"
        n_refused += expected is None
        if reply.get("text") != expected:
            differing += 1
            print(f"# {name}\n#   python: {expected if expected is not None else why!r}\n#   ours:   {reply!r}".replace("\n\n", "\n"))
    print(f"# {len(cases)} renderings, {n_template} templates of models; Python refuses {n_refused}, and so do we")
    print(f"{'not ok' if differing else 'ok'} 1 - {len(cases)} texts as Python's Jinja makes them, {differing} differ")
    print("1..1")


main()
