import { CodedError } from "@millrace/errors";

export interface PodScrapesOptions {
  /** Whose pods, for errors. */
  service: string;
  /** `host:port`; undefined: none was told. */
  address: string | undefined;
  /** All addresses of a host. */
  resolve(host: string): Promise<readonly string[]>;
  /** Text of a URL. */
  read(url: string): Promise<string>;
}

/** Metrics of every pod of a service, by its address. Errors: `unavailable`, of one pod as of all. */
export async function scrapePods(options: PodScrapesOptions): Promise<ReadonlyMap<string, string>> {
  const { service, address } = options;
  const unknown = (problem: string, cause?: unknown): CodedError =>
    new CodedError("unavailable", `scrape ${service}: ${problem}`, { cause });
  if (address === undefined) throw unknown(`no address is configured (scrape.${service})`);
  const [host = "", port = ""] = address.split(":");
  const found = await options.resolve(host).catch((cause: unknown) => {
    throw unknown(`no pod is found by the name ${host}`, cause);
  });
  if (found.length === 0) throw unknown(`no pod is found by the name ${host}`);
  const texts = found.map(async (ip): Promise<[string, string]> => {
    const at = ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
    const text = await options.read(`http://${at}/metrics`).catch((cause: unknown) => {
      throw unknown(`the pod at ${at} does not answer`, cause);
    });
    return [at, text];
  });
  return new Map(await Promise.all(texts));
}
