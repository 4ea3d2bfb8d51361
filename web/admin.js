// The dashboard: readiness, live metrics, users, assets. It only reads.

import { chart } from "./chart.js";
import { byId, el, table } from "./dom.js";
import {
  buckets, difference, formatCount, formatSeconds, labelValues, parseMetrics, quantile, sum,
} from "./metrics.js";
import { UserView } from "./user.js";

const pauseMs = 2000;
const spanMs = 5 * 60 * 1000;
const spanMsMin = 60 * 1000;
const keyName = "holdfast-key";
const latency = "holdfast_http_request_duration_seconds";
const commits = "holdfast_store_commit_seconds";

const history = []; // readings, oldest first: {time, families, rates}
let key = sessionStorage.getItem(keyName);
let timer;

// ---- talking to the server ----

async function ask(path) {
  return fetch(path, { headers: key ? { Authorization: `Bearer ${key}` } : {}, cache: "no-store" });
}

/** The JSON of a route, or an error that a person can read. */
async function api(path) {
  const response = await ask(path);
  const body = await response.json().catch(() => null);
  if (response.ok) return body;
  if (response.status === 401) signOut("The key is not valid, or was revoked.");
  const said = body?.detail ? `${body.title}: ${body.detail}` : body?.title;
  throw new Error(said || `The server answered ${response.status}.`);
}

// ---- readiness and metrics ----

async function readReady() {
  const pill = byId("ready");
  try {
    const response = await ask("/readyz");
    pill.textContent = response.ok ? "ready" : (await response.json()).code || "not ready";
    pill.className = `pill ${response.ok ? "good" : "bad"}`;
  } catch {
    pill.textContent = "unreachable";
    pill.className = "pill bad";
  }
}

function rate(name, wanted, families, before, seconds) {
  if (!before) return null;
  return Math.max(0, sum(families, name, wanted) - sum(before, name, wanted)) / seconds;
}

function reading(families, time) {
  const last = history[history.length - 1];
  const before = last?.families;
  const seconds = last ? (time - last.time) / 1000 : 1;
  const perSecond = (name, wanted) => rate(name, wanted, families, before, seconds);
  const recent = (name) => difference(buckets(families, name),
    before ? buckets(before, name) : buckets(families, name));
  const requests = recent(latency);
  const committed = recent(commits);
  const commitRate = perSecond("holdfast_store_commits_total", {});
  return {
    time,
    families,
    applied: perSecond("holdfast_ops_total", { outcome: "applied" }),
    refused: perSecond("holdfast_ops_total", { outcome: "refused" }),
    replayed: perSecond("holdfast_ops_replayed_total", {}),
    requests: perSecond("holdfast_http_requests_total", {}),
    clientErrors: perSecond("holdfast_http_requests_total", { status: "4xx" }),
    serverErrors: perSecond("holdfast_http_requests_total", { status: "5xx" }),
    p50: quantile(requests, 0.5),
    p99: quantile(requests, 0.99),
    commit50: quantile(committed, 0.5),
    commit99: quantile(committed, 0.99),
    commits: commitRate,
    connections: sum(families, "holdfast_http_connections"),
    waiting: sum(families, "holdfast_store_queue_units"),
  };
}

function tile(name, value, unit = "") {
  return el("div", { class: "panel tile" },
    el("div", { class: "name" }, name),
    el("div", { class: "value" }, value, unit ? el("span", { class: "unit" }, ` ${unit}`) : ""));
}

function drawTiles(now) {
  byId("tiles").replaceChildren(
    tile("Operations applied", formatCount(now.applied), "/s"),
    tile("Requests", formatCount(now.requests), "/s"),
    tile("Request, 99 %", formatSeconds(now.p99)),
    tile("Commit, 99 %", formatSeconds(now.commit99)),
    tile("Server errors", formatCount(now.serverErrors), "/s"),
    tile("Queued", formatCount(now.waiting)),
    tile("Connections", formatCount(now.connections)));
}

function points(name) {
  return history.map((one) => ({ time: one.time, value: one[name] }));
}

function drawCharts(now) {
  const span = Math.max(spanMsMin, now.time - history[0].time);
  const draw = (title, format, names) => chart({
    title, format, span, now: now.time,
    series: Object.entries(names).map(([label, name]) => ({ name: label, points: points(name) })),
  });
  byId("charts").replaceChildren(
    draw("Operations per second", formatCount,
      { applied: "applied", refused: "refused", replayed: "replayed" }),
    draw("Requests per second", formatCount,
      { all: "requests", "4xx": "clientErrors", "5xx": "serverErrors" }),
    draw("Request time", formatSeconds, { "50 %": "p50", "99 %": "p99" }),
    draw("Commit time", formatSeconds, { "50 %": "commit50", "99 %": "commit99" }));
}

