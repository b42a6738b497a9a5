// What works on paths, in a browser: each function refuses with one line, so that code which may be handed either paths
// or files is bundled as it is.
import { UserError } from "@welltempered/formats";
import type * as adapterDisk from "./adapter-disk.ts";
import { shownPath } from "./input.ts";
import type * as modelFolder from "./model-folder.ts";
import type * as model from "./open-model.ts";
import type * as valueHead from "./value-head-file.ts";
import type * as safetensors from "./write-safetensors.ts";

function refuse(path: string): never {
  throw new UserError(`${shownPath(path)}: there are no folders in a browser; hand over the files`);
}

export const openModel: typeof model.openModel = refuse;
export const readConfig: typeof modelFolder.readConfig = refuse;
export const readAdapterFolder: typeof adapterDisk.readAdapterFolder = refuse;
export const writeSafetensors: typeof safetensors.writeSafetensors = async (path) => refuse(path);
/** No folder holds one. */
export const openValueHead: typeof valueHead.openValueHead = () => undefined;
