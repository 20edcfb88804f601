// Sentences about values that several Varlink interfaces have, for `varlinkctl introspect`.

/** The values of ImageClass, except `machine`. */
export const IMAGE_CLASS_NOTES = {
  portable: "A portable service.",
  sysext: "A system extension.",
  confext: "A configuration extension.",
} as const;

/** The values of TransferType. */
export const TRANSFER_TYPE_NOTES = {
  import_tar: "Makes an image of an archive.",
  import_raw: "Makes an image of a disk image.",
  import_fs: "Makes an image of a directory.",
  export_tar: "Writes an image as an archive.",
  export_raw: "Writes an image as a disk image.",
  pull_tar: "Downloads an archive.",
  pull_raw: "Downloads a disk image.",
  pull_oci: "Downloads a container image.",
} as const;
