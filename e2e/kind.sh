#!/usr/bin/env bash
# The end-to-end test on a kind cluster of its own: it makes the cluster, says how images get onto it, and removes
# it. All else is as on any cluster. Needs kind, kubectl and Docker.
set -euo pipefail
cd "$(dirname "$0")/.."

name="${E2E_KIND_NAME:-millrace-e2e}"
kubeconfig="$(mktemp)"

remove() {
  [ "${E2E_KEEP:-}" = 1 ] || kind delete cluster --name "$name"
  rm -f "$kubeconfig"
}
trap remove EXIT

kind create cluster --name "$name" --kubeconfig "$kubeconfig" --wait 120s
export E2E_CLUSTER="$kubeconfig"
export E2E_LOAD_COMMAND="kind load image-archive --name $name"
npm run e2e -- "$@"
