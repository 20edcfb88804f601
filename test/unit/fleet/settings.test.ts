import { expect, test } from "bun:test";
import { DEFAULTS, parseFleetConf } from "../../../src/fleet/settings.ts";

test("settings are read from their section", () => {
  const text = `# ours
[Fleet]
Url=nats://a:4222, tls://b
Host=web1
Ttl=1min 30s
Allow=exec read
; more
InboxPrefix=_INBOX_web1
CredentialsFile=/etc/machined/fleet.creds
`;
  expect(parseFleetConf(text, "f")).toEqual({
    ...DEFAULTS,
    ...{ urls: ["nats://a:4222", "tls://b"], host: "web1", ttlMs: 90_000, allow: ["read", "exec"] },
    ...{ inboxPrefix: "_INBOX_web1", credentialsFile: "/etc/machined/fleet.creds" },
  });
});

test.each([
  ["Url=nats://a", "f:1: The settings stand below [Fleet]"],
  ["[Fleet]\nUrl=http://a/b", "f:2: Url=: 'http://a/b' is no URL of a NATS server"],
  ["[Fleet]\nHost=events", "f:2: Host=: 'events' is no name"],
  ["[Fleet]\nHost=a.*", "no name that a host can have"],
  ["[Fleet]\nTtl=1s", "no span from 3s"],
  ["[Fleet]\nAllow=all", "'all' is none of read, lifecycle, exec"],
  ["[Fleet]\nInboxPrefix=machined.h", "does not begin with _INBOX"],
  ["[Fleet]\nCredentialsFile=creds", "no absolute path"],
  ["[Fleet]\nconstructor=1", "There is no setting 'constructor'"],
  ["[Fleet]\nUrl", "A line is NAME=VALUE"],
])("%j is refused", (text, why) => {
  expect(() => parseFleetConf(text, "f")).toThrow(why);
});
