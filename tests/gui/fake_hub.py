"""Stands in for Hugging Face: one repository, o/n, with one model file. The first request for it gets half of it and then nothing more."""
import hashlib
import http.server
import json
import threading


class Hub:
    def __init__(self, path, name):
        with open(path, "rb") as file:
            self.content = file.read()
        self.name = name
        self.starts = []  # where each request for the file asked to begin
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *words):
                pass

            def do_GET(self):
                hub.answer(self)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/o/n"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request):
        if request.path.startswith("/api/models/o/n/tree/main"):
            oid = hashlib.sha256(self.content).hexdigest()
            files = [{"type": "file", "path": "README.md", "size": 5},
                     {"type": "file", "path": self.name, "size": len(self.content), "lfs": {"oid": oid}}]
            self.send(request, 200, json.dumps(files).encode())
        elif request.path == "/o/n/resolve/main/" + self.name:
            start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
            self.starts.append(start)
            self.send(request, 206 if start else 200, self.content[start:], start, len(self.starts) == 1)
        else:
            self.send(request, 404, b"")

    def send(self, request, status, body, start=0, stall=False):
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        if status == 206:
            request.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{start + len(body)}")
        request.end_headers()
        try:
            request.wfile.write(body[:len(body) // 2] if stall else body)
            if stall:
                request.wfile.flush()
                request.connection.recv(1)  # until the client leaves
        except (BrokenPipeError, ConnectionResetError):
            pass
