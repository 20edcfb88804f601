// Generates the files about permissions from the field `access` of the rows in src/api: polkit actions, D-Bus policies,
// docs/actions.md.
import { type Access, type PolkitRule, rulesOf } from "../../src/api/access.ts";
import { ImportManager, Transfer } from "../../src/api/import1.ts";
import { Image, Machine, Manager } from "../../src/api/machine1.ts";
import { OWN_INTERFACES } from "../../src/api/own-interfaces.ts";
import { IMPORT1_ACTIONS, MACHINE1_ACTIONS, type PolkitAction } from "../../src/api/polkit-actions.ts";
import { IoSystemdImport } from "../../src/api/varlink/io-systemd-import.ts";
import { IoSystemdMachine } from "../../src/api/varlink/io-systemd-machine.ts";
import { IoSystemdMachineImage } from "../../src/api/varlink/io-systemd-machine-image.ts";
import { IoSystemdResolveHook } from "../../src/api/varlink/io-systemd-resolve.ts";
import { IoSystemdService, OrgVarlinkService } from "../../src/api/varlink/io-systemd-service.ts";
import { IoSystemdUserDatabase } from "../../src/api/varlink/io-systemd-userdb.ts";
import { CALL_DESCRIPTOR_LIMIT } from "../../src/ipc/bus/call.ts";

/** The D-Bus interfaces of each bus name. */
export const BUS_TABLES = {
  "org.freedesktop.machine1": [Manager, Machine, Image],
  "org.freedesktop.import1": [ImportManager, Transfer],
} as const;

/** The Varlink interfaces of all services. */
export const VARLINK_TABLES = [
  ...[IoSystemdMachine, IoSystemdMachineImage, IoSystemdImport, IoSystemdUserDatabase, IoSystemdResolveHook],
  ...[IoSystemdService, OrgVarlinkService, ...OWN_INTERFACES],
];

/** The actions of each bus name. */
export const ACTIONS: Readonly<Record<keyof typeof BUS_TABLES, Readonly<Record<string, PolkitAction>>>> = {
  "org.freedesktop.machine1": MACHINE1_ACTIONS,
  "org.freedesktop.import1": IMPORT1_ACTIONS,
};

/** The name of each daemon in the comments of its files. */
const DAEMONS = {
  "org.freedesktop.machine1": "machine registry",
  "org.freedesktop.import1": "transfer daemon",
} as const;

export type BusName = keyof typeof BUS_TABLES;

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function actionXml([id, action]: readonly [string, PolkitAction]): string {
  const implies = action.implies === undefined ? "" : action.implies.join(" ");
  return [
    `  <action id="${id}">`,
    `    <description>${escaped(action.description)}</description>`,
    `    <message>${escaped(action.message)}</message>`,
    "    <defaults>",
    "      <allow_any>auth_admin</allow_any>",
    "      <allow_inactive>auth_admin</allow_inactive>",
    `      <allow_active>${action.active}</allow_active>`,
    "    </defaults>",
    ...(implies === "" ? [] : [`    <annotate key="org.freedesktop.policykit.imply">${implies}</annotate>`]),
    "  </action>\n",
  ].join("\n");
}

