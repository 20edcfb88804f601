// io.systemd.Import as of 262, with three more methods that the original has only over D-Bus: Import, Export and
// Cancel. The original's description omits the OCI values that its code accepts and sends; they are declared here.
import { COMPRESSIONS } from "../../base/vocabulary/compression.ts";
import { IMAGE_CLASSES } from "../../base/vocabulary/image-class.ts";
import { STOCK_TRANSFER_TYPES, VERIFY_MODES } from "../../base/vocabulary/transfer.ts";
import { IMAGE_CLASS_NOTES, TRANSFER_TYPE_NOTES } from "../shared-notes.ts";
import { CANCEL_RULE } from "../shared-rules.ts";
import { defineVarlinkInterface } from "../varlink-table.ts";

/** The replies to a call with `more`: first the id, then progress and log lines, last an empty one. */
const FOLLOWED = { progress: "?float", log: "?LogMessage", id: "?int" } as const;
const ASK = { allowInteractiveAuthentication: "?bool" } as const;

export const IoSystemdImport = defineVarlinkInterface({
  name: "io.systemd.Import",
  doc: "Downloads, imports and exports images of machines, portable services and extensions.",
  types: {
    ImageClass: IMAGE_CLASSES.values,
    RemoteType: ["raw", "tar", "oci"],
    SourceType: ["raw", "tar", "fs"],
    TransferType: STOCK_TRANSFER_TYPES.map((type) => type.replace("-", "_")),
    ImageVerify: VERIFY_MODES.values,
    ExportFormat: COMPRESSIONS,
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
      access: "everyone",
      doc: "The running transfers.",
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
      access: {
        action: "org.freedesktop.import1.pull",
        details: ["remote", "local", "class", "type", "verify", "?imageRoot"],
        note: "imageRoot is one of the directories of the class, or the caller is root",
      },
      doc: "Downloads an image. With 'more', replies report its progress until it ends; closing the connection does not cancel it.",
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
      descriptors: 4,
      access: { action: "org.freedesktop.import1.import" },
      doc: "Makes an image from the file or directory whose descriptor is sent with the call.",
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
      descriptors: 4,
      access: { action: "org.freedesktop.import1.export" },
      doc: "Writes an image to the file whose descriptor is sent with the call.",
    },
    Cancel: { in: { id: "int", ...ASK }, out: {}, access: CANCEL_RULE, doc: "Cancels a transfer." },
  },
  notes: {
    types: {
      ImageClass: "What an image is for.",
      RemoteType: "The format of what is downloaded or written.",
      SourceType: "What an image is made from.",
      TransferType: "What a transfer does.",
      ImageVerify: "How a download is verified.",
      ExportFormat: "How an exported image is compressed.",
      LogMessage: "A line of a transfer's log.",
    },
    fields: {
      machine: "A container or virtual machine.",
      ...IMAGE_CLASS_NOTES,
      raw: "A disk image.",
      tar: "A tar archive of a file tree.",
      oci: "A container image of a registry.",
      fs: "A directory.",
      ...TRANSFER_TYPE_NOTES,
      no: "Not at all.",
      checksum: "By a list of checksums in the same place.",
      signature: "By a signed list of checksums in the same place.",
      uncompressed: "Not at all.",
      xz: "As xz(1) does.",
      gzip: "As gzip(1) does.",
      bzip2: "As bzip2(1) does.",
      zstd: "As zstd(1) does.",
      lz4: "As lz4(1) does.",
      message: "The text of the line.",
      priority: "Its facility and level as in syslog(3): 30 is daemon and info; the remainder by 8 is the level.",
      class: "What the image is for; a machine unless given.",
      "ListTransfers.class": "In the call: only transfers of this class; in the reply: what the image is for.",
      "Pull.class": "What the image is for.",
      id: "The number of the transfer.",
      type: "What is transferred.",
      remote: "The URL or reference of the source.",
      local: "The name of the image.",
      percent: "The progress of the transfer, from 0 to 1; the lowest double while unknown.",
      verify: "How the download is verified; by its signature unless given.",
      force: "Whether an image of that name is replaced.",
      readOnly: "Whether the image is made read-only.",
      keepDownload: "Whether the download is kept beside the image, unchanged.",
      imageRoot: "The directory in which the image is made.",
      fileDescriptorIndex: "The index of the file or directory among the descriptors sent with the call.",
      format: "How it is compressed; not at all unless given.",
      progress: "The progress of the transfer, from 0 to 1; the lowest double while unknown.",
      log: "A line of the transfer's log.",
      allowInteractiveAuthentication: "Whether the user may be asked for a password; not unless it is true.",
    },
    errors: {
      AlreadyInProgress: "The same download is running already.",
      TransferCancelled: "The transfer was cancelled.",
      TransferFailed: "The transfer failed: its log says why.",
      NoTransfers: "There are no transfers.",
      NoSuchTransfer: "There is no transfer of that number.",
    },
  },
  errors: {
    AlreadyInProgress: { remote: "string" },
    TransferCancelled: {},
    TransferFailed: {},
    NoTransfers: {},
    NoSuchTransfer: {},
  },
});
