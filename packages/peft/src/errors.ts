/** An adapter that cannot be applied: names the key or module, what it holds and what it may hold. */
export class AdapterError extends Error {
  readonly code = "ADAPTER";
  constructor(message: string) {
    super(message);
    this.name = "AdapterError";
  }
}
