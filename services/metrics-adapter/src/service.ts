import { lookup } from "node:dns/promises";
import { CodedError } from "@millrace/errors";
import {
  adapterUser,
  type Broker,
  connectAs,
  consumerPlans,
  createStreamRegistry,
  defaultTenant,
  inspectConsumer,
  inspectQueue,
  readAllReports,
  type StreamRegistry,
  waitingBatches,
  watchLedger,
} from "@millrace/messaging";
import { type BuildService, type Component, readKeyPair, type Runtime } from "@millrace/runtime";
import { createKeyPairSource } from "./access/key-pair.js";
import { createKubernetesApi } from "./access/kubernetes-api.js";
import { createReviews } from "./access/reviews.js";
import { createSettingsSource, type SettingsSource } from "./access/settings-source.js";
import { type ApiServer, createApiServer } from "./api-server.js";
import { stages } from "./api/metric-query.js";
import type { MetricsAdapterConfig } from "./config.js";
import { answerRequest } from "./handlers/answer-request.js";
import { getMetric } from "./handlers/get-metric.js";
import { createLedgerLag } from "./lag/ledger-lag.js";
import { createValues } from "./sampling/values.js";
import { createLedgerSamples, type LedgerSamples } from "./sampling/ledger-samples.js";
import { createSampler, type Sampler } from "./sampling/sampler.js";
import { createSourceSamples } from "./sampling/source-samples.js";
import { createStageSamples } from "./sampling/stage-samples.js";
import { scrapePods } from "./scrape/pod-scrapes.js";
import { createSearchTimes } from "./scrape/pod-metrics.js";

const scrapeTimeoutMs = 2_000;
/** Subjects of all streams are more than numbers of consumers, so seldom while nobody asks for them. */
const ledgerIdleMs = 60_000;

/** Tells an autoscaler how far the stages are behind, as `external.metrics.k8s.io`. */
export const metricsAdapter: BuildService<MetricsAdapterConfig> = async (config, runtime) => {
  const { log, clock } = runtime;
  const kubernetes = createKubernetesApi(config.kubernetes.kubeconfig);
  const pair = createKeyPairSource({
    read: () => readKeyPair(config.serving, "serving"),
    clock,
    log,
    onChange: (next) => server.renew(next, ca),
  });
  let ca: string | undefined;
  const settings = createSettingsSource({
    read: kubernetes.readSettings,
    onChange: (next) => {
      ({ ca } = next);
      server.renew(pair.current(), ca);
    },
    clock,
    log,
  });
  const broker = await connectAs(adapterUser, config, runtime);
  const stageSamples = createStageSamples({
    consumers: consumerPlans,
    inspectQueue: (jetStream) => inspectQueue(broker, jetStream),
    inspectConsumer: (of) => inspectConsumer(broker, of),
    isConnected: broker.isConnected,
    monotonic: clock.monotonic,
  });
  const { samples: ledgerSamples, registry, components } = await openLedger(broker, runtime);
  const sourceSamples = createSourceSamples({
    list: () =>
      registry.list(defaultTenant).map((stream) => ({
        tenant: defaultTenant,
        stream,
        sources: registry.sources(defaultTenant, stream.name),
      })),
    readReports: () => readAllReports(broker, clock.now()),
    isConnected: broker.isConnected,
    monotonic: clock.monotonic,
  });
  const sampler = (what: string, take: () => Promise<void>, idleMs?: number): Sampler =>
    createSampler({ what, take, clock, log, ...(idleMs === undefined ? {} : { idleMs }) });
  const pods = { gateway: noPods, search: noPods, buffer: noPods };
  const searchTimes = createSearchTimes();
  const scraper = (service: keyof typeof pods): Sampler =>
    sampler(`what ${service} tells`, async () => {
      const scraped = await scrapePods({ service, address: config.scrape[service], resolve, read: readText });
      pods[service] = scraped;
      if (service === "search") searchTimes.add(clock.monotonic(), scraped);
    });
  const samplers = {
    stages: sampler("lag", stageSamples.take),
    ledger: sampler("lag by the LEDGER", ledgerSamples.take, ledgerIdleMs),
    sources: sampler("lag of sources", sourceSamples.take, ledgerIdleMs),
    gateway: scraper("gateway"),
    search: scraper("search"),
    buffer: scraper("buffer"),
  };
  const read = createValues({ samplers, stageSamples, ledgerSamples, sourceSamples, searchTimes, pods });
  const server: ApiServer = createApiServer({
    listen: config.serving,
    pair: pair.current(),
    answer: countAnswers(
      runtime,
      answerRequest({
        settings: settings.current,
        judge: createReviews({ review: kubernetes.review, monotonic: clock.monotonic }).judge,
        getMetric: getMetric({ namespace: config.namespace, read, now: clock.now }),
        unwell: () => unwell(broker, settings),
        onFault: (caught) => log.error("request failed", { error: String(caught) }),
      }),
    ),
  });
  return [broker, ...components, ...Object.values(samplers), pair, settings, server];
};

const noPods: ReadonlyMap<string, string> = new Map();

const unwell = (broker: Broker, settings: SettingsSource): string[] =>
  [broker.health?.(), settings.health?.()].filter((sentence) => sentence !== undefined);

/** What the LEDGER tells of each stream, kept up to date. */
async function openLedger(
  broker: Broker,
  runtime: Runtime,
): Promise<{ samples: LedgerSamples; registry: StreamRegistry; components: Component[] }> {
  const ledger = createLedgerLag();
  const registry = await createStreamRegistry(broker);
  registry.onStream(({ tenant, name, stream }) => {
    if (stream === undefined) ledger.forget(tenant, name);
  });
  let isCurrent = false;
  const watch = watchLedger(broker, runtime, {
    stages: ["buffer", ...stages],
    isWanted: () => true,
    onEntry: ledger.set,
    onCurrent: () => {
      isCurrent = true;
    },
  });
  const samples = createLedgerSamples({
    streamOf: new Map(consumerPlans.map(({ stage, stream }) => [stage, stream])),
    waitingBatches: (jetStream) => waitingBatches(broker, jetStream),
    ledger,
    isCurrent: () => isCurrent,
    isConnected: broker.isConnected,
  });
  return { samples, registry, components: [registry, watch] };
}

/** Every pod of a headless Service. */
async function resolve(host: string): Promise<string[]> {
  const found = await lookup(host, { all: true });
  return [...new Set(found.map(({ address }) => address))];
}

async function readText(url: string): Promise<string> {
  const response = await fetch(url, { signal: AbortSignal.timeout(scrapeTimeoutMs) });
  if (response.ok) return response.text();
  throw new CodedError("unavailable", `read ${url}: answered ${response.status}`);
}

/** By status: a 503 is a metric that is unknown, a 401 or 403 somebody who may not ask. */
function countAnswers(runtime: Runtime, answer: ReturnType<typeof answerRequest>): typeof answer {
  const answers = runtime.metrics.counter("millrace_adapter_answers_total", "Answers by status.", ["status"]);
  return async (request) => {
    const reply = await answer(request);
    answers.inc({ status: String(reply.status) });
    return reply;
  };
}
