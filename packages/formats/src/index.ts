export { FormatsError, type FormatsErrorCode, UserError, type UserExitCode } from "./errors.ts";
export { isJsonObject, type JsonObject, type JsonOptions, type JsonValue, parseJson, parseJsonObject } from "./json.ts";
export { type JsonWriteOptions, pythonFloat, writeJson } from "./json-write.ts";
export { nameList, printable } from "./printable.ts";
