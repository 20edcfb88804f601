// The interfaces that every Varlink service of systemd has: org.varlink.service, io.systemd.service, and the errors of
// io.systemd.
import { defineVarlinkInterface } from "../varlink-table.ts";

export const OrgVarlinkService = defineVarlinkInterface({
  name: "org.varlink.service",
  doc: "What this service is, and which interfaces it has.",
  types: {},
  methods: {
    GetInfo: {
      in: {},
      out: { vendor: "string", product: "string", version: "string", url: "string", interfaces: "[]string" },
      access: "everyone",
      doc: "Describes the service.",
    },
    GetInterfaceDescription: {
      in: { interface: "string" },
      out: { description: "string" },
      access: "everyone",
      doc: "Describes an interface in the Varlink interface language.",
    },
  },
  notes: {
    fields: {
      vendor: "The vendor of the service.",
      product: "The name of the program.",
      version: "The version of the program.",
      url: "The web page of the program.",
      interfaces: "The interfaces of the service.",
      interface: "The name of an interface.",
      description: "The interface in the Varlink interface language, with comments.",
      method: "The name of the method.",
      parameter: "The name of the first parameter that is missing, unknown or of another type.",
    },
    errors: {
      InterfaceNotFound: "The service has no such interface.",
      MethodNotFound: "The interface has no such method.",
      MethodNotImplemented: "The interface declares the method, but the service does not implement it.",
      InvalidParameter: "A parameter is missing, unknown or has an invalid value.",
      PermissionDenied: "The caller is not permitted to do that.",
      ExpectedMore: "The call has more than one reply: it must be made with the 'more' flag.",
      ExpectedUpgrade:
        "The method switches the connection to another protocol: it must be called with the 'upgrade' flag.",
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

/** Errors with which any method may reply. */
export const IoSystemd = defineVarlinkInterface({
  name: "io.systemd",
  doc: "Errors common to all services.",
  types: {},
  methods: {},
  notes: {
    fields: {
      origin: "The number space of errno: 'linux' for errno(3).",
      errno: "The number of the error.",
      errnoName: "The name of the error, such as ENOENT.",
    },
    errors: {
      Disconnected: "The connection ended before the reply; client libraries generate it.",
      TimedOut: "No reply came in time; client libraries generate it.",
      Protocol: "The reply was not a valid Varlink message; client libraries generate it.",
      System: "An error of the operating system.",
      InteractiveAuthenticationRequired: "The user must be asked for a password, and the call does not allow it.",
    },
  },
  errors: {
    Disconnected: {},
    TimedOut: {},
    Protocol: {},
    System: { origin: "?string", errnoName: "?string", errno: "?int" },
    InteractiveAuthenticationRequired: {},
  },
});

export const IoSystemdService = defineVarlinkInterface({
  name: "io.systemd.service",
  doc: "Controls the service process.",
  types: {},
  methods: {
    Ping: { in: {}, out: {}, access: "everyone", doc: "Replies." },
    // Every service of 262 declares it; services without configuration, machined and importd among them, do not
    // implement it.
    Reload: {
      in: { allowInteractiveAuthentication: "?bool" },
      out: {},
      unimplemented: true,
      access: "privileged",
      doc: "Reloads the configuration; a service without configuration does not implement it.",
    },
    SetLogLevel: {
      in: { level: "int" },
      out: {},
      access: "privileged",
      doc: "Sets the highest log level, 0 (emerg) to 7 (debug).",
    },
    GetLogLevel: { in: {}, out: { level: "int" }, access: "everyone", doc: "The highest log level." },
    GetEnvironment: {
      in: {},
      out: { environment: "?[]string" },
      access: "privileged",
      doc: "The environment of the process.",
    },
  },
  notes: {
    fields: {
      level: "A level of syslog(3), from 0 (emerg) to 7 (debug).",
      environment: "The variables, as NAME=VALUE.",
      allowInteractiveAuthentication: "Whether the user may be asked for a password; not unless it is true.",
    },
    errors: { InconsistentEnvironment: "The environment is not valid at the moment." },
  },
  errors: { InconsistentEnvironment: {} },
});
