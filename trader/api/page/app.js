"use strict";
// The dashboard. Everything that comes from outside is written as text, never as markup.
const $ = (id) => document.getElementById(id);
const state = { status: null, heardAt: 0, scopes: [], run: "", config: {}, prices: {}, asset: "", before: null, curve: [], mounts: [], mount: "" };
const LINES = 200, STALE_SECONDS = 5;

function make(name, text, kind) {
  const one = document.createElement(name);
  if (text !== undefined && text !== null) one.textContent = String(text);
  if (kind) one.className = kind;
  return one;
}
function cells(values) {
  const row = make("tr");
  for (const value of values) {
    if (value instanceof Node) { const td = make("td"); td.append(value); row.append(td); }
    else if (value && value.n !== undefined) row.append(make("td", value.n, "n"));
    else if (value && value.wrap !== undefined) row.append(make("td", value.wrap, "wrap"));
    else row.append(make("td", value));
  }
  return row;
}
function fill(id, rows) { $(id).querySelector("tbody").replaceChildren(...rows); }
function none(columns, text) { const row = make("tr"), td = make("td", text, "none"); td.colSpan = columns; row.append(td); return [row]; }
function when(at) {
  const date = new Date(at), time = make("time", date.toISOString().slice(5, 19).replace("T", " "));
  time.dateTime = date.toISOString(); time.title = date.toISOString() + " (UTC)";
  return time;
}
function amount(value, digits = 8) {
  const number = Number(value);
  return Number.isFinite(number) ? number.toLocaleString("en", { maximumSignificantDigits: digits }) : String(value);
}
const money = (value) => Number(value).toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const percent = (share) => (100 * share).toFixed(1) + " %";
const seconds = (value) => value === null || value === undefined ? "never" : amount(value, 3) + " s";

async function ask(path, options = {}) {
  const headers = { "X-Trader": "1", ...(options.body ? { "Content-Type": "application/json" } : {}), ...(options.headers || {}) };
  const answer = await fetch(path, { ...options, headers, credentials: "same-origin" });
  const body = answer.status === 204 ? null : await answer.json().catch(() => ({ error: "no answer that can be read" }));
  if (answer.status === 401) enter(false);
  if (!answer.ok) throw new Error([body.error, body.remedy].filter(Boolean).join(": "));
  return body;
}
// Of the mount that was chosen, where there are several
const of = (path) => state.mount ? path + (path.includes("?") ? "&" : "?") + "mount=" + encodeURIComponent(state.mount) : path;
function chosen(status) { return state.mount && status.mounts && status.mounts[state.mount] ? { ...status, ...status.mounts[state.mount] } : status; }
async function mounts() {
  state.mounts = await ask("/v1/mounts");
  $("choice").hidden = state.mounts.length < 2;
  $("mount").replaceChildren(...[{ name: "" }, ...state.mounts].map((one) => { const option = make("option", one.name || "all"); option.value = one.name; option.selected = one.name === state.mount; return option; }));
  columns();
}
function columns() { document.body.classList.toggle("several", state.mounts.length > 1 && !state.mount); }
function mounted(one, values) { const row = cells([one.mount, ...values]); row.firstChild.className = "of"; return row; }
function say(text) {
  $("toast").textContent = text; $("toast").hidden = false;
  clearTimeout(say.timer); say.timer = setTimeout(() => { $("toast").hidden = true; }, 6000);
}
const tried = (work) => (...given) => work(...given).catch((error) => say(error.message));

// In and out
function enter(isIn) { document.body.classList.toggle("out", !isIn); if (!isIn && enter.source) { enter.source.close(); enter.source = null; } }
async function login(token) {
  const found = await fetch("/v1/session", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token }) });
  if (!found.ok) throw new Error((await found.json()).error);
  return begin(await found.json());
}
async function begin(session) {
  state.scopes = session.scopes; state.run = session.run;
  $("run").textContent = session.run; document.title = session.run + " - trader";
  const may = session.scopes.includes("control");
  for (const id of ["halt", "resume", "flatten"]) $(id).disabled = !may;
  $("job-form").hidden = !session.scopes.includes("config");
  enter(true);
  await mounts();
  await Promise.all([configuration(), curve(), signals(true), orders(), fills(), held(), jobs(true), past()].map((one) => one.catch((error) => say(error.message))));
  await chart().catch((error) => say(error.message));
  listen();
}

