// What stands in the place of `node.ts` in a browser.

import { UserError } from "@welltempered/formats";
import type * as node from "./node.ts";

export const loadTokenizer: typeof node.loadTokenizer = (folder) => {
  throw new UserError(`${folder}: there are no folders in a browser; hand over the files`);
};

/** What a WebAssembly memory grows to at most; how much of it the tab may have, nobody says. */
export const availableMemory: typeof node.availableMemory = (device) => device.availableBytes() ?? 2 ** 32;
