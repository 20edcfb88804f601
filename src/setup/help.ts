// The help of `machined install` and `uninstall`: options with their meanings, from which completions are generated as
// well.
import type { HelpText } from "../base/text/help-text.ts";

export const INSTALL_HELP: HelpText = {
  usage: "machined install [OPTION…]",
  about: [
    "Installs this executable as systemd-machined, machinectl and its other programs, with units and policies. The distribution's files are not overwritten; 'machined uninstall' restores the previous state.",
  ],
  column: 17,
  sections: [
    {
      entries: [
        ["--now", "replace the running daemon now; machines continue to run"],
        [
          "--nss",
          "resolve machine names in all programs: add the NSS module to /etc/nsswitch.conf, and install it if the distribution's is missing",
        ],
        [
          "--keep-changes",
          "keep files that were changed or removed since the last installation, and files of others at the paths to install",
        ],
        [
          "--divert",
          "also replace /usr/bin/machinectl and importctl by links, for cron jobs and scripts whose PATH has only /usr/bin; the distribution's files are renamed to .distrib",
        ],
        ["--root=DIR", "install into this directory instead of the running host"],
        ["--dry-run", "only show what would be done"],
        ["-h --help", "show this help"],
      ],
    },
  ],
};

export const UNINSTALL_HELP: HelpText = {
  usage: "machined uninstall [OPTION…]",
  about: ["Removes the files that 'machined install' made, and restores the replaced ones."],
  column: 17,
  sections: [
    {
      entries: [
        ["--now", "start the distribution's daemon instead now; machines continue to run"],
        ["--dry-run", "only show what would be done"],
        ["--root=DIR", "uninstall from this directory instead of the running host"],
        ["-h --help", "show this help"],
      ],
    },
  ],
};
