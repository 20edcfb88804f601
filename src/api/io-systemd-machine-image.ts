// io.systemd.MachineImage as of 262: images over Varlink.
import { defineVarlinkInterface } from "./varlink-table.ts";

const ASKING = { allowInteractiveAuthentication: "?bool" } as const;

export const IoSystemdMachineImage = defineVarlinkInterface({
  name: "io.systemd.MachineImage",
  doc: "The images of machines on this host.",
  types: {
    AcquireMetadata: ["no", "yes", "graceful"],
    CleanPoolMode: ["all", "hidden"],
  },
  methods: {
    List: {
      in: { name: "?string", acquireMetadata: "?AcquireMetadata", ...ASKING },
      out: {
        name: "string",
        path: "?string",
        type: "string",
        class: "string",
        readOnly: "bool",
        creationTimestamp: "?int",
        modificationTimestamp: "?int",
        usage: "?int",
        usageExclusive: "?int",
        limit: "?int",
        limitExclusive: "?int",
        hostname: "?string",
        machineId: "?string",
        machineInfo: "?[]string",
        OSRelease: "?[]string",
      },
      more: "supported",
      doc: "Describes an image, or all of them.",
    },
    Update: {
      in: { name: "string", ...ASKING, newName: "?string", readOnly: "?bool", limit: "?int" },
      out: {},
      doc: "Renames an image, marks it as read-only or not, limits it.",
    },
    Clone: {
      in: { name: "string", ...ASKING, newName: "string", readOnly: "?bool" },
      out: {},
      doc: "Clones an image.",
    },
    Remove: { in: { name: "string", ...ASKING }, out: {}, doc: "Removes an image." },
    SetPoolLimit: { in: { ...ASKING, limit: "int" }, out: {}, doc: "Limits what all images may use together." },
    CleanPool: {
      in: { ...ASKING, mode: "CleanPoolMode" },
      out: { name: "string", usageExclusive: "?int" },
      more: "required",
      doc: "Removes hidden or all images; says what was removed.",
    },
  },
  errors: { NoSuchImage: {}, TooManyOperations: {}, NotSupported: {} },
});
