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
      access: "everyone",
      doc: "Describes the service.",
    },
    GetInterfaceDescription: {
      in: { interface: "string" },
      out: { description: "string" },
      access: "everyone",
      doc: "An interface in the interface language.",
    },
  },
  notes: {
    fields: {
      vendor: "Who makes the service.",
      product: "What the program is called.",
      version: "Its version.",
      url: "Where to read about it.",
      interfaces: "The interfaces that it has.",
      interface: "The name of an interface.",
      description: "The interface in the interface language, with comments.",
      method: "The name of the method.",
      parameter: "The name of the first parameter that is missing, unknown or of another type.",
    },
    errors: {
      InterfaceNotFound: "There is no such interface here.",
      MethodNotFound: "The interface has no such method.",
      MethodNotImplemented: "The interface has such a method, but it does nothing here.",
      InvalidParameter: "A parameter is not as it must be.",
      PermissionDenied: "The caller may not do that.",
      ExpectedMore: "The call has more than one reply: it must be made with the 'more' flag.",
      ExpectedUpgrade: "The method hands the connection over: it must be called with the 'upgrade' flag.",
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
  notes: {
    fields: {
      origin: "Whose number it is: 'linux' for errno(3).",
      errno: "The number of the error.",
      errnoName: "Its name, as ENOENT.",
    },
    errors: {
      Disconnected: "The connection ended before the reply came; made by clients themselves.",
      TimedOut: "No reply came in time; made by clients themselves.",
      Protocol: "What came was no Varlink message; made by clients themselves.",
      System: "An error of the operating system.",
      InteractiveAuthenticationRequired: "The user would have to be asked for a password, and may not be.",
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
  doc: "Looks after the service process.",
  types: {},
  methods: {
    Ping: { in: {}, out: {}, access: "everyone", doc: "Answers." },
    // Every service of 262 declares it; those without configuration, such as its machined and importd, lack the method.
    Reload: {
      in: { allowInteractiveAuthentication: "?bool" },
      out: {},
      unimplemented: true,
      access: "privileged",
      doc: "Reads the configuration again; a service that has none does not have the method either.",
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
