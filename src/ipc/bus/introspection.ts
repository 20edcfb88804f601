// Introspection: the XML of an object, made from the tables of its interfaces (D-Bus specification, "Introspection Data
// Format").
import type { Arguments, BusInterface, BusMethod, BusProperty } from "../../api/table.ts";

const DOCTYPE = `<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
"https://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
`;

/** The three interfaces that every object has, as sd-bus formats them. */
const STANDARD = ` <interface name="org.freedesktop.DBus.Peer">
  <method name="Ping"/>
  <method name="GetMachineId">
   <arg type="s" name="machine_uuid" direction="out"/>
  </method>
 </interface>
 <interface name="org.freedesktop.DBus.Introspectable">
  <method name="Introspect">
   <arg name="xml_data" type="s" direction="out"/>
  </method>
 </interface>
 <interface name="org.freedesktop.DBus.Properties">
  <method name="Get">
   <arg name="interface_name" direction="in" type="s"/>
   <arg name="property_name" direction="in" type="s"/>
   <arg name="value" direction="out" type="v"/>
  </method>
  <method name="GetAll">
   <arg name="interface_name" direction="in" type="s"/>
   <arg name="props" direction="out" type="a{sv}"/>
  </method>
  <method name="Set">
   <arg name="interface_name" direction="in" type="s"/>
   <arg name="property_name" direction="in" type="s"/>
   <arg name="value" direction="in" type="v"/>
  </method>
  <signal name="PropertiesChanged">
   <arg type="s" name="interface_name"/>
   <arg type="a{sv}" name="changed_properties"/>
   <arg type="as" name="invalidated_properties"/>
  </signal>
 </interface>
`;

/** Returns the XML of Introspect for an object with these interfaces and children. */
export function introspect(
  interfaces: readonly { readonly table: BusInterface }[],
  children: readonly string[],
): string {
  const own = interfaces.map(({ table }) => interfaceXml(table)).join("");
  const nodes = children.map((name) => ` <node name="${name}"/>\n`).join("");
  return `${DOCTYPE}<node>\n${STANDARD}${own}${nodes}</node>\n`;
}

const PRIVILEGED = '   <annotation name="org.freedesktop.systemd1.Privileged" value="true"/>\n';

function interfaceXml(table: BusInterface): string {
  const properties = Object.entries(table.properties).filter(([, row]) => row.hidden !== true);
  const members = [
    ...properties.map(([name, row]) => propertyXml(name, row)),
    ...Object.entries(table.methods).map(([name, row]) => methodXml(name, row)),
    ...Object.entries(table.signals).map(([name, row]) => element("signal", name, argumentsXml(row.args))),
  ];
  return ` <interface name="${table.name}">\n${members.join("")} </interface>\n`;
}

function propertyXml(name: string, row: BusProperty): string {
  const access = row.writable === true ? "readwrite" : "read";
  return (
    `  <property name="${name}" type="${row.type}" access="${access}">\n` +
    `   <annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="${row.emits}"/>\n` +
    (row.writable === true ? PRIVILEGED : "") +
    "  </property>\n"
  );
}

function methodXml(name: string, row: BusMethod): string {
  const content =
    argumentsXml(row.in, "in", row.unnamed) +
    argumentsXml(row.out, "out", row.unnamed) +
    (row.access === "privileged" ? PRIVILEGED : "");
  return element("method", name, content);
}

function element(tag: string, name: string, content: string): string {
  return content === "" ? `  <${tag} name="${name}"/>\n` : `  <${tag} name="${name}">\n${content}  </${tag}>\n`;
}

function argumentsXml(args: Arguments, direction?: "in" | "out", unnamed?: true): string {
  const suffix = direction === undefined ? "" : ` direction="${direction}"`;
  return Object.entries(args)
    .map(([name, type]) => `   <arg type="${type}"${unnamed === true ? "" : ` name="${name}"`}${suffix}/>\n`)
    .join("");
}
