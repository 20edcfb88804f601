// Names of unfinished images and of images that are being removed. `.#` hides them from all lists, and tmpfiles.d(5)
// removes them at boot. The process that works on one holds a lock on it.

/** Temporary names that workers of transfers make. */
export const TRANSFER_TEMPORARY = /^\.#(tar|raw|settings|roothash|roothash\.p7s|verity|oci|fs|export)[0-9a-f]{16}$/;

/**
 * The file of a pool that notes which repositories have its layers. It is no image; `clean` removes it with the last
 * layer.
 */
export const OCI_REPOSITORIES_FILE = ".oci-repositories";

/** The prefix of temporary names that operations of machined make. */
export const OPERATION_TEMPORARY_PREFIX = ".#machined-";
