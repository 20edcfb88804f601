// org.freedesktop.DBus and its Properties as clients call them, and org.freedesktop.LogControl1(5) as the daemons offer
// it.
import { BROKER } from "../base/vocabulary/bus-peers.ts";
import { defineBusInterface, defineCalledInterface } from "./table.ts";

export const LOG_CONTROL_PATH = "/org/freedesktop/LogControl1";

/** The methods of the message bus itself that doctor calls (the D-Bus specification, "Message Bus Messages"). */
export const Broker = defineCalledInterface({
  name: BROKER,
  methods: {
    GetId: { in: {}, out: { id: "s" } },
    GetNameOwner: { in: { name: "s" }, out: { unique_name: "s" } },
    GetConnectionUnixProcessID: { in: { name: "s" }, out: { pid: "u" } },
    ListActivatableNames: { in: {}, out: { names: "as" } },
  },
});

export const Properties = defineBusInterface({
  name: "org.freedesktop.DBus.Properties",
  methods: {
    Get: {
      in: { interface_name: "s", property_name: "s" },
      out: { value: "v" },
      access: "everyone",
      doc: "One property.",
    },
    GetAll: {
      in: { interface_name: "s" },
      out: { props: "a{sv}" },
      access: "everyone",
      doc: "All properties of an interface.",
    },
    Set: {
      in: { interface_name: "s", property_name: "s", value: "v" },
      out: {},
      access: "everyone",
      doc: "Sets a property.",
    },
  },
  properties: {},
  signals: {},
});

export const LogControl = defineBusInterface({
  name: "org.freedesktop.LogControl1",
  methods: {},
  properties: {
    LogLevel: { type: "s", emits: "false", writable: true, doc: "The highest level that is logged, emerg to debug." },
    LogTarget: { type: "s", emits: "false", writable: true, doc: "Where log lines go." },
    SyslogIdentifier: { type: "s", emits: "false", doc: "The identifier of the log lines." },
  },
  signals: {},
});
