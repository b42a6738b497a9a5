import { loadConfig } from "@welltempered/config";
import { runPlan } from "@welltempered/trainer";
import type { Context } from "../context.ts";
import { withDevice } from "../device.ts";
import { planText } from "../plan-text.ts";

/** `temper plan`: memory and time of a training run that nothing has been loaded for. */
export async function plan(words: string[], context: Context): Promise<number> {
  const { config, warnings } = loadConfig(words, "plan");
  // With --json standard output has the forecast alone.
  const warn = (message: string): void =>
    context.json ? context.note(`warning: ${message}`) : context.listen({ type: "notice", level: "warning", message });
  for (const message of warnings) warn(message);
  const forecast = await runPlan(withDevice(config), (event) => {
    if (event.type === "notice" && event.level === "warning") warn(event.message);
  });
  context.settle();
  context.print(context.json ? `${JSON.stringify(forecast)}\n` : planText(forecast));
  return 0;
}
