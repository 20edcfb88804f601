// A D-Bus variant: a value that carries its own signature.

/** `signature` is one complete type, e.g. "as"; `value` has the shape that ipc/bus/reader.ts lists for that type. */
export class Variant {
  readonly signature: string;
  readonly value: unknown;

  constructor(signature: string, value: unknown) {
    this.signature = signature;
    this.value = value;
  }
}