// What happens
function listen() {
  if (enter.source) enter.source.close();
  const source = enter.source = new EventSource("/v1/events");
  source.addEventListener("status", (event) => { state.status = JSON.parse(event.data); state.heardAt = performance.now(); show(); });
  source.addEventListener("fact", (event) => happened(JSON.parse(event.data)));
  source.addEventListener("trouble", (event) => say(JSON.parse(event.data).error));
}
const due = new Set();
function soon(name) { due.add(name); }
setInterval(() => {
  if (document.body.classList.contains("out")) return;
  const todo = { signals: () => signals(true), orders, fills, held, curve, chart };
  for (const name of due) tried(todo[name])();
  due.clear();
  old();
}, 1000);
setInterval(() => { if (!document.body.classList.contains("out")) tried(jobs)(false); }, 3000);

function happened(fact) {
  const { seq, kind, at, ...rest } = fact;
  if (kind === "BarClosed") {
    state.prices[fact.asset] = fact.close; soon("curve");
    if (fact.asset === state.asset) soon("chart");
    return;
  }
  const line = make("li"), words = Object.entries(rest).filter(([, value]) => value !== "" && value !== null && typeof value !== "object");
  line.append(when(at), " ", make("strong", kind), " ", words.map(([key, value]) => key + " " + value).join(", "));
  $("log").prepend(line);
  while ($("log").children.length > LINES) $("log").lastChild.remove();
  if (/^Signal|^Batch/.test(kind)) soon("signals");
  if (/^Order|^Attempt|^Filled/.test(kind)) soon("orders");
  if (kind === "Filled" || kind === "DustLeft") { soon("fills"); soon("held"); soon("chart"); }
}

async function past() {
  $("log").replaceChildren();
  for (const fact of (await ask("/v1/facts?most=60")).rows.reverse()) happened(fact);
  due.clear();
}

// Nothing old is shown as live
function old() {
  const silent = (performance.now() - state.heardAt) / 1000, status = state.status;
  let text = "";
  if (!state.heardAt || silent > STALE_SECONDS) text = "Not live: nothing was heard for " + Math.round(silent) + " s. What is shown may be old.";
  else if (status && status.answers !== true) text = "Not live: the bot does not answer. What is shown is what it wrote down before.";
  $("stale").hidden = !text; if ($("stale").textContent !== text) $("stale").textContent = text;
  document.body.classList.toggle("old", Boolean(text));
  $("fresh").textContent = text ? "not live" : "live"; $("fresh").className = "badge " + (text ? "bad" : "good");
  if (text) { $("state").textContent = "unknown"; $("state").className = "badge warn"; }
}

