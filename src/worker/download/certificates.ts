// The certificate authorities that https connections trust: those of the host, as for its other programs, and not the
// list that is built into the engine.
import { readSettings } from "../../kernel/file/foreign-file.ts";
import { isErrno } from "../../kernel/syscall/sys.ts";

/** Where distributions keep the trusted certificates in one file: Debian and Arch, Fedora, SUSE, Alpine. */
const BUNDLES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
] as const;

const BUNDLE_LIMIT_BYTES = 16 << 20;

interface TlsOptions {
  /** The trusted certificates in PEM; absent where the engine's own list is used. */
  readonly ca?: string;
}

let known: Promise<TlsOptions> | null = null;

/**
 * Returns the TLS options with the host's authorities, which are read once; $SSL_CERT_FILE names another file of them.
 */
export function trustedAuthorities(): Promise<TlsOptions> {
  known ??= readAuthorities(process.env["SSL_CERT_FILE"]);
  return known;
}

async function readAuthorities(given: string | undefined): Promise<TlsOptions> {
  if (given) return { ca: (await readSettings(given, BUNDLE_LIMIT_BYTES)).toString("latin1") };
  for (const path of BUNDLES) {
    try {
      const ca = (await readSettings(path, BUNDLE_LIMIT_BYTES)).toString("latin1");
      if (ca.includes("BEGIN CERTIFICATE")) return { ca };
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw error;
    }
  }
  return {};
}
