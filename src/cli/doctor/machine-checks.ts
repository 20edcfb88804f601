// Checks of `machinectl doctor NAME`: registration, image, delegation of the unit, address, name, shell.
import { shellQuoted as quoted } from "../../base/text/shell-quoted.ts";
import { type Check, checksOf, ok } from "./finding.ts";
import { networkdFinding } from "./host-checks.ts";
import type { MachineCheckFacts } from "./machine-facts.ts";

const define = checksOf<MachineCheckFacts>();
const SERVICE_MANAGERS = ["systemd", "init"];
const OWN_NETWORKD = "systemd-networkd.service";

/** The checks, in the order in which they are printed. */
export const MACHINE_CHECKS: readonly Check<MachineCheckFacts>[] = [
  define({
    id: "registered",
    title: "registration",
    needs: ["machine", "leader"],
    check: ({ machine: { class: kind, service, leaderPid, unit, uid, state }, leader }) => {
      const owner = uid === 0 ? "" : `, of user ${uid}`;
      const text = `${kind}${owner}, leader ${leaderPid} (${leader}), ${service || "no service"}, ${unit || "no unit"}`;
      if (state !== "closing") return ok(text);
      return { level: "warning", what: `is ending: ${text}`, why: "some of its processes still run" };
    },
  }),
  define({
    id: "image",
    title: "image",
    needs: ["machine", "image"],
    check: ({ machine: { rootDirectory }, image }) => {
      if (image === null)
        return ok(rootDirectory === "" ? "is not known" : `${rootDirectory}, which is not an image of the pool`);
      return ok(`${image.name} (${image.type}${image.isReadOnly ? ", read-only" : ""})`);
    },
  }),
  define({
    id: "delegation",
    title: "delegation",
    needs: ["machine", "delegates", "ownGroups"],
    check: ({ machine: { class: kind, unit }, delegates, ownGroups }) => {
      if (delegates === null) return ok("it has no unit of systemd");
      if (delegates) return ok(`${unit} is delegated`);
      // A program of the host that was registered has no control groups to manage.
      if (kind !== "container" || ownGroups === false) return ok(`${unit}: not needed`);
      const why = "the host's systemd manages its control groups, and may move or end processes of the machine";
      const directory = quoted(`/etc/systemd/system/${unit}.d`);
      const isService = unit.endsWith(".service");
      const mend =
        `mkdir -p ${directory} && printf '[Service]\\nDelegate=yes\\n' > ${directory}/50-delegate.conf && ` +
        `systemctl daemon-reload && systemctl restart ${quoted(unit)}`;
      return {
        level: "warning",
        what: `${unit} is not delegated`,
        why: isService ? `${why}; the command below restarts the machine` : why,
        ...(isService ? { mend } : {}),
      };
    },
  }),
  define({
    id: "address",
    title: "address",
    needs: ["machine", "network", "hostNetworkd", "ownNetworkd"],
    check: ({ machine: { name, class: kind }, network, hostNetworkd, ownNetworkd }) => {
      const { isPrivate, hostInterfaces, addresses } = network;
      if (kind !== "vm" && !isPrivate) return ok("it shares the network of this host");
      if (addresses.length > 0) return ok(addresses.join(", "));
      const [hostInterface] = hostInterfaces;
      if (hostInterface === undefined) {
        const why =
          kind === "vm"
            ? "its supervisor has no interface on this host for it (a tap device); exec and shell reach it at its SSH address alone"
            : "it was started without an interface to this host; VirtualEthernet=yes in its settings adds one";
        return { level: "warning", what: "none: no interface of this host leads to it", why };
      }
      const host = networkdFinding(hostNetworkd);
      if (host !== null) return { ...host, level: "problem", what: `none: ${host.what} on this host` };
      if (ownNetworkd !== null && ownNetworkd.active !== "active") {
        const unmask = ownNetworkd.enabled === "masked" ? `systemctl unmask ${OWN_NETWORKD} && ` : "";
        const inside = `${unmask}systemctl enable --now ${OWN_NETWORKD}`;
        return {
          level: "problem",
          what: `none: ${OWN_NETWORKD} is ${ownNetworkd.active} in the machine`,
          why: "nothing in the machine configures its interface host0",
          mend: `machinectl exec ${quoted(name)} ${unmask === "" ? inside : `sh -c ${quoted(inside)}`}`,
        };
      }
      const why = "the machine has not requested one, or no DHCP server has answered";
      return {
        level: "warning",
        what: "no global one yet",
        why,
        mend: `networkctl reconfigure ${quoted(hostInterface)}`,
      };
    },
  }),
  define({
    id: "name",
    title: "name",
    needs: ["machine", "network", "lookup"],
    check: ({ machine: { name, uid }, network: { isPrivate, addresses }, lookup }) => {
      if (lookup.length > 0) return ok(`${name} is ${lookup.join(", ")}`);
      if (!isPrivate) return ok("is not resolved, because the machine has no addresses of its own");
      if (addresses.length === 0) return ok("is not resolved as long as the machine has no address");
      if (uid !== 0) return { level: "warning", what: "is not resolved", why: `user ${uid} registered it, not root` };
      const why = "this host's C library is not configured to look up names of machines";
      return { level: "warning", what: "is not resolved", why, mend: "machined install --nss" };
    },
  }),
  define({
    id: "shell",
    title: "shell",
    needs: ["machine", "leader", "hasBus"],
    check: ({ machine: { name, class: kind }, leader, hasBus }) => {
      if (kind === "vm") return ok("over ssh, at its SSH address");
      if (hasBus) return ok("it has a message bus");
      if (!SERVICE_MANAGERS.includes(leader)) return ok("it has no message bus; 'shell' and 'exec' work without one");
      const why = "'login', 'systemctl -M' and the distribution's programs cannot reach it";
      const mend = `machinectl exec ${quoted(name)} systemctl start dbus.socket`;
      return { level: "warning", what: "it has no message bus", why, mend };
    },
  }),
];
