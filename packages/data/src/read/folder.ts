/** Where data sets are read from: a folder of the disk, or files in memory. */
export interface DataFolder {
  /** Path of dataset_info.json, for messages. */
  readonly infoPath: string;
  /** Text of dataset_info.json; undefined if there is none. */
  infoText(): string | undefined;
  /** Paths of the files behind `file_name` of a data set. Throws a DataError where there are none. */
  files(fileName: string): string[];
  /** The same for a path that a run gives in place of a data set's name. */
  filesNamed(path: string): string[];
  /** The bytes of a file; each piece is only valid until the next one is asked for. */
  chunks(path: string): Generator<Uint8Array>;
}