function show() {
  old();
  if (!state.status || state.status.answers !== true) return;
  const status = chosen(state.status);
  const tone = { active: "good", reducing: "warn", recovering: "warn", halted: "bad", killed: "bad" }[status.state] || "";
  if ($("state").textContent !== status.state) $("state").textContent = status.state;
  $("state").className = "badge " + tone;
  $("cash").textContent = money(status.cash);
  holdings(status); limits(status); health(status);
}
function holdings(status) {
  const total = worth(status), rows = Object.entries(status.holdings).sort().map(([asset, one]) => {
    const price = state.prices[asset], value = price === undefined ? null : price * Number(one.quantity);
    return cells([asset, { n: amount(one.quantity) }, { n: amount(one.entry) }, { n: price === undefined ? "?" : amount(price) },
      { n: value === null ? "?" : percent(value / total) }, { n: target(one.target) }, { n: price === undefined ? "?" : percent(price / Number(one.entry) - 1) }]);
  });
  fill("holdings", rows.length ? rows : none(7, "Nothing is held."));
}
function target(text) { const share = Number(text); return text === "0" || text === "" ? "none" : Number.isFinite(share) ? percent(share) : text; }
function worth(status) {
  return Object.entries(status.holdings).reduce((sum, [asset, one]) => sum + (state.prices[asset] ?? Number(one.entry)) * Number(one.quantity), Number(status.cash));
}
function meter(name, have, most, text) {
  const one = make("div", undefined, "meter"), head = make("p"), track = make("div", undefined, "track"), bar = make("div"), share = most > 0 ? have / most : 0;
  head.append(make("span", name), make("span", text, "figure"));
  bar.className = share >= 1 ? "over" : share >= 0.8 ? "near" : ""; bar.style.width = Math.max(0, Math.min(100, 100 * share)) + "%";
  track.append(bar); track.setAttribute("role", "meter"); track.setAttribute("aria-label", name);
  track.setAttribute("aria-valuenow", String(Math.round(100 * share))); track.setAttribute("aria-valuemin", "0"); track.setAttribute("aria-valuemax", "100");
  one.append(head, track);
  return one;
}
function limited() {
  const own = "mounts." + state.mount + ".limits.", rows = Object.entries(state.config);
  const ours = rows.filter(([key, value]) => state.mount && key.startsWith(own) && value !== null).map(([key, value]) => ["limits." + key.slice(own.length), value]);
  return ours.length ? Object.fromEntries(ours) : state.config;
}
function limits(status) {
  const found = [], given = limited(), total = worth(status);
  const weights = Object.entries(status.holdings).map(([asset, one]) => [(state.prices[asset] ?? Number(one.entry)) * Number(one.quantity) / total, asset]).sort((a, b) => b[0] - a[0]);
  const [most, asset] = weights[0] || [0, "none"];
  const gross = weights.reduce((sum, [weight]) => sum + weight, 0), down = drawdown();
  if (given["limits.weight_per_asset"]) found.push(meter("Largest holding (" + asset + ")", most, given["limits.weight_per_asset"], percent(most) + " of " + percent(given["limits.weight_per_asset"])));
  if (given["limits.gross"]) found.push(meter("All holdings", gross, given["limits.gross"], percent(gross) + " of " + percent(given["limits.gross"])));
  if (given["limits.drawdown"]) found.push(meter("Drawdown", down, given["limits.drawdown"], percent(down) + " of " + percent(given["limits.drawdown"])));
  const others = Object.entries(given).filter(([key, value]) => key.startsWith("limits.") && value !== null && !/weight_per_asset|gross|drawdown/.test(key));
  if (others.length) { const list = make("dl", undefined, "facts"); for (const [key, value] of others) list.append(make("dt", key.slice(7).replaceAll("_", " ")), make("dd", value)); found.push(list); }
  $("limits").replaceChildren(...(found.length ? found : [make("p", "No limit is known.", "none")]));
}
function health(status) {
  const list = make("dl", undefined, "facts");
  const add = (name, text, tone) => { const dd = make("dd"); dd.append(make("span", text, tone ? "badge " + tone : "")); list.append(make("dt", name), dd); };
  const late = (value, most) => value === null || value === undefined ? "warn" : value > most ? "bad" : "";
  add("Prices heard", seconds(status.market_seconds_ago) + " ago", late(status.market_seconds_ago, 60));
  add("Account compared", seconds(status.reconciled_seconds_ago) + " ago", late(status.reconciled_seconds_ago, 90));
  add("Waiting in line", status.in_line, status.in_line > 100 ? "bad" : "");
  add("Loop held up", seconds(status.loop_lag_seconds), status.loop_lag_seconds > 1 ? "bad" : "");
  for (const [name, link] of Object.entries(status.links || {})) add(name, (link.is_up ? "up" : "down") + " since " + link.since + (link.is_up ? "" : " (" + link.why + ")"), link.is_up ? "good" : "bad");
  for (const [name, source] of Object.entries(status.sources || {})) for (const [key, value] of Object.entries(source)) if (typeof value !== "object" || value === null) add(name + " " + key.replaceAll("_", " "), value);
  for (const [asset, why] of Object.entries(status.shut || {})) add("Not traded: " + asset, why, "bad");
  for (const [code, value] of Object.entries(status.off || {})) add("Account is off by", value + " " + code, "bad");
  for (const one of status.orders || []) add("Order " + one.order + " on its way", one.side + " " + one.asset + ": " + one.state, one.state === "unknown" || one.state === "stuck" ? "bad" : "warn");
  add("Epoch", status.epoch);
  $("health").replaceChildren(list);
}

