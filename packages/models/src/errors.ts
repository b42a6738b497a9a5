/** A model configuration that cannot be built: names the key, what it holds and what it may hold. */
export class ModelConfigError extends Error {
  readonly code = "MODEL_CONFIG";
  readonly key: string;
  constructor(key: string, message: string) {
    super(`${key}: ${message}`);
    this.name = "ModelConfigError";
    this.key = key;
  }
}
