"""The other ends of notifications, over real sockets: a target that takes JSON, a Telegram and a Discord that have one bot each."""

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

TOKEN = "123456789:AAF-not-a-real-token-of-any-bot_xyz"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that hung up is none of the test's business."""


def _serve(answer):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *words):
            pass

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, text, *more = answer(self.path, body, self)
            data = text.encode()
            self.send_response(status)
            for name, value in (more[0] if more else {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST

    server = _Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


@dataclass
class Inbox:
    """Takes whatever is posted to it; `status` and `slow` say how it behaves, `status` may be changed at any time."""

    status: int = 200
    slow: float = 0.0
    got: list = field(default_factory=list)
    asked: int = 0

    def __post_init__(self):
        self.server = _serve(self._answer)
        self.port = self.server.server_address[1]

    def _answer(self, path, body, _request):
        self.asked += 1
        time.sleep(self.slow)
        if self.status < 300:
            self.got.append((path, json.loads(body) if body else None))
        return self.status, "ok"

    def url(self, secret="a-secret-path-of-a-hook"):
        return f"json://127.0.0.1:{self.port}/{secret}"

    @property
    def texts(self):
        return [f"{one['title']}\n{one['message']}" for _, one in self.got]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@dataclass
class LoopbackTelegram:
    """One bot at `api`: `write` is a user's message to it, `answers` are the bot's. Updates stay until they are confirmed."""

    updates: list = field(default_factory=list)
    answers: list = field(default_factory=list)
    number: int = 1_000
    is_down: bool = False

    def __post_init__(self):
        self.turn = threading.Condition()
        self.server = _serve(self._answer)
        self.api = f"http://127.0.0.1:{self.server.server_address[1]}"

    def write(self, text, user=42, *, chat=None, sent=None, **more):
        with self.turn:
            self.number += 1
            message = {
                "message_id": self.number, "date": int(time.time() if sent is None else sent), "text": text,
                "from": {"id": user, "is_bot": False}, "chat": chat or {"id": user, "type": "private"}, **more,
            }  # fmt: skip
            self.updates.append({"update_id": self.number, "message": message})
            self.turn.notify_all()
            return self.number

    def _answer(self, path, body, _request):
        found = json.loads(body)
        if self.is_down:
            return 502, "<html>bad gateway</html>"
        if not path.startswith(f"/bot{TOKEN}/"):
            return 401, json.dumps({"ok": False, "error_code": 401, "description": "Unauthorized"})
        match path.rpartition("/")[2]:
            case "getUpdates":
                result = self._updates(found["offset"], found["timeout"])
            case "sendMessage":
                self.answers.append((found["chat_id"], found["text"], found))
                result = {"message_id": 1}
            case _:
                return 404, json.dumps({"ok": False})
        return 200, json.dumps({"ok": True, "result": result})

    def _updates(self, offset, seconds):
        with self.turn:
            self.updates = [one for one in self.updates if isinstance(one, str) or one["update_id"] >= offset]
            self.turn.wait_for(lambda: self.updates, timeout=min(seconds, 2))
            return list(self.updates)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


DISCORD_TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4.Gx1ABC.not-a-real-token-of-any-bot-at-discord"


@dataclass
class LoopbackDiscord:
    """One bot in one channel at `api`: `write` is a user's message there, `answers` are the bot's, which stand in the channel as well.

    `too_often` questions are told to come back after `retry_after` seconds; `remaining` is what Discord says is left of them.
    """

    channel: int = 900_000_000_000_000_001
    rows: list = field(default_factory=list)
    answers: list = field(default_factory=list)
    asked: list = field(default_factory=list)
    is_down: bool = False
    status: int = 200
    too_often: int = 0
    retry_after: float = 0.05
    remaining: int = 4
    count: int = 0

    def __post_init__(self):
        self.turn = threading.Condition()
        self.server = _serve(self._answer)
        self.api = f"http://127.0.0.1:{self.server.server_address[1]}"

    def write(self, text, user=42, *, sent=None, **more):
        with self.turn:
            self.count += 1
            moment = time.time() if sent is None else sent
            number = ((int(moment * 1_000) - 1_420_070_400_000) << 22) + self.count
            self.rows.append({
                "id": str(number), "channel_id": str(self.channel), "type": 0, "content": text, "attachments": [], "embeds": [],
                "author": {"id": str(user), "username": "somebody"}, "mentions": [], "flags": 0,
                "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(moment)), **more,
            })  # fmt: skip
            return number

    def _answer(self, path, body, request):
        asked = urlsplit(path)
        self.asked.append((request.command, asked.path, request.headers))
        if self.is_down:
            return 502, "<html>bad gateway</html>"
        if request.headers["Authorization"] != f"Bot {DISCORD_TOKEN}":
            return 401, json.dumps({"message": "401: Unauthorized", "code": 0})
        if not str(request.headers["User-Agent"]).startswith("DiscordBot ("):
            return 403, "error code: 40333"
        if asked.path != f"/channels/{self.channel}/messages":
            return 404, json.dumps({"message": "Unknown Channel", "code": 10003})
        if self.too_often:
            self.too_often -= 1
            said = {"message": "You are being rate limited.", "retry_after": self.retry_after, "global": False}
            return 429, json.dumps(said), {"Retry-After": "1", "X-RateLimit-Scope": "user"}
        if self.status != 200:
            return self.status, json.dumps({"message": "Missing Access", "code": 50001})
        found = self._rows(parse_qs(asked.query)) if request.command == "GET" else self._post(json.loads(body))
        limits = {"X-RateLimit-Remaining": str(self.remaining), "X-RateLimit-Reset-After": str(self.retry_after)}
        return 200, json.dumps(found), limits

    def _rows(self, query):
        after, limit = int(query["after"][0]), int(query["limit"][0])
        with self.turn:
            behind = sorted((one for one in self.rows if int(one["id"]) > after), key=lambda one: int(one["id"]))
        return behind[:limit][::-1]

    def _post(self, fields):
        self.answers.append((self.channel, fields["content"], fields))
        self.write(fields["content"], 5, author={"id": "5", "bot": True})
        return self.rows[-1]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
