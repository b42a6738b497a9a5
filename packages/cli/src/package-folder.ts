/** This package, for what lies in it beside the code: one folder up, from the sources as from the bundle. */
export const packageFolder: URL = new URL("../", import.meta.url);
