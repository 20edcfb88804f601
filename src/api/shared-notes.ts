// Descriptions of values that several Varlink interfaces share, for `varlinkctl introspect`.

/** The values of ImageClass, except `machine`. */
export const IMAGE_CLASS_NOTES = {
  portable: "A portable service.",
  sysext: "A system extension.",
  confext: "A configuration extension.",
} as const;

/** The values of TransferType. */
export const TRANSFER_TYPE_NOTES = {
  import_tar: "Makes an image from a tar archive.",
  import_raw: "Makes an image from a disk image file.",
  import_fs: "Makes an image from a directory.",
  export_tar: "Writes an image as a tar archive.",
  export_raw: "Writes an image as a disk image.",
  pull_tar: "Downloads a tar archive.",
  pull_raw: "Downloads a disk image.",
  pull_oci: "Downloads a container image from a registry.",
} as const;
