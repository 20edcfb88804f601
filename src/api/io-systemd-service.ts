// The two interfaces that every Varlink service of systemd's has: org.varlink.service and io.systemd.service.
import { defineVarlinkInterface } from "./varlink-table.ts";

export const OrgVarlinkService = defineVarlinkInterface({
  name: "org.varlink.service",
  doc: "What this service is, and which interfaces it has.",
  types: {},
  methods: {
    GetInfo: {
      in: {},
      out: { vendor: "string", product: "string", version: "string", url: "string", interfaces: "[]string" },
      doc: "Describes the service.",
    },
    GetInterfaceDescription: {
      in: { interface: "string" },
      out: { description: "string" },
      doc: "An interface in the interface language.",
    },
  },
  errors: {
    InterfaceNotFound: { interface: "string" },
    MethodNotFound: { method: "string" },
    MethodNotImplemented: { method: "string" },
    InvalidParameter: { parameter: "string" },
    PermissionDenied: {},
    ExpectedMore: {},
    ExpectedUpgrade: {},
  },
});

/** Errors that any method may answer with. */
export const IoSystemd = defineVarlinkInterface({
  name: "io.systemd",
  doc: "Errors common to all services.",
  types: {},
  methods: {},
  errors: {
    Disconnected: {},
    TimedOut: {},
    Protocol: {},
    System: { origin: "?string", errno: "int", errnoName: "?string" },
    InteractiveAuthenticationRequired: {},
  },
});

export const IoSystemdService = defineVarlinkInterface({
  name: "io.systemd.service",
  doc: "Looks after the service process.",
  types: {},
  methods: {
    Ping: { in: {}, out: {}, doc: "Answers." },
    SetLogLevel: { in: { level: "int" }, out: {}, doc: "Sets the highest log level, 0 (emerg) to 7 (debug)." },
    GetLogLevel: { in: {}, out: { level: "int" }, doc: "The highest log level." },
    GetEnvironment: { in: {}, out: { environment: "?[]string" }, doc: "The environment of the process." },
  },
  errors: { InconsistentEnvironment: {} },
});
