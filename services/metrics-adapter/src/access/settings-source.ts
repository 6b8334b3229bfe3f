import { CodedError } from "@millrace/errors";
import type { Clock, Component, Logger } from "@millrace/runtime";
import { parseProxySettings, type ProxySettings } from "./proxy-settings.js";

/** The cluster's settings, read again and again: its CA is renewed while this runs. */
export interface SettingsSource extends Component {
  /** Errors: `unavailable` before they were read once. Later the last ones stand. */
  current(): ProxySettings;
}

export interface SettingsSourceOptions {
  read(): Promise<Readonly<Record<string, string>>>;
  onChange(settings: ProxySettings): void;
  clock: Clock;
  log: Logger;
}

const againMs = 10_000;
const soonMs = 1_000;

export function createSettingsSource({ read, onChange, clock, log }: SettingsSourceOptions): SettingsSource {
  const stopping = new AbortController();
  let settings: ProxySettings | undefined;
  let known = "";
  let why: string | undefined = "not read yet";

  const readOnce = async (): Promise<void> => {
    try {
      const next = parseProxySettings(await read());
      why = undefined;
      if (JSON.stringify(next) === known) return;
      known = JSON.stringify(next);
      settings = next;
      onChange(next);
    } catch (caught) {
      const { message, remedy } = CodedError.from(caught, "read proxy settings");
      if (message !== why) log.warn("proxy settings not read, trying again", { error: message, remedy });
      why = message;
    }
  };
  const loop = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await readOnce();
      await clock.sleep(why === undefined ? againMs : soonMs, stopping.signal);
    }
  };
  let running: Promise<void> | undefined;
  return {
    name: "proxy-settings",
    start: async () => {
      running = loop();
    },
    stop: async () => {
      stopping.abort();
      await running;
    },
    health: () => (settings === undefined ? why : undefined),
    current: () => {
      if (settings !== undefined) return settings;
      throw new CodedError("unavailable", `nobody can be known yet: ${why}`);
    },
  };
}
