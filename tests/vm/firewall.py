# SPDX-License-Identifier: BSD-3-Clause
"""The Sallyport in the guest: started and ended by the guest's shell, asked over its socket by curl."""
import json
import time

from report import wait_for


class Firewall:
    def __init__(self, vm, mode):
        self.vm, self.config = vm, f"/etc/sallyport/{mode}.conf"

    def start(self):
        """Its log up to "ready" or its end."""
        self.vm.run(
            f"rm -f /run/sallyport.code /run/eve.json; (sallyport run -c {self.config} >/run/sallyport.log 2>&1 & echo $! >/run/sallyport.pid; wait $!; "
            "echo $? >/run/sallyport.code) &")
        self.vm.run("for i in $(seq 300); do grep -q 'sallyport: ready' /run/sallyport.log && break; kill -0 $(cat /run/sallyport.pid) || break; sleep 0.1; done", 40)
        return self.log()

    def log(self):
        return self.vm.run("cat /run/sallyport.log")[1]

    def events(self, what):
        """The lines of the event log that hold the text."""
        return self.vm.run(f"grep '{what}' /run/eve.json")[1].splitlines()

    def get(self, path):
        code, text = self.vm.run(f"curl -sS -m 10 --unix-socket /run/api.sock http://localhost{path}")
        try:
            return json.loads(text)
        except ValueError:
            return {"curl": code, "text": text}

    def stats(self):
        return self.get("/v1/stats")

    def drops(self, reason):
        return self.stats().get("drops", {}).get(reason, -1)

    def dropped(self, reason, before, count):
        """How many more than before were dropped for the reason; waits for up to ten seconds until they are so many."""
        wait_for(lambda: self.drops(reason) - before >= count, 10)
        return self.drops(reason) - before

    def hits(self, rule):
        return self.get(f"/v1/rules/{rule}").get("hits", -1)

    def sessions(self):
        return self.stats().get("sessions", {})

    def ports(self):
        return {port["name"]: port for port in self.get("/v1/ports").get("ports", [])}

    def wait_link(self, name, state, seconds):
        """Seconds until a port's link is reported so; None when it is not."""
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            if self.ports().get(name, {}).get("link") == state:
                return passed
            time.sleep(0.1)
        return None

    def ready(self):
        """The HTTP status of /v1/ready, and its body."""
        text = self.vm.run("curl -s -m 10 -w '\\n%{http_code}' --unix-socket /run/api.sock http://localhost/v1/ready")[1]
        body, _, status = text.rpartition("\n")
        try:
            return int(status), json.loads(body)
        except ValueError:
            return 0, {"text": text}

    def balance(self):
        """What came in and what became of it: {"in", "out", "rx"}."""
        stats = self.stats()
        packets, drops = stats.get("packets", {}), sum(stats.get("drops", {"?": 0}).values())
        return {
            "in": sum(packets.get(key, 0) for key in ("rx", "from_kernel", "built", "fragment_delta")),
            "out": sum(packets.get(key, 0) for key in ("tx", "to_kernel", "consumed", "held")) + drops,
            "rx": packets.get("rx", 0),
        }

    def stop(self):
        """Ends it by SIGTERM; its exit code as text, "" when it did not end."""
        return self.vm.run("kill $(cat /run/sallyport.pid); for i in $(seq 100); do cat /run/sallyport.code 2>/dev/null && break; sleep 0.1; done", 30)[1].strip()
