// The entry for browsers: data sets of files in memory (`memoryFolder`).

import { DataError } from "./errors.ts";
import type * as disk from "./read/disk.ts";

export * from "./everywhere.ts";

/** What it is on the disk, refused: code that may be handed files instead is bundled as it is. */
export const diskFolder: typeof disk.diskFolder = (datasetDir) => {
  throw new DataError("file", datasetDir, "there are no folders in a browser", "hand over the files");
};
