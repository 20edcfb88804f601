// The services of hosts whose init is not systemd. Nothing starts them on demand there: they run always.
import { dirname, join } from "node:path";
import { INSTALLED_PROGRAM } from "../../base/vocabulary/installation.ts";

export interface Service {
  /** Of the service, its script and its lines in the system log. */
  readonly name: string;
  readonly program: string;
  /** The socket that is there when it serves. */
  readonly socket: string;
  readonly description: string;
  /** The service that it starts after. */
  readonly after: string | null;
}

const program = (name: string): string => join(dirname(INSTALLED_PROGRAM), name);

/** In the order of starting. */
export const SERVICES: readonly Service[] = [
  {
    name: "machined",
    program: program("systemd-machined"),
    socket: "/run/systemd/machine/private",
    description: "Registry of containers and virtual machines",
    after: null,
  },
  {
    name: "machined-import",
    program: program("systemd-importd"),
    socket: "/run/systemd/import/private",
    description: "Transfers of images of machines",
    after: "machined",
  },
];

/** A template of install/inits with the words of a service. */
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
