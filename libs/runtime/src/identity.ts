import { CodedError } from "@millrace/errors";
import { z } from "zod";

/** Names that the place where a process runs gives it: a pod has them from its own name. */
const givenByEnvironment = { instance: "MILLRACE_INSTANCE", node: "MILLRACE_NODE" } as const;

/**
 * The settings with `instance` and `node` as the environment gives them, so that one file serves all
 * replicas. A service that has no node heeds none. Errors: `invalid_argument` naming the variable.
 */
export function withIdentity(
  schema: z.ZodType,
  value: unknown,
  environment: Readonly<Record<string, string | undefined>>,
): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const fields = schema instanceof z.ZodObject ? schema.shape : {};
  const given: Record<string, string> = {};
  for (const [field, variable] of Object.entries(givenByEnvironment)) {
    const name = environment[variable];
    const type: unknown = fields[field];
    if (name === undefined || name === "" || !(type instanceof z.ZodType)) continue;
    if (!type.safeParse(name).success) {
      throw new CodedError("invalid_argument", `read environment: ${variable} is no name: ${name}`, {
        field: variable,
        remedy: `Set it to at most 63 of a-z, 0-9 and "-", or unset it: ${field} is as the config says then.`,
      });
    }
    given[field] = name;
  }
  return { ...value, ...given };
}