// Lists
async function configuration() {
  const rows = await ask("/v1/configuration");
  state.config = Object.fromEntries(rows.map((one) => [one.key, one.value]));
  const live = state.config.live === true, venue = state.config.venue;
  $("venue").textContent = live ? venue + ", real money" : venue === "paper" ? "paper" : venue; $("venue").classList.toggle("bad", live);
  $("configuration").querySelector("tbody").replaceChildren(...rows.map((one) => cells([one.key, { wrap: typeof one.value === "object" ? JSON.stringify(one.value) : String(one.value) }, { wrap: one.origin }])));
  const assets = [...new Set(state.mounts.flatMap((one) => one.assets))];
  state.asset = state.asset || assets[0] || "";
  $("asset").replaceChildren(...assets.map((one) => { const option = make("option", one); option.selected = one === state.asset; return option; }));
}
async function signals(isFirst) {
  const found = await ask("/v1/signals?most=50" + (isFirst ? "" : "&before=" + state.before));
  const rows = found.rows.map((one) => {
    const why = make("button", "why", "link"); why.addEventListener("click", tried(() => lineage(one.key)));
    why.setAttribute("aria-label", "Why: " + one.key);
    const tone = one.outcome === "traded" ? "good" : one.outcome === "open" ? "warn" : "";
    return cells([when(one.at), one.source, { wrap: one.said || one.key }, make("span", one.outcome, "badge " + tone), why]);
  });
  if (isFirst) fill("signals", rows.length ? rows : none(5, "No signal has come yet.")); else $("signals").querySelector("tbody").append(...rows);
  state.before = found.next; $("signals-more").hidden = found.next === null;
}
async function lineage(key) {
  const steps = await ask("/v1/signals/" + key.split("/").map(encodeURIComponent).join("/"));
  $("why-key").textContent = key;
  $("why-steps").replaceChildren(...steps.map((one) => { const line = make("li"); line.append(when(one.at), " ", make("strong", one.what), " ", one.text); return line; }));
  $("why").showModal();
}
async function orders() {
  const found = await ask(of("/v1/orders?most=50"));
  const rows = found.rows.map((one) => mounted(one, [one.number, when(one.at), one.asset, one.side, { n: one.quantity === null ? "for " + amount(one.spend) : amount(one.quantity) },
    cancellable(one) || make("span", one.state === "closed" ? one.reason : one.state, "badge " + ({ unknown: "bad", stuck: "bad" }[one.state] || (one.state === "closed" ? (one.reason === "filled" ? "good" : "") : "warn")))]));
  fill("orders", rows.length ? rows : none(7, "No order was placed yet."));
}
function cancellable(one) {
  if (!["placed", "absent"].includes(one.state) || !state.scopes.includes("control")) return null;
  const both = make("span", one.state + " "), button = make("button", "cancel", "link");
  button.setAttribute("aria-label", "Cancel order " + one.number);
  button.addEventListener("click", tried(() => command("cancel", null, String(one.number), one.mount)));
  both.append(button);
  return both;
}
async function fills() {
  const found = await ask(of("/v1/fills?most=50"));
  fill("fills", found.rows.length ? found.rows.map((one) => mounted(one, [when(one.at), one.asset, one.side, { n: amount(one.quantity) }, { n: amount(one.price) }, { wrap: one.why }])) : none(7, "Nothing was filled yet."));
}
async function held() {
  for (const one of await ask(of("/v1/holdings"))) {
    if (Number(one.quantity) && state.prices[one.asset] === undefined) {
      const found = await ask("/v1/chart?most=1&asset=" + encodeURIComponent(one.asset));
      if (found.bars.length) state.prices[one.asset] = found.bars[0].close;
    }
  }
  if (state.status) show();
}

