import { existsSync } from "node:fs";
import { CodedError } from "@millrace/errors";
import {
  ApiException,
  AuthorizationV1Api,
  CoreV1Api,
  createConfiguration,
  KubeConfig,
  ServerConfiguration,
} from "@kubernetes/client-node";
import type { User } from "./identity.js";
import { settingsPlace } from "./proxy-settings.js";
import type { Attributes, Verdict } from "./reviews.js";

/** The two things that are asked of the cluster. Errors: `unavailable`. */
export interface KubernetesApi {
  readSettings(): Promise<Readonly<Record<string, string>>>;
  review(user: User, attributes: Attributes): Promise<Verdict>;
}

/** Where a pod has the token of its service account. */
const tokenFile = "/var/run/secrets/kubernetes.io/serviceaccount/token";

const timeoutMs = 5_000;

/** By a kubeconfig, or as the service account of the pod. Errors: `failed_precondition`. */
export function createKubernetesApi(kubeconfig: string | undefined): KubernetesApi {
  const access = openAccess(kubeconfig);
  const configuration = createConfiguration({
    baseServer: new ServerConfiguration(access.getCurrentCluster()?.server ?? "", {}),
    authMethods: { default: access },
    promiseMiddleware: [
      {
        pre: async (context) => {
          context.setSignal(AbortSignal.timeout(timeoutMs));
          return context;
        },
        post: async (context) => context,
      },
    ],
  });
  const configMaps = new CoreV1Api(configuration);
  const reviews = new AuthorizationV1Api(configuration);
  return {
    readSettings: async () => {
      const found = await configMaps.readNamespacedConfigMap(settingsPlace).catch((caught: unknown) => {
        throw refused(`read ConfigMap ${settingsPlace.namespace}/${settingsPlace.name}`, caught);
      });
      return found.data ?? {};
    },
    review: async (user, attributes) => {
      const { name, uid, groups, extra } = user;
      const asked =
        "path" in attributes ? { nonResourceAttributes: attributes } : { resourceAttributes: attributes };
      const spec = {
        user: name,
        groups: [...groups],
        extra,
        ...(uid === undefined ? {} : { uid }),
        ...asked,
      };
      const { status } = await reviews
        .createSubjectAccessReview({ body: { spec } })
        .catch((caught: unknown) => {
          throw refused("ask for a SubjectAccessReview", caught);
        });
      return { allowed: status?.allowed === true && status.denied !== true, reason: status?.reason ?? "" };
    },
  };
}

function openAccess(kubeconfig: string | undefined): KubeConfig {
  const access = new KubeConfig();
  if (kubeconfig === undefined) {
    if (!existsSync(tokenFile)) {
      throw new CodedError("failed_precondition", "there is no service account to ask the cluster with", {
        field: "kubernetes.kubeconfig",
        remedy: "Run in a pod that mounts its service account's token, or name a kubeconfig.",
      });
    }
    access.loadFromCluster();
    return access;
  }
  try {
    access.loadFromFile(kubeconfig);
  } catch (cause) {
    throw new CodedError(
      "failed_precondition",
      `read kubeconfig ${kubeconfig}: ${(cause as Error).message}`,
      {
        field: "kubernetes.kubeconfig",
        remedy: "Name a kubeconfig that this user may read.",
        cause,
      },
    );
  }
  return access;
}

function refused(what: string, cause: unknown): CodedError {
  if (!(cause instanceof ApiException)) {
    return new CodedError("unavailable", `${what}: the cluster does not answer`, { cause });
  }
  return new CodedError("unavailable", `${what}: the cluster answered ${cause.code}`, {
    remedy: "Its service account needs system:auth-delegator and extension-apiserver-authentication-reader.",
    cause,
  });
}
