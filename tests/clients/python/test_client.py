"""A Python client of the reference's API talks to a real agent, whose port is in LICTOR_PORT."""

import os
import threading
import time
import unittest

import consul

PORT = int(os.environ["LICTOR_PORT"])


def eventually(look, within=15.0):
    """Returns what `look` returns once that is true."""
    deadline = time.monotonic() + within
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError("it did not come to that")
        time.sleep(0.02)


class Client(unittest.TestCase):
    def setUp(self):
        self.consul = consul.Consul(host="127.0.0.1", port=PORT)

    def test_keys(self):
        kv = self.consul.kv
        self.assertTrue(kv.put("py/keys/a", "one", flags=7))
        index, entry = kv.get("py/keys/a")
        self.assertEqual((entry["Value"], entry["Flags"]), (b"one", 7))
        self.assertFalse(kv.put("py/keys/a", "two", cas=entry["ModifyIndex"] + 1000))
        self.assertTrue(kv.put("py/keys/a", "two", cas=entry["ModifyIndex"]))
        kv.put("py/keys/b/c", b"\x00\xff")
        _, entries = kv.get("py/keys/", recurse=True)
        self.assertEqual([entry["Key"] for entry in entries], ["py/keys/a", "py/keys/b/c"])
        _, keys = kv.get("py/keys/", keys=True, separator="/")
        self.assertEqual(keys, ["py/keys/a", "py/keys/b/"])
        self.assertGreater(int(index), 0)
        self.assertTrue(kv.delete("py/keys/", recurse=True))
        self.assertIsNone(kv.get("py/keys/a")[1])

    def test_waiting_for_a_change(self):
        self.consul.kv.put("py/watched", "before")
        index, _ = self.consul.kv.get("py/watched")
        seen = []

        def wait():
            other = consul.Consul(host="127.0.0.1", port=PORT)
            seen.append(other.kv.get("py/watched", index=index, wait="20s"))

        waiter = threading.Thread(target=wait)
        waiter.start()
        self.consul.kv.put("py/unrelated", "x")
        self.consul.kv.put("py/watched", "after")
        waiter.join(20)
        self.assertEqual(seen[0][1]["Value"], b"after")
        self.assertGreater(int(seen[0][0]), int(index))

    def test_locks(self):
        first = self.consul.session.create(name="first", ttl=60, lock_delay=0)
        second = self.consul.session.create(name="second", ttl=60, lock_delay=0)
        self.assertTrue(self.consul.kv.put("py/lock", "1", acquire=first))
        self.assertFalse(self.consul.kv.put("py/lock", "2", acquire=second))
        self.assertEqual(self.consul.session.renew(first)["Name"], "first")
        self.consul.session.destroy(first)
        self.assertTrue(self.consul.kv.put("py/lock", "2", acquire=second))
        _, sessions = self.consul.session.list()
        self.assertIn(second, [session["ID"] for session in sessions])

    def test_services(self):
        agent = self.consul.agent
        agent.service.register(
            "py-web", service_id="py-web-1", port=8080, tags=["a", "b"], check=consul.Check.ttl("60s")
        )
        eventually(lambda: self.consul.catalog.service("py-web")[1])
        self.assertEqual(self.consul.health.service("py-web", passing=True)[1], [])
        agent.check.ttl_pass("service:py-web-1", "fine")
        healthy = eventually(lambda: self.consul.health.service("py-web", passing=True, tag="a")[1])
        self.assertEqual(healthy[0]["Service"]["Port"], 8080)
        self.assertEqual(healthy[0]["Checks"][-1]["Output"], "fine")
        self.assertIn("py-web-1", agent.services())
        agent.service.deregister("py-web-1")
        eventually(lambda: not self.consul.catalog.service("py-web")[1])

    def test_catalog_and_transactions(self):
        self.consul.catalog.register("py-node", "10.1.2.3", service={"Service": "py-db", "Port": 5432})
        _, nodes = self.consul.catalog.service("py-db")
        self.assertEqual((nodes[0]["Address"], nodes[0]["ServicePort"]), ("10.1.2.3", 5432))
        self.consul.catalog.deregister("py-node")
        self.assertNotIn("py-db", self.consul.catalog.services()[1])
        done = self.consul.txn.put(
            [{"KV": {"Verb": "set", "Key": "py/txn", "Value": "dg=="}}, {"KV": {"Verb": "get", "Key": "py/txn"}}]
        )
        self.assertEqual(done["Results"][1]["KV"]["Value"], "dg==")

    def test_prepared_queries(self):
        self.consul.catalog.register("py-node", "10.1.2.4", service={"Service": "py-db", "Port": 5432})
        query = self.consul.query
        created = query.create("py-db", name="py-query", ttl="5s")["ID"]
        self.assertEqual(query.get(created)[0]["DNS"], {"TTL": "5s"})
        self.assertEqual(query.execute("py-query", limit=1)["Nodes"][0]["Service"]["Port"], 5432)
        self.assertEqual(query.explain("py-query")["Query"]["ID"], created)
        self.assertTrue(query.update(created, "py-none", name="py-query"))
        self.assertEqual(query.execute("py-query")["Nodes"], [])
        self.assertTrue(query.delete(created))
        self.assertNotIn(created, [found["ID"] for found in query.list()])
        self.consul.catalog.deregister("py-node")

    def test_the_agent_itself(self):
        self.assertEqual(self.consul.agent.self()["Config"]["NodeName"], "n1")
        self.assertEqual(len(self.consul.agent.members()), 1)
        self.assertTrue(self.consul.status.leader().startswith("127.0.0.1:"))


if __name__ == "__main__":
    unittest.main()
