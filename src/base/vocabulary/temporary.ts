// Names of what is on its way to become an image, or no longer one. `.#` keeps them out of every list, and lets tmpfiles.d(5)
// remove them at boot. Whoever works on one holds a lock on it.

/** What workers of transfers make. */
export const TRANSFER_TEMPORARY = /^\.#(tar|raw|settings|roothash|roothash\.p7s|verity|oci|fs|export)[0-9a-f]{16}$/;

/** How the names begin of what operations of machined make. */
export const OPERATION_TEMPORARY_PREFIX = ".#machined-";
