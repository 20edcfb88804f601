// The engine's compiler in programs whose work is one synchronous call.

/**
 * Applies the engine's usual policy of compilation from now on. The executable starts with one that compiles rarely,
 * and src/main.ts replaces it by a timer, which does not run before such work is done.
 */
export function compileAsUsual(): void {
  Bun.unsafe.setJITPolicy(1);
}
