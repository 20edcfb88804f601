// The services on hosts with another init than systemd. They run always, because nothing starts them on demand there.
import { dirname, join } from "node:path";
import { INSTALLED_PROGRAM } from "../../base/vocabulary/installation.ts";

/** The names of the services. */
export type ServiceName = "machined" | "machined-import";

/** A service. */
export interface Service {
  /** The name of the service, its script and its messages in the system log. */
  readonly name: ServiceName;
  /** The path of the program. */
  readonly program: string;
  /** The socket that exists when the service is ready. */
  readonly socket: string;
  readonly description: string;
  /** The service after which this one starts; null for none. */
  readonly after: string | null;
  /**
   * Arguments of our executable that print the work which ends with the service, and nothing if there is none; null for
   * no such work.
   */
  readonly listWork: readonly string[] | null;
}

const program = (name: string): string => join(dirname(INSTALLED_PROGRAM), name);

/** The services in the order in which they are started. */
export const SERVICES: readonly Service[] = [
  {
    name: "machined",
    program: program("systemd-machined"),
    socket: "/run/systemd/machine/private",
    description: "Registry of containers and virtual machines",
    after: null,
    listWork: null,
  },
  {
    name: "machined-import",
    program: program("systemd-importd"),
    socket: "/run/systemd/import/private",
    description: "Transfers of images of machines",
    after: "machined",
    // An empty list in JSON is no text at all, as that of the original.
    listWork: ["importctl", "--json=short", "--no-pager", "list-transfers"],
  },
];

/** Returns a template of install/inits with its placeholders (`@NAME@` …) replaced by the values of a service. */
export function fill(template: string, service: Service): string {
  const words: Readonly<Record<string, string>> = {
    NAME: service.name,
    PROGRAM: service.program,
    SOCKET: service.socket,
    DESCRIPTION: service.description,
    AFTER: service.after === null ? "" : ` ${service.after}`,
  };
  return template.replaceAll(/@([A-Z]+)@/g, (whole, word) => words[word] ?? whole);
}
