export { fit } from "./fit.ts";