// Charts
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const made = {};
function drawn(id) {
  if (!made[id]) {
    made[id] = LightweightCharts.createChart($(id), { autoSize: true, layout: { attributionLogo: false, fontFamily: "inherit" }, timeScale: { timeVisible: true, secondsVisible: false } });
  }
  made[id].applyOptions({ layout: { background: { color: colour("--card") }, textColor: colour("--soft") }, grid: { vertLines: { color: colour("--line") }, horzLines: { color: colour("--line") } } });
  return made[id];
}
const second = (at) => Math.floor(new Date(at).getTime() / 1000);
function drawdown() {
  let peak = -Infinity, now = 0;
  for (const one of state.curve) { peak = Math.max(peak, one.value); now = 1 - one.value / peak; }
  return now;
}
// What all mounts are worth together: they are valued at closes of their own, so each counts with its last value, before its first with that.
function together(rows) {
  const worth = new Map(), by = new Map();
  for (const one of rows) if (!worth.has(one.mount)) worth.set(one.mount, Number(one.equity));
  for (const one of rows) {
    worth.set(one.mount, Number(one.equity));
    by.set(second(one.at), [...worth.values()].reduce((sum, value) => sum + value, 0));
  }
  return [...by].map(([time, value]) => ({ time, value }));
}
async function curve() {
  state.curve = together(await ask(of("/v1/equity?most=2000")));
  $("equity-none").hidden = state.curve.length > 0; $("equity-chart").hidden = !state.curve.length;
  if (!state.curve.length) return;
  const one = drawn("equity-chart");
  if (!made.equity) {
    made.equity = one.addSeries(LightweightCharts.AreaSeries, { lineWidth: 2, priceLineVisible: false });
    made.down = one.addSeries(LightweightCharts.HistogramSeries, { priceScaleId: "down", priceFormat: { type: "custom", formatter: (x) => percent(x) }, priceLineVisible: false, lastValueVisible: false });
    one.priceScale("down").applyOptions({ scaleMargins: { top: 0.75, bottom: 0 } });
  }
  made.equity.applyOptions({ lineColor: colour("--accent"), topColor: colour("--accent") + "55", bottomColor: colour("--accent") + "08" });
  let peak = -Infinity;
  made.equity.setData(state.curve);
  made.down.setData(state.curve.map(({ time, value }) => { peak = Math.max(peak, value); return { time, value: value / peak - 1, color: colour("--bad") + "99" }; }));
  if (!made.fitted) { one.timeScale().fitContent(); made.fitted = true; }
  const last = state.curve.at(-1).value, down = drawdown();
  $("equity-now").textContent = money(last); $("drawdown-now").textContent = down > 0.0005 ? percent(-down) + " from the peak" : "at its peak";
}
async function chart() {
  if (!state.asset) return;
  const found = await ask(of("/v1/chart?most=300&asset=" + encodeURIComponent(state.asset))), one = drawn("asset-chart");
  if (!made.candles) {
    made.candles = one.addSeries(LightweightCharts.CandlestickSeries, { borderVisible: false });
    made.rating = one.addSeries(LightweightCharts.LineSeries, { priceScaleId: "left", lineType: 1, lineWidth: 2, priceLineVisible: false, title: "rating" });
    made.marks = LightweightCharts.createSeriesMarkers(made.candles, []);
    one.applyOptions({ leftPriceScale: { visible: true } });
  }
  made.candles.applyOptions({ upColor: colour("--good"), downColor: colour("--bad"), wickUpColor: colour("--good"), wickDownColor: colour("--bad") });
  made.rating.applyOptions({ color: colour("--warn") });
  const bars = new Map(found.bars.map((bar) => [second(bar.at), bar]));
  made.candles.setData([...bars].sort((a, b) => a[0] - b[0]).map(([time, bar]) => ({ time, open: bar.open, high: bar.high, low: bar.low, close: bar.close })));
  if (found.bars.length) state.prices[state.asset] = found.bars.at(-1).close;
  const first = Math.min(...bars.keys()), known = new Map(found.known.map((said) => [second(said.at), said.value]).filter(([time]) => time >= first));
  made.rating.setData([...known].sort((a, b) => a[0] - b[0]).map(([time, value]) => ({ time, value })));
  made.marks.setMarkers(found.fills.filter((fill) => second(fill.at) >= first).map((fill) => ({ time: second(fill.at), position: fill.side === "buy" ? "belowBar" : "aboveBar",
    shape: fill.side === "buy" ? "arrowUp" : "arrowDown", color: fill.side === "buy" ? colour("--good") : colour("--bad"), text: fill.side })));
  if (made.fittedTo !== state.asset) { one.timeScale().fitContent(); made.fittedTo = state.asset; }
}

