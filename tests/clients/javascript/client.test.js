// A JavaScript client of the reference's API talks to a real agent, whose port is in LICTOR_PORT.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import Consul from "consul";

const consul = new Consul({ host: "127.0.0.1", port: Number(process.env.LICTOR_PORT) });

async function eventually(look, within = 15000) {
  const deadline = Date.now() + within;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() < deadline, "it did not come to that");
    await sleep(20);
  }
}

test("keys", async () => {
  assert.equal(await consul.kv.set({ key: "js/keys/a", value: "one", flags: 3 }), true);
  const entry = await consul.kv.get("js/keys/a");
  assert.deepEqual([entry.Value, entry.Flags], ["one", 3]);
  // The client makes nothing of an answer that is `false`.
  assert.ok(!(await consul.kv.set({ key: "js/keys/a", value: "two", cas: "999999" })));
  assert.deepEqual(await consul.kv.keys("js/keys/"), ["js/keys/a"]);
  await consul.kv.del({ key: "js/keys/", recurse: true });
  assert.equal(await consul.kv.get("js/keys/a"), undefined);
});

test("a watch sees a change", async () => {
  await consul.kv.set("js/watched", "before");
  const watch = consul.watch({ method: consul.kv.get, options: { key: "js/watched", wait: "20s" } });
  try {
    const [first] = await once(watch, "change");
    assert.equal(first.Value, "before");
    const changed = once(watch, "change");
    await consul.kv.set("js/watched", "after");
    const [second] = await changed;
    assert.equal(second.Value, "after");
  } finally {
    watch.end();
  }
});

test("locks", async () => {
  const { ID: first } = await consul.session.create({ name: "first", lockdelay: "0s", ttl: "60s" });
  const { ID: second } = await consul.session.create({ name: "second", lockdelay: "0s", ttl: "60s" });
  assert.equal(await consul.kv.set({ key: "js/lock", value: "1", acquire: first }), true);
  assert.ok(!(await consul.kv.set({ key: "js/lock", value: "2", acquire: second })));
  assert.equal((await consul.session.renew(first))[0].Name, "first");
  await consul.session.destroy(first);
  assert.equal(await consul.kv.set({ key: "js/lock", value: "2", acquire: second }), true);
});

test("services and their health", async () => {
  const check = { ttl: "60s", status: "critical" };
  await consul.agent.service.register({ name: "js-web", id: "js-web-1", port: 8080, tags: ["a"], check });
  await eventually(async () => (await consul.catalog.service.nodes("js-web")).length === 1);
  assert.deepEqual(await consul.health.service({ service: "js-web", passing: true }), []);
  await consul.agent.check.pass("service:js-web-1");
  const [healthy] = await eventually(async () => {
    const found = await consul.health.service({ service: "js-web", passing: true });
    return found.length > 0 && found;
  });
  assert.equal(healthy.Service.Port, 8080);
  await consul.agent.service.deregister("js-web-1");
  await eventually(async () => (await consul.catalog.service.nodes("js-web")).length === 0);
});

test("transactions", async () => {
  const done = await consul.transaction.create([{ KV: { Verb: "set", Key: "js/txn", Value: "dg==" } }]);
  assert.equal(done.Results[0].KV.Key, "js/txn");
  await assert.rejects(consul.transaction.create([{ KV: { Verb: "get", Key: "js/none" } }]));
});

test("the agent itself", async () => {
  assert.equal((await consul.agent.self()).Config.NodeName, "n1");
  assert.match(await consul.status.leader(), /^127\.0\.0\.1:/);
});
