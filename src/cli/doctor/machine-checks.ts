// The checks of one machine: why it has no address, no name, no shell, which image it is of, whether its unit is delegated.
import { type Check, checksOf, ok, quoted } from "./finding.ts";
import { networkdFinding } from "./host-checks.ts";
import type { MachineCheckFacts } from "./machine-facts.ts";

const define = checksOf<MachineCheckFacts>();
const SERVICE_MANAGERS = ["systemd", "init"];
const OWN_NETWORKD = "systemd-networkd.service";

export const MACHINE_CHECKS: readonly Check<MachineCheckFacts>[] = [
  define({
    id: "registered",
    title: "registration",
    needs: ["machine", "leader"],
    check: ({ machine: { class: kind, service, leaderPid, unit, uid, state }, leader }) => {
      const owner = uid === 0 ? "" : `, of user ${uid}`;
      const text = `${kind}${owner}, leader ${leaderPid} (${leader}), ${service || "no service"}, ${unit || "no unit"}`;
      if (state !== "closing") return ok(text);
      return { level: "warning", what: `is ending: ${text}`, why: "processes of it are left" };
    },
  }),
  define({
    id: "image",
    title: "image",
    needs: ["machine", "image"],
    check: ({ machine: { rootDirectory }, image }) => {
      if (image === null)
        return ok(rootDirectory === "" ? "is not known" : `${rootDirectory}, which is no image of the pool`);
      return ok(`${image.name} (${image.type}${image.isReadOnly ? ", read-only" : ""})`);
    },
  }),
  define({
    id: "delegation",
    title: "delegation",
    needs: ["machine", "delegates"],
    check: ({ machine: { class: kind, unit }, delegates }) => {
      if (delegates === null) return ok("it has no unit of systemd");
      if (kind !== "container" || delegates) return ok(delegates ? `${unit} is delegated` : `${unit}: not needed`);
      const why = "the host's systemd manages the control groups in it, and moves or ends processes of the machine";
      const directory = quoted(`/etc/systemd/system/${unit}.d`);
      const isService = unit.endsWith(".service");
      const mend =
        `mkdir -p ${directory} && printf '[Service]\\nDelegate=yes\\n' > ${directory}/50-delegate.conf && ` +
        `systemctl daemon-reload && systemctl restart ${quoted(unit)}`;
      return {
        level: "warning",
        what: `${unit} is not delegated`,
        why: isService ? `${why}; the machine is restarted for it` : why,
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
            : "it was started without an interface to this host; VirtualEthernet=yes in its settings makes one";
        return { level: "warning", what: "none: no interface leads to it", why };
      }
      const host = networkdFinding(hostNetworkd);
      if (host !== null) return { ...host, level: "problem", what: `none: ${host.what} on this host` };
      if (ownNetworkd !== null && ownNetworkd.active !== "active") {
        const unmask = ownNetworkd.enabled === "masked" ? `systemctl unmask ${OWN_NETWORKD} && ` : "";
        const inside = `${unmask}systemctl enable --now ${OWN_NETWORKD}`;
        return {
          level: "problem",
          what: `none: ${OWN_NETWORKD} is ${ownNetworkd.active} in the machine`,
          why: "nobody in it configures its interface host0",
          mend: `machinectl exec ${quoted(name)} ${unmask === "" ? inside : `sh -c ${quoted(inside)}`}`,
        };
      }
      const why = "the machine has not asked for one, or nobody has answered";
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
      if (!isPrivate) return ok("has no addresses of its own: its name stands for nothing");
      if (addresses.length === 0) return ok("stands for nothing, as long as it has no address");
      if (uid !== 0) return { level: "warning", what: "is not resolved", why: `user ${uid} registered it, not root` };
      const why = "this host's C library does not ask for the names of machines";
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
      if (!SERVICE_MANAGERS.includes(leader))
        return ok("it has no message bus: 'shell' and 'exec' enter it all the same");
      const why = "'login', 'systemctl -M' and the programs of the distribution do not reach it";
      const mend = `machinectl exec ${quoted(name)} systemctl start dbus.socket`;
      return { level: "warning", what: "it has no message bus", why, mend };
    },
  }),
];
