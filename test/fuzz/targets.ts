// The targets of the fuzzer: parsers of untrusted input, each with its seeds. A target throws if the parser fails with
// an error that its callers do not handle, or returns an invalid result.

import { IoSystemdMachine } from "../../src/api/varlink/io-systemd-machine.ts";
import { unitOfCgroup } from "../../src/base/names.ts";
import { parseEnvFile } from "../../src/base/text/env-file.ts";
import { formatJson, parseJson } from "../../src/base/text/json.ts";
import { Variant } from "../../src/base/variant.ts";
import { ClientHandshake, ServerHandshake } from "../../src/ipc/bus/handshake.ts";
import { parseHead } from "../../src/ipc/http/request.ts";
import { decodeBody, decodeHead, encodeMessage, measure } from "../../src/ipc/message/message.ts";
import { checkFields } from "../../src/ipc/varlink/schema.ts";
import { VarlinkStream } from "../../src/ipc/varlink/stream.ts";
import type { ByteStream, StreamHandlers } from "../../src/kernel/socket/stream.ts";
import { parseMachine } from "../../src/registry/machine/state-text.ts";
import { mapInward, mapOutward, parseIdMap, shiftOf } from "../../src/registry/machine/uid-map.ts";
import { acceptedFormat } from "../../src/stats/text.ts";
import { refusing, type Target, texts } from "./target.ts";
import { ARCHIVE_TARGETS } from "./targets-archives.ts";
import { REGISTRY_TARGETS } from "./targets-registry.ts";

function call(signature: string, body: readonly unknown[]): Buffer {
  const head = { type: 1, serial: 7, path: "/org/freedesktop/machine1", interface: "a.b", member: "M" };
  return encodeMessage({ ...head, destination: ":1.5", sender: ":1.6", signature, body }).bytes;
}

/** Returns the messages that a stream parses if the bytes arrive in pieces of `step` bytes. */
function framesOf(bytes: Buffer, step: number): string[] {
  const found: string[] = [];
  let handlers: StreamHandlers | null = null;
  const socket: ByteStream = {
    write: () => {},
    pause: () => {},
    resume: () => {},
    finish: () => {},
    close: () => {},
    queuedBytes: 0,
    takesMore: true,
  };
  const open = (given: StreamHandlers) => {
    handlers = given;
    return socket;
  };
  const stream = new VarlinkStream(open, {
    message: (text) => void found.push(text),
    end: () => void found.push("end"),
  });
  const receive = handlers as StreamHandlers | null;
  for (let at = 0; at < bytes.length && stream.isOpen; at += step) {
    receive?.data(Buffer.from(bytes.subarray(at, at + step)), []);
  }
  return found;
}

