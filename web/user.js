// One user: what he is, his balances, holds and entries. Reads only.

import { byId, el, table } from "./dom.js";

const buckets = ["available", "held", "earned", "pending", "claiming", "blocked", "quarantine",
  "debt", "total", "spent_total", "claimed_total"];

function facts(pairs) {
  return el("dl", { class: "facts" }, pairs.map(([name, value]) =>
    [el("dt", {}, name), el("dd", {}, value)]));
}

function time(text) {
  const short = text.replace("T", " ").replace(/\.\d+Z$/, " Z");
  return el("time", { class: "nowrap", datetime: text }, short);
}

function pill(status) {
  return el("span", { class: `pill ${status === "open" ? "good" : "bad"}` }, status);
}

function drawUser(user, version) {
  return facts([
    ["id", el("span", { class: "mono" }, user.id)],
    ["external id", user.external_id ?? el("span", { class: "quiet" }, "none")],
    ["kind", user.kind],
    ["status", pill(user.status)],
    ["version", String(version)],
    ["created", time(user.created_at)],
    ["profile", user.profile ? el("code", {}, JSON.stringify(user.profile))
      : el("span", { class: "quiet" }, "none")],
  ]);
}

function drawBalances(balances) {
  const rows = Object.entries(balances).map(([code, balance]) =>
    [el("b", {}, code), ...buckets.map((bucket) => balance[bucket])]);
  return table(["asset", ...buckets.map((name) => name.replace("_", " "))], rows,
    buckets.map((name, index) => index + 1));
}

function drawHolds(page) {
  if (page.data.length === 0) return el("p", { class: "quiet" }, "No open holds.");
  return table(["hold", "asset", "amount", "remaining", "created", "expires"],
    page.data.map((hold) => [el("span", { class: "mono" }, hold.id), hold.asset, hold.amount,
      hold.remaining, time(hold.created_at), hold.expires_at ? time(hold.expires_at) : "never"]),
    [2, 3]);
}

function entryRow(entry) {
  const about = entry.reason || entry.label || entry.counterparty_user_id || "";
  return [
    String(entry.version), time(entry.recorded_at),
    el("span", {}, entry.type,
      entry.reversed_by ? el("span", { class: "quiet" }, " (reversed)") : ""),
    entry.asset, entry.amount, `${entry.from} → ${entry.to}`, entry.balances_after.available,
    about, el("span", { class: "mono" }, entry.op_id),
  ];
}

/** Draws a user into #user; `api` fetches a path and throws what a person can read. */
export class UserView {
  constructor(api) {
    this.api = api;
    this.shown = 0;
  }

  async show(by, value) {
    const place = byId("user");
    const shown = ++this.shown;
    try {
      const user = by === "id" ? await this.api(`/v1/users/${encodeURIComponent(value)}`)
        : await this.api(`/v1/users?external_id=${encodeURIComponent(value)}`);
      const path = `/v1/users/${user.id}`;
      const [balances, holds, entries] = await Promise.all([
        this.api(`${path}/balances`), this.api(`${path}/holds?state=open&limit=50`),
        this.api(`${path}/entries?limit=25`),
      ]);
      if (shown !== this.shown) return;
      const list = el("div", {});
      place.replaceChildren(
        drawUser(user, balances.version),
        el("div", { class: "section" }, el("h3", {}, "Balances"), drawBalances(balances.balances)),
        el("div", { class: "section" }, el("h3", {}, "Open holds"), drawHolds(holds)),
        el("div", { class: "section" }, el("h3", {}, "Entries"), list));
      this.drawEntries(list, path, entries, []);
    } catch (error) {
      if (shown !== this.shown) return;
      place.replaceChildren(el("p", { class: "notice", role: "alert" }, error.message));
    }
  }

  drawEntries(list, path, page, before) {
    const entries = [...before, ...page.data];
    if (entries.length === 0) {
      list.replaceChildren(el("p", { class: "quiet" }, "No entries yet."));
      return;
    }
    const older = el("button", { type: "button", onclick: async () => {
      older.disabled = true;
      try {
        const cursor = encodeURIComponent(page.next_cursor);
        const next = await this.api(`${path}/entries?limit=25&cursor=${cursor}`);
        this.drawEntries(list, path, next, entries);
      } catch (error) {
        list.append(el("p", { class: "notice", role: "alert" }, error.message));
        older.disabled = false;
      }
    } }, "Older entries");
    list.replaceChildren(
      table(["version", "recorded", "type", "asset", "amount", "from → to", "available after",
        "about", "op"], entries.map(entryRow), [0, 4, 6]),
      page.next_cursor ? el("p", {}, older) : "");
  }
}
