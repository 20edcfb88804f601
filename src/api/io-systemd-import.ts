// io.systemd.Import as of 262, and what it lacks beside D-Bus: Import, Export and Cancel. The original's IDL forgets the
// OCI values that its code takes and sends.
import { defineVarlinkInterface } from "./varlink-table.ts";

/** The replies to a call with `more`: the id, then what happens, then an empty one at the end. */
const FOLLOWED = { progress: "?float", log: "?LogMessage", id: "?int" } as const;
const ASK = { allowInteractiveAuthentication: "?bool" } as const;

export const IoSystemdImport = defineVarlinkInterface({
  name: "io.systemd.Import",
  doc: "Downloads, imports and exports images of machines, portable services and extensions.",
  types: {
    ImageClass: ["machine", "portable", "sysext", "confext"],
    RemoteType: ["raw", "tar", "oci"],
    SourceType: ["raw", "tar", "fs"],
    TransferType: [
      "import_tar",
      "import_raw",
      "import_fs",
      "export_tar",
      "export_raw",
      "pull_tar",
      "pull_raw",
      "pull_oci",
    ],
    ImageVerify: ["no", "checksum", "signature"],
    ExportFormat: ["uncompressed", "xz", "gzip", "bzip2", "zstd"],
    LogMessage: { message: "string", priority: "int" },
  },
  methods: {
    ListTransfers: {
      in: { class: "?ImageClass" },
      out: {
        id: "int",
        type: "TransferType",
        remote: "string",
        local: "string",
        class: "ImageClass",
        percent: "float",
      },
      more: "required",
      doc: "The transfers that run.",
    },
    Pull: {
      in: {
        remote: "string",
        local: "?string",
        type: "RemoteType",
        class: "ImageClass",
        verify: "?ImageVerify",
        force: "?bool",
        readOnly: "?bool",
        keepDownload: "?bool",
        imageRoot: "?string",
        ...ASK,
      },
      out: FOLLOWED,
      more: "supported",
      doc: "Downloads an image. With 'more' the transfer is followed to its end; it goes on when nobody follows.",
    },
    Import: {
      in: {
        fileDescriptorIndex: "int",
        local: "string",
        type: "SourceType",
        class: "?ImageClass",
        force: "?bool",
        readOnly: "?bool",
        ...ASK,
      },
      out: FOLLOWED,
      more: "supported",
      doc: "Makes an image of the file or directory that comes with the call.",
    },
    Export: {
      in: {
        local: "string",
        fileDescriptorIndex: "int",
        type: "RemoteType",
        class: "?ImageClass",
        format: "?ExportFormat",
        ...ASK,
      },
      out: FOLLOWED,
      more: "supported",
      doc: "Writes an image to the file that comes with the call.",
    },
    Cancel: { in: { id: "int", ...ASK }, out: {}, doc: "Ends a transfer before it is done." },
  },
  errors: {
    AlreadyInProgress: { remote: "string" },
    TransferCancelled: {},
    TransferFailed: {},
    NoTransfers: {},
    NoSuchTransfer: {},
  },
});
