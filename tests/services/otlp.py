"""A collector of traces on a free port: takes OTLP over HTTP, or does not."""

import gzip
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread


class Receiver:
    """A collector that keeps what it is sent; `answer` is its status, None = it hangs until the end."""

    def __init__(self, answer=200):
        self.answer, self.spans, self.paths, self.resources, self.over = answer, [], [], [], Event()

    def take(self, path, body):
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        self.paths.append(path)
        if self.answer is None:
            self.over.wait(30)
        found = ExportTraceServiceRequest.FromString(body)
        for resource in found.resource_spans:
            self.resources.append({one.key: one.value.string_value for one in resource.resource.attributes})
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)
        return self.answer or 503


@contextmanager
def receiving(answer=200):
    receiver = Receiver(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            self.send_response(receiver.take(self.path, body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield receiver, f"http://127.0.0.1:{server.server_port}"
    finally:
        receiver.over.set()
        server.shutdown()
        server.server_close()
