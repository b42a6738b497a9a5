import { UserError } from "@welltempered/formats";
import { ModelConfigError } from "@welltempered/models";
import { AdapterError } from "@welltempered/peft";

/** Turns errors of models and adapters into one line that names the file. */
export function named<T>(body: () => T, where: string): T {
  try {
    return body();
  } catch (error) {
    if (error instanceof ModelConfigError)
      throw new UserError(`${where}/config.json: ${error.message}; correct the file or use another model`);
    if (error instanceof AdapterError)
      throw new UserError(`${where}: ${error.message}; correct it or use another adapter`);
    throw error;
  }
}
