import { diskFolder } from "../read/disk.ts";
import { loadRowsFrom, type LoadedRows, type RowOptions } from "./load-rows.ts";

export interface LoadOptions extends RowOptions {
  datasetDir: string;
}

/** As `loadRowsFrom`, of the data sets in a folder of the disk. */
export const loadRows = ({ datasetDir, ...options }: LoadOptions): LoadedRows =>
  loadRowsFrom(diskFolder(datasetDir), options);