// Jobs
async function jobs(isFirst) {
  if (!state.scopes.includes("config")) return;
  if (isFirst) $("job-config").replaceChildren(...(await ask("/v1/jobs/files")).map((one) => make("option", one)));
  const rows = await ask("/v1/jobs");
  $("jobs").replaceChildren(...rows.reverse().slice(0, 20).map((one) => {
    const row = make("div", undefined, "job");
    row.append(make("strong", one.kind), make("span", one.config), make("span", one.state, "badge " + ({ done: "good", failed: "bad", running: "warn" }[one.state] || "")));
    if (one.state === "running") { const bar = make("progress"); bar.setAttribute("aria-label", "done of " + one.config); if (one.share !== null) bar.value = one.share; row.append(bar); }
    if (one.state === "running" || one.state === "waiting") { const stop = make("button", "Cancel", "link"); stop.addEventListener("click", tried(() => ask("/v1/jobs/" + one.id, { method: "DELETE" }))); row.append(stop); }
    if (one.has_report) { const link = make("a", "report"); link.href = "/v1/jobs/" + one.id + "/report"; link.target = "_blank"; link.rel = "noopener"; row.append(link); }
    if (one.said && one.state !== "done") { const more = make("details"); more.append(make("summary", "what it said"), make("pre", one.said)); row.append(more); }
    return row;
  }));
}

// Commands
async function command(name, confirm, argument, mount = state.mount) {
  const key = name + "-" + crypto.randomUUID();
  const done = await ask("/v1/commands/" + name, { method: "POST", headers: { "Idempotency-Key": key }, body: JSON.stringify({ ...(confirm ? { confirm } : {}), ...(argument ? { argument } : {}), ...(mount ? { mount } : {}) }) });
  say(done.done === "already" ? name + " was done already" : name + ": the bot is " + done.state);
}
const TEXTS = { resume: "Opening and increasing begin again, as soon as the account agrees with the facts.", flatten: "Halts, cancels what is on its way and sells everything that this bot holds, now." };
function confirmed(name) {
  const word = name + " " + (state.mount || state.run);
  $("confirm-title").textContent = name[0].toUpperCase() + name.slice(1); $("confirm-text").textContent = TEXTS[name]; $("confirm-word").textContent = word;
  $("typed").value = ""; $("confirm-error").textContent = ""; $("confirm-go").disabled = true; $("confirm").dataset.name = name; $("confirm").dataset.word = word;
  $("confirm").showModal();
}
$("halt").addEventListener("click", tried(() => command("halt")));
$("resume").addEventListener("click", () => confirmed("resume"));
$("flatten").addEventListener("click", () => confirmed("flatten"));
$("typed").addEventListener("input", () => { $("confirm-go").disabled = $("typed").value !== $("confirm").dataset.word; });
$("confirm-no").addEventListener("click", () => $("confirm").close());
$("confirm-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if ($("confirm-go").disabled) return;
  command($("confirm").dataset.name, $("typed").value).then(() => $("confirm").close()).catch((error) => { $("confirm-error").textContent = error.message; });
});
$("signals-more").addEventListener("click", tried(() => signals(false)));
$("mount").addEventListener("change", tried(async () => {
  state.mount = $("mount").value; made.fitted = false; columns();
  await Promise.all([curve(), orders(), fills(), held(), chart()]);
  show();
}));
$("asset").addEventListener("change", tried(() => { state.asset = $("asset").value; return chart(); }));
$("job-form").addEventListener("submit", (event) => {
  event.preventDefault();
  tried(async () => { await ask("/v1/jobs", { method: "POST", body: JSON.stringify({ kind: $("job-kind").value, config: $("job-config").value }) }); await jobs(false); })();
});
$("leave").addEventListener("click", tried(async () => { await ask("/v1/session", { method: "DELETE" }); enter(false); }));
$("theme").addEventListener("click", () => {
  const is = document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  document.documentElement.dataset.theme = is === "dark" ? "light" : "dark";
  tried(async () => { await curve(); await chart(); })();
});
$("login-form").addEventListener("submit", (event) => {
  event.preventDefault();
  login($("token").value.trim()).then(() => { $("token").value = ""; $("login-error").textContent = ""; }).catch((error) => { $("login-error").textContent = error.message; });
});
(async () => {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) { history.replaceState(null, "", location.pathname); return login(given).catch((error) => { $("login-error").textContent = error.message; }); }
  const found = await fetch("/v1/session", { headers: { "X-Trader": "1" } });
  if (found.ok) await begin(await found.json());
})();
