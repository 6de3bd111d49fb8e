#!/usr/bin/python3
"""Stands in for `pumice serve`: speaks its HTTP with a script instead of a model.

What it answers depends on the question: "slow" trickles for a minute, "long" sends 24,000 characters, "code" a block of code,
"full" ends for want of room, "broken" an error in the middle, "lost" the same and the device is gone, anything else a short answer with
thoughts. A model file whose name has "refused" cannot be loaded."""
import http.server
import json
import os
import sys
import threading
import time

arguments = sys.argv[1:]
if arguments == ["doctor"]:
    print("a card\n  ok     error 1.00e-07  a kernel\nEverything works.")
    sys.exit(0)
model = arguments[1] if len(arguments) > 1 else ""
options = dict(zip(arguments[2::2], arguments[3::2]))
keys = ["Bearer " + key for key in open(options["--api-key-file"]).read().split()]
started = time.time()
LOADING = 0.6

LONG = "".join(
    f"## Part {i}\n\nA paragraph with **bold** words, `code` and more to read, as answers of models have them. It goes on for a while.\n\n"
    f"- one item of part {i}\n- another item\n\n```python\nfor i in range({i}):\n    print(i)\n```\n\n"
    for i in range(1, 200))[:24000]

ANSWERS = {
    "code": (["So:\n\n", "```python\n", "print(", "37 + 58)\n", "```\n", "Done."], "stop", 0.02),
    "long": ([LONG[i:i + 40] for i in range(0, len(LONG), 40)], "stop", 0.012),
    "slow": ([f"word{i} " for i in range(600)], "stop", 0.1),
    "full": (["No more ", "room"], "length", 0.02),
    "broken": (["Half an ", None], "stop", 0.02),
    "lost": (["Nothing ", None], "stop", 0.02),
}
lost = threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def send(self, code, body, kind="application/json"):
        data = body.encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, code, message):
        self.send(code, json.dumps({"error": {"code": code, "message": message}}))

    def do_GET(self):
        if self.path == "/health":
            done = (time.time() - started) / LOADING
            if lost.is_set():
                self.send(503, json.dumps({"error": {"code": 503, "message": "No model"}, "reason": "the device is lost"}))
            elif done < 1:
                self.send(503, json.dumps({"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"},
                                           "phase": "loading", "progress": done}))
            else:
                self.send(200, '{"status":"ok","phase":"degraded","reason":"running on the CPU: the card has no room"}')
        elif self.headers.get("Authorization") not in keys:
            self.refuse(401, "a key is needed")
        elif self.path == "/props":
            self.send(200, '{"default_generation_settings":{"n_ctx":2048},"device":"a card"}')
        elif self.path == "/metrics":
            self.send(200, "pumice_expert_hits_total 90\npumice_expert_misses_total 10\n", "text/plain")
        else:
            self.refuse(404, "no such address")

    def event(self, value):
        data = ("data: " + (value if isinstance(value, str) else json.dumps(value)) + "\n\n").encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def delta(self, **fields):
        self.event({"choices": [{"index": 0, "delta": fields, "finish_reason": None}]})

    def do_POST(self):
        if self.headers.get("Authorization") not in keys:
            self.refuse(401, "a key is needed")
            return
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            self.answer(request)
            self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client has stopped

    def answer(self, request):
        messages = request["messages"]
        question = [m["content"] for m in messages if m["role"] == "user"][-1]
        word = next((w for w in ANSWERS if w in question), None)
        pieces, finish, pause = ANSWERS.get(word, (["The **sum** ", "is ", "95"], "stop", 0.05))
        if request.get("continue_final_message"):
            pieces, finish = [" and it went on"], "stop"
        self.delta(role="assistant", content=None)
        for done in (100, 250, 400):
            self.event({"choices": [], "prompt_progress": {"total": 400, "cache": 0, "processed": done, "time_ms": 1}})
            time.sleep(0.02)
        if request["chat_template_kwargs"]["enable_thinking"] and not request.get("continue_final_message"):
            for piece in ["37 and 58: ", "7 + 8 = 15. "] + ["hm "] * (100 if "ponder" in question else 1):
                self.delta(reasoning_content=piece)
                time.sleep(0.05)
        for piece in pieces:
            if piece is None and word == "lost":
                lost.set()
            if piece is None:
                self.event({"error": {"code": 500, "message": "the device was lost"}})
                return
            self.delta(content=piece)
            time.sleep(pause)
        self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        self.event({"choices": [], "usage": {"prompt_tokens": 400, "completion_tokens": len(pieces), "prompt_tokens_details": {"cached_tokens": 8}},
                    "timings": {"prompt_per_second": 900.0, "predicted_per_second": 25.0}})
        self.event("[DONE]")


if "refused" in os.path.basename(model):
    print("pumice: the file is truncated; download it again", file=sys.stderr)
    sys.exit(2)
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(options["--port"])), Handler)
print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
while True:
    time.sleep(1)