function drawOps(families) {
  const rows = labelValues(families, "holdfast_ops_total", "type")
    .map((type) => [type,
      sum(families, "holdfast_ops_total", { type, outcome: "applied" }),
      sum(families, "holdfast_ops_total", { type, outcome: "refused" })])
    .filter((row) => row[1] + row[2] > 0)
    .sort((a, b) => b[1] + b[2] - a[1] - a[2]);
  byId("ops").replaceChildren(rows.length === 0 ? el("p", { class: "quiet" }, "None yet.")
    : table(["type", "applied", "refused"],
      rows.map(([type, ...counts]) => [type, ...counts.map((count) => count.toLocaleString("en"))]),
      [1, 2]));
}

function drawRoutes(families) {
  const seen = (families.get("holdfast_http_requests_total") || [])
    .filter((sample) => sample.labels.status === "2xx").map((sample) => sample.labels);
  const rows = seen
    .map(({ method, route }) => {
      const wanted = { method, route };
      const errors = sum(families, "holdfast_http_requests_total", { ...wanted, status: "4xx" }) +
        sum(families, "holdfast_http_requests_total", { ...wanted, status: "5xx" });
      const time = buckets(families, latency, wanted);
      const count = sum(families, "holdfast_http_requests_total", wanted);
      return { name: `${method} ${route}`, count, errors, p99: quantile(time, 0.99) };
    })
    .filter((row) => row.count > 0)
    .sort((a, b) => b.count - a.count)
    .slice(0, 12);
  byId("routes").replaceChildren(table(["route", "requests", "4xx, 5xx", "99 %"],
    rows.map((row) => [
      el("span", { class: "mono" }, row.name), row.count.toLocaleString("en"),
      row.errors.toLocaleString("en"), formatSeconds(row.p99)]), [1, 2, 3]));
}

async function readMetrics() {
  const response = await ask("/metrics");
  if (!response.ok) throw new Error(`metrics: the server answered ${response.status}`);
  const time = Date.now();
  const now = reading(parseMetrics(await response.text()), time);
  // The families of older readings are large, and only the newest is compared with.
  if (history.length > 0) history[history.length - 1].families = undefined;
  history.push(now);
  while (history[0].time < time - spanMs) history.shift();
  drawTiles(now);
  drawCharts(now);
  drawOps(now.families);
  drawRoutes(now.families);
}

async function turn() {
  clearTimeout(timer);
  if (!document.hidden) {
    await readReady();
    await readMetrics().catch((error) => {
      if (history.length === 0) {
        byId("tiles").replaceChildren(el("p", { class: "notice", role: "alert" }, error.message));
      }
    });
  }
  if (key) timer = setTimeout(turn, pauseMs);
}

// ---- what is read once ----

async function readAssets() {
  const place = byId("assets");
  try {
    const page = await api("/v1/assets?limit=500");
    place.replaceChildren(page.data.length === 0 ? el("p", { class: "quiet" }, "None yet.")
      : table(["code", "scale", "name", "chain", "contract", "created"], page.data.map((asset) => [
        el("b", {}, asset.code), String(asset.scale), asset.name ?? "", asset.chain ?? "",
        asset.contract ?? "", asset.created_at.slice(0, 10)]), [1]));
  } catch (error) {
    place.replaceChildren(el("p", { class: "quiet" }, error.message));
  }
}

// ---- the key ----

function signOut(why) {
  key = null;
  history.length = 0;
  sessionStorage.removeItem(keyName);
  clearTimeout(timer);
  byId("dashboard").hidden = true;
  byId("sign-out").hidden = true;
  byId("sign-in").hidden = false;
  byId("user").replaceChildren();
  byId("key-problem").hidden = !why;
  byId("key-problem").textContent = why || "";
  byId("key").focus();
}

async function open() {
  try {
    const config = await api("/v1/config");
    sessionStorage.setItem(keyName, key);
    byId("version").textContent = config.version;
    byId("sign-in").hidden = true;
    byId("dashboard").hidden = false;
    byId("sign-out").hidden = false;
    await turn();
    await readAssets();
  } catch (error) {
    if (key) signOut(error.message);
  }
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key = byId("key").value.trim();
  byId("key").value = "";
  open();
});
byId("sign-out").addEventListener("click", () => signOut());
byId("user-form").addEventListener("submit", (event) => {
  event.preventDefault();
  users.show(byId("user-by").value, byId("user-value").value.trim());
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && key) turn();
});

const users = new UserView(api);
readReady();
if (key) open();
else signOut();