export const TARGETS: Readonly<Record<string, Target>> = {
  ...ARCHIVE_TARGETS,
  ...REGISTRY_TARGETS,
  "varlink-frames": {
    seeds: texts('{"method":"a.b.C"}\0{"method":"a.b.D","parameters":{"x":"\u00e4"}}\0', "\0\0{}\0rest"),
    run(bytes) {
      const whole = framesOf(bytes, Math.max(1, bytes.length));
      for (const step of bytes.length > 10_000 ? [4097] : [1, 7]) {
        if (framesOf(bytes, step).join("\0") !== whole.join("\0"))
          throw new TypeError("messages that hang on how they came");
      }
    },
  },
  "http-head": {
    seeds: texts(
      "GET /sd?port=9100 HTTP/1.1\r\nHost: a\r\nAccept: text/plain;q=0.5, */*",
      "HEAD http://a/metrics HTTP/1.0\r\nContent-Length: 0\r\nTransfer-Encoding: chunked",
    ),
    run(bytes) {
      const request = parseHead(bytes.toString("latin1"));
      if (typeof request === "number") return;
      if (!request.path.startsWith("/")) throw new TypeError("a request without a path");
      acceptedFormat(request.accept);
    },
  },
  "bus-message": {
    seeds: [
      call("", []),
      call("s", ["deb1"]),
      call("sayssusaia(sv)", [
        "web-1",
        Buffer.alloc(16, 7),
        "x",
        "container",
        77,
        "/r",
        [1, 2],
        [["A", new Variant("t", 5n)]],
      ]),
      call("a{sv}", [new Map([["k", new Variant("a(iay)", [[2, Buffer.from([1, 2, 3, 4])]])]])]),
      call("v", [new Variant("v", new Variant("a{ss}", new Map([["a", "b"]])))]),
      call("ybnqiuxtdsog", [1, true, -2, 3, -4, 5, -6n, 7n, 8.5, "s", "/o", "a{sv}"]),
    ],
    run(bytes) {
      refusing(["RangeError"], () => {
        if (bytes.length < 16) return;
        const size = measure(bytes);
        if (size.total > bytes.length) return;
        const whole = bytes.subarray(0, size.total);
        const head = decodeHead(whole);
        decodeBody(whole, size.head, head.signature, []);
      });
    },
  },
  "bus-handshake": {
    seeds: texts(
      "\0AUTH EXTERNAL 30\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n",
      "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n",
      "OK 0123456789abcdef\r\nAGREE_UNIX_FD\r\nl",
    ),
    run(bytes) {
      refusing(["Error"], () => {
        const server = new ServerHandshake(0, "0".repeat(32));
        const half = bytes.length >> 1;
        if (server.feed(bytes.subarray(0, half)).rest === null) server.feed(bytes.subarray(half));
      });
      refusing(["Error"], () => void new ClientHandshake(0).feed(bytes));
    },
  },
  "varlink-call": {
    seeds: texts(
      '{"method":"io.systemd.Machine.List","parameters":{"name":"a","acquireMetadata":"graceful"},"more":true}',
      '{"method":"io.systemd.Machine.Register","parameters":{"name":"a","class":"vm","leader":5,"ifIndices":[1,"2"]}}',
      '{"method":"x","parameters":{"pid":{"pid":7,"pidfdId":18446744073709551615,"bootId":"b"},"signal":-1e3}}',
      '  {"a":[[[null,true,false,1.5e-7,"\\u00e4\\n\\"\\\\"]],{}]} ',
    ),
    run(bytes) {
      refusing(["SyntaxError", "MachinedError"], () => {
        const { value } = parseJson(bytes.toString());
        const again = parseJson(formatJson(value)).value;
        if (formatJson(again) !== formatJson(value)) throw new TypeError("what was read is not what is written");
        if (typeof value !== "object" || value === null || Array.isArray(value)) return;
        const parameters = value["parameters"];
        if (typeof parameters !== "object" || parameters === null || Array.isArray(parameters)) return;
        for (const { in: fields } of Object.values(IoSystemdMachine.methods)) {
          refusing(["MachinedError"], () => void checkFields(IoSystemdMachine, fields, parameters));
        }
      });
    },
  },
  "state-file": {
    seeds: texts(
      '# This is private data. Do not parse.\nNAME=m\nUID=0\nSCOPE="machine-a\\\\x2db.scope"\nLEADER=77\nCLASS=container\nNETIF=" 1 7"\n',
      "NAME=m\nSCOPE=machine-web\\\\x2d1.a.scope\nSERVICE=my svc\nROOT=/tmp/ro ot\nID=0102030405060708090a0b0c0d0e0f10\n" +
        "LEADER=305\nCLASS=vm\nREALTIME=1795350833254653\nMONOTONIC=917530980\nNETIF=1 7\nVSOCK_CID=4294967295\n",
    ),
    run(bytes) {
      const saved = parseMachine("m", bytes.toString());
      if (saved !== null && (!(saved.leader > 1) || saved.networkInterfaces.some((index) => !(index > 0)))) {
        throw new TypeError("a machine that cannot be");
      }
    },
  },
  "env-file": {
    seeds: texts(
      'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n# c\nA=\'x\'y"z"\\ b\\\nc\n',
      "A = 1\r\nB=$x`y`\\$\n;x\nexport C=2\n=\n_=\n",
    ),
    run(bytes) {
      for (const [key, value] of parseEnvFile(bytes.toString())) {
        if (key === "" || value.includes("\0")) throw new TypeError("a key or value that cannot be");
      }
    },
  },
  "uid-map": {
    seeds: texts("         0     100000      65536\n", "0 0 4294967295\n", "0 524288 1000\n1000 624288 64536\n"),
    run(bytes) {
      const lines = parseIdMap(bytes.toString());
      shiftOf({ uid: lines, gid: lines });
      for (const id of [0, 7, 65535, 100000, 4294967295]) {
        const outer = mapOutward(lines, id);
        const inner = mapInward(lines, id);
        if (Number.isNaN(outer) || Number.isNaN(inner)) throw new TypeError("an id that cannot be");
      }
    },
  },
  cgroup: {
    seeds: texts(
      "/machine.slice/machine-web\\x2d1.a.scope/payload/init.scope",
      "/user.slice/user-1000.slice/user@1000.service/app.slice/x.scope",
      "/system.slice/_x.service",
    ),
    run(bytes) {
      const place = unitOfCgroup(bytes.toString());
      if (place !== null && (place.unit === "" || place.unit.includes("/")))
        throw new TypeError("a unit that cannot be");
    },
  },
};
