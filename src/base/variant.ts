// A D-Bus variant: a value that carries its own signature.

/** `signature` is one complete type, e.g. "as"; `value` has the type that ipc/message/reader.ts lists for it. */
export class Variant {
  readonly signature: string;
  readonly value: unknown;

  constructor(signature: string, value: unknown) {
    this.signature = signature;
    this.value = value;
  }
}
