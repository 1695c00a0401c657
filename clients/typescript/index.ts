// A typed client of usher's HTTP API. The types are generated from
// api/openapi.yaml: `npm run generate`.
import createClient, { type Client, type ClientOptions } from "openapi-fetch";
import type { components, operations, paths } from "./schema";

export type { components, operations, paths };
export type Schemas = components["schemas"];

export type UsherClient = Client<paths>;

/** usher returns a client. Servers pass a key; a browser with a session cookie passes none. */
export function usher(options: ClientOptions & { key?: string } = {}): UsherClient {
  const { key, headers, ...rest } = options;
  return createClient<paths>({
    ...rest,
    headers: key === undefined ? headers : { Authorization: `Bearer ${key}`, ...(headers as Record<string, string> | undefined) },
  });
}
