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
  ["Url=nats://a", "f:1: A setting is before the first section: add the line '[Fleet]' above it"],
  ["[Feet]\nUrl=nats://a", "f:2: A setting is in section [Feet], but only [Fleet] is known"],
  ["[Fleet]\nUrl=http://a/b", "f:2: Url=: 'http://a/b' is not the URL of a NATS server: nats://HOST:PORT"],
  [
    "[Fleet]\nHost=events",
    "f:2: Host=: 'events' is not a name that a host can have in the fleet: letters, digits, '-' and dots",
  ],
  ["[Fleet]\nUrl=nats://u:50%@h", "f:2: Url=: The login in the URL of 'h' cannot be decoded (in it, write '%' as %25)"],
  ["[Fleet]\nHost=a.*", "not a name that a host can have"],
  ["[Fleet]\nTtl=1s", "'1s' is not a time from 3s to 1d"],
  ["[Fleet]\nAllow=all", "'all' is not a scope: there are read, lifecycle, exec"],
  ["[Fleet]\nInboxPrefix=machined.h", "it is _INBOX, followed by letters"],
  ["[Fleet]\nCredentialsFile=creds", "'creds' is not an absolute path"],
  ["[Fleet]\nconstructor=1", "f:2: Setting 'constructor' is not known: there are Url, Host, CredentialsFile"],
  ["[Fleet]\nUrl", "f:2: The line has no '='"],
])("%j is refused", (text, why) => {
  expect(() => parseFleetConf(text, "f")).toThrow(why);
});