/** Returns the contents of a polkit .policy file. */
export function polkitPolicy(name: BusName): string {
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE policyconfig PUBLIC "-//freedesktop//DTD PolicyKit Policy Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/PolicyKit/1/policyconfig.dtd">
<!--
  The actions for which the ${DAEMONS[name]} asks polkit. "machined install" writes those that the host lacks to a file of its
  own. Ids, defaults and implications are a stable interface, because rules of administrators name them.
  Generated from src/api/polkit-actions.ts by "npm run docs".
-->
<policyconfig>

${Object.entries(ACTIONS[name]).map(actionXml).join("\n")}
</policyconfig>
`;
}

interface Row {
  readonly access: Access;
  readonly in?: object;
  readonly unimplemented?: true;
}

interface Table {
  readonly name: string;
  readonly methods: Readonly<Record<string, Row>>;
}

/** Returns the names of the methods that all users may call, sorted. */
function openMembers({ methods }: Table): string[] {
  return Object.keys(methods)
    .filter((member) => methods[member]?.access !== "privileged")
    .sort();
}

/** Returns how many descriptors a call of the method may have; properties may have some, as the leader has a pidfd. */
function descriptorsOf(row: Row | undefined): number {
  const signatures: string[] = Object.values(row?.in ?? {});
  if (signatures.some((signature) => signature.includes("v"))) return CALL_DESCRIPTOR_LIMIT;
  return signatures.filter((signature) => signature === "h").length;
}

/**
 * Returns the contents of a D-Bus policy: all users may call methods that are not privileged, and read properties. The
 * broker refuses calls of users with more descriptors than the method takes.
 */
export function busPolicy(name: BusName): string {
  const allow = (iface: string, member?: string, descriptors = 0) => {
    const place = `send_destination="${name}" send_interface="${iface}"`;
    const method = member === undefined ? "" : ` send_member="${member}"`;
    return `    <allow ${place}${method} max_fds="${descriptors}"/>`;
  };
  const tables: readonly Table[] = BUS_TABLES[name];
  const groups = [
    [
      allow("org.freedesktop.DBus.Introspectable"),
      allow("org.freedesktop.DBus.Peer"),
      allow("org.freedesktop.DBus.Properties", "Get"),
      allow("org.freedesktop.DBus.Properties", "GetAll"),
    ],
    ...tables.map((table) =>
      openMembers(table).map((member) => allow(table.name, member, descriptorsOf(table.methods[member]))),
    ),
  ];
  return `<?xml version="1.0"?>
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<!--
  Who may send messages to the ${DAEMONS[name]}. All users may send the calls named here; for those that need a permission, the
  daemon asks polkit. Everything else, such as setting a property, is for root only.
  Generated from the tables in src/api by "npm run docs".
-->
<busconfig>
  <policy user="root">
    <allow own="${name}"/>
    <allow send_destination="${name}"/>
    <allow receive_sender="${name}"/>
  </policy>

  <policy context="default">
    <deny send_destination="${name}"/>
    <allow receive_sender="${name}"/>

${groups.map((lines) => lines.join("\n")).join("\n\n")}
  </policy>
</busconfig>
`;
}

function code(text: string): string {
  return `\`${text}\``;
}

function detailsOf({ subject, verb, details = [] }: PolkitRule): string {
  const keys = [
    ...(subject === undefined ? [] : [subject]),
    ...(verb === undefined ? [] : [`verb=${verb}`]),
    ...details,
  ];
  return keys.map((key) => (key.startsWith("?") ? `${code(key.slice(1))} where given` : code(key))).join(", ");
}

function whoMay(rule: PolkitRule): string {
  const { hostAction, instead, since, owner, when, note } = rule;
  return [
    code(rule.action),
    hostAction === undefined ? "" : `for the host ${code(hostAction)}`,
    instead === undefined
      ? ""
      : `or ${code(instead.action)}${instead.before === undefined ? "" : ` before ${instead.before}`}`,
    owner === true ? "not the machine's owner" : "",
    since === undefined ? "" : `since ${since}`,
    when === undefined ? "" : `when ${when}`,
    note === undefined ? "" : `and ${note}`,
  ]
    .filter((part) => part !== "")
    .join("; ");
}

function methodRows({ name, methods }: Table): string[][] {
  return Object.entries(methods).flatMap(([member, { access, unimplemented }]) => {
    const method = code(`${name}.${member}`);
    if (access === "everyone" || unimplemented === true) return [];
    if (access === "privileged") return [[method, "root and the daemon's own user only", ""]];
    return rulesOf(access).map(([variant, rule]) => [
      variant === "" ? method : `${method} (${variant})`,
      whoMay(rule),
      detailsOf(rule),
    ]);
  });
}

const ACTIVE = { yes: "yes", auth_admin_keep: "an administrator's password, kept for a while" } as const;

/** Returns the tables of docs/actions.md, each with its heading and rows. */
export function actionTables(): readonly { readonly heading: readonly string[]; readonly rows: string[][] }[] {
  const tables: readonly Table[] = [...Object.values(BUS_TABLES).flat(), ...VARLINK_TABLES];
  const actions = Object.values(ACTIONS).flatMap((some) => Object.entries(some));
  const everyone = tables.map(({ name, methods }) => [
    code(name),
    Object.entries(methods)
      .filter(([, { access }]) => access === "everyone")
      .map(([member]) => code(member))
      .join(", "),
  ]);
  return [
    {
      heading: ["action", "what it is", "in the active session", "implies"],
      rows: actions.map(([id, { description, active, implies = [] }]) => [
        code(id),
        description,
        ACTIVE[active],
        implies.map(code).join(", "),
      ]),
    },
    { heading: ["method", "permission", "details for polkit's rules"], rows: tables.flatMap(methodRows) },
    { heading: ["interface", "methods"], rows: everyone.filter(([, methods]) => methods !== "") },
  ];
}
