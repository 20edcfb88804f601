// Error messages of the fleet: what was tried, on what, why it failed, and what helps.
import { expect, test } from "bun:test";
import {
  answerError,
  askError,
  connectionEnded,
  type FleetError,
  fleetError,
  silentHost,
} from "../../../src/fleet/errors.ts";

function natsError(name: string, message: string): Error {
  return Object.assign(new Error(message), { name });
}

const LIST = "Cannot read the records of the fleet";

const ERRORS: readonly (readonly [FleetError, string, string])[] = [
  [
    fleetError(LIST, natsError("JetStreamNotEnabled", "")),
    `${LIST}: JetStream is not enabled on the NATS server`,
    "jetstream: { store_dir: DIR }",
  ],
  [
    fleetError(LIST, natsError("JetStreamApiError", "stream not found")),
    `${LIST}: the NATS server has no buckets and streams of machined`,
    "'machined fleet setup' makes them",
  ],
  [
    fleetError("Cannot connect", natsError("AuthorizationError", "Authorization Violation")),
    "Cannot connect: Authorization Violation",
    "User= with PasswordFile= or CredentialsFile=, in the file of settings ('/etc/machined/fleet.conf'",
  ],
  [
    fleetError("Cannot connect", natsError("ConnectionError", "connection refused")),
    "Cannot connect: connection refused",
    "that the server runs, and that the address and the port",
  ],
  [
    askError("web3", natsError("NoRespondersError", "no responders"), 1000),
    "Host 'web3' has no agent in the fleet",
    "on the host, 'systemctl status machined-fleet' shows the agent",
  ],
  [
    askError("web3", natsError("TimeoutError", "timeout"), 40_000),
    "Host 'web3' did not answer within 40 s",
    "The request may have been carried out",
  ],
  [
    askError(
      "web3",
      Object.assign(natsError("PermissionViolationError", ""), { subject: "machined.web3.exec.run" }),
      1000,
    ),
    "This user of NATS does not have the scope 'exec': the server refuses 'machined.web3.exec.run'",
    "the permissions of this user in the server's configuration",
  ],
  [
    fleetError(
      "Cannot make streams",
      Object.assign(natsError("PermissionViolationError", ""), { subject: "$JS.API.STREAM.CREATE.machined_events" }),
    ),
    "This user of NATS may not make buckets and streams: the server refuses '$JS.API.STREAM.CREATE.machined_events'",
    "the permissions of this user",
  ],
  [answerError("web3"), "Host 'web3' sent an answer that is not understood", "of another version"],
  [
    silentHost("web3", 45_000),
    "Host 'web3' stopped answering: nothing was received from it for 45 s",
    "The agent ends",
  ],
  [connectionEnded(), "The connection to the NATS server was lost", "Try again"],
];

test.each(ERRORS.map(([error, message, help]) => ({ error, message, help })))(
  "the error says what helps: $message",
  ({ error, message, help }) => {
    expect(error.message).toBe(message);
    expect(error.hint).toContain(help);
  },
);
