// What a reader of the fleet sees while agents write their records: a server that is asked for the last message of each
// subject then counts wrongly what follows, and sends a record that was written meanwhile after the others.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { jetstream } from "@nats-io/jetstream";
import { FleetClient } from "../../src/fleet/client.ts";
import { eventSubject, recordSubject } from "../../src/fleet/names.ts";
import { hostText, machineText } from "../../src/fleet/record.ts";
import { parseFleetConf } from "../../src/fleet/settings.ts";
import { TestFleet } from "../lib/nats.ts";
import { havePrograms } from "../lib/programs.ts";

const has = havePrograms("a fleet whose records are written", "nats-server");
const HOSTS = ["web1", "web2"];
const READINGS = 60;

let fleet: TestFleet;
let reader: FleetClient;

/** Writes the record of a host, as its agent does, until `isOver` returns true; returns how often. */
async function keepWriting(host: string, isOver: () => boolean): Promise<number> {
  const nats = await fleet.connect(host);
  try {
    const stream = jetstream(nats);
    const agent = { host, bootId: "", agent: "1", since: 1, machines: 1, names: ["deb1"], allow: [] };
    const facts = { host, machine: "deb1", class: "container", service: "test", os: "", version: "", addresses: [] };
    await stream.publish(recordSubject(host, "deb1"), machineText({ ...facts, time: 2 }));
    let writings = 0;
    do {
      await stream.publish(recordSubject(host, null), hostText({ ...agent, time: writings++ }));
    } while (!isOver());
    return writings;
  } finally {
    await nats.close();
  }
}

beforeAll(async () => {
  if (!has) return;
  fleet = await TestFleet.start();
  const file = fleet.conf("reader");
  reader = await FleetClient.open(parseFleetConf(readFileSync(file, "utf8"), file));
  await Promise.all(HOSTS.map((host) => keepWriting(host, () => true)));
});

afterAll(async () => {
  await reader?.close();
  await fleet?.[Symbol.asyncDispose]();
});

describe.skipIf(!has)("a fleet whose records are written", () => {
  for (const writing of [["web1"], HOSTS])
    test(`no host is missing, and reading ends, while ${writing.join(" and ")} write without a pause`, async () => {
      let isOver = false;
      const writers = writing.map((host) => keepWriting(host, () => isOver));
      try {
        for (let reading = 0; reading < READINGS; reading++) {
          const hosts = await reader.hosts();
          expect(hosts.map(({ host }) => host).sort()).toEqual(HOSTS);
        }
        const { machines, incomplete } = await reader.machines(null);
        expect(machines.map(({ host }) => host).sort()).toEqual(HOSTS);
        expect(incomplete).toEqual([]);
      } finally {
        isOver = true;
      }
      for (const writings of await Promise.all(writers)) expect(writings).toBeGreaterThan(READINGS);
    });

  test("what a host writes does not control the terminal: lists, events, inventories and errors", async () => {
    const evil = "\u001b]0;x\u0007\u009b31m\u202e\n\rz";
    const nats = await fleet.connect("web1");
    const stream = jetstream(nats);
    const fields = { host: "web1", machine: "bad", class: evil, service: evil, os: evil, version: evil };
    const names = ["deb1", "bad", evil];
    const host = { host: "web1", bootId: evil, agent: evil, since: 1, machines: 3, names, allow: [evil] };
    const event = { host: "web1", type: "machine", event: evil, machine: evil, time: Date.now() * 1000, reason: evil };
    await stream.publish(recordSubject("web1", "bad"), machineText({ ...fields, addresses: [evil], time: 2 }));
    await stream.publish(eventSubject("web1", "machine"), JSON.stringify(event));
    await stream.publish(recordSubject("web1", null), hostText({ ...host, names: ["deb1", "bad"], time: 3 }));
    const verbs = [
      ["list"],
      ["list", "--json=pretty"],
      ["list", "--template={{service}} {{os}}"],
      ["list", "--columns=machine,class,service,os,version,addresses"],
      ["events", "--no-follow"],
      ["events", "--no-follow", "--json=short"],
      ["events", "--no-follow", "--template={{event}} {{name}}"],
      ["inventory"],
      ["inventory", "--json=pretty"],
    ];
    const bad = /(?![\n\t])[\p{Cc}\u202e]/u;
    for (const verb of verbs) {
      const { stdout, stderr } = await fleet.machinectl("reader", ...verb);
      expect([verb.join(" "), bad.exec(stdout + stderr)]).toEqual([verb.join(" "), null]);
    }
    // A name that no machine can have is one that is missing.
    await stream.publish(recordSubject("web1", null), hostText({ ...host, time: 4 }));
    const { status, stdout, stderr } = await fleet.machinectl("reader", "list");
    expect([status, bad.exec(stdout + stderr)]).toEqual([1, null]);
    expect(stderr).toContain("web1");
    await nats.close();
  });
});
