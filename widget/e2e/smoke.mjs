// The chat in a real browser against the real binary. USHER_TEST_BINARY names
// it (default ../bin/usher), CHROMIUM the browser; SHOTS a folder for pictures.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, mkdirSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const binary = process.env.USHER_TEST_BINARY ?? new URL("../../bin/usher", import.meta.url).pathname;
const shots = process.env.SHOTS;
const admin = "bootstrap-key-of-the-smoke-test-0123456789";
let server, base, browser, site, data, key;

async function api(method, path, body) {
  const r = await fetch(base + path, { method, headers: { Authorization: `Bearer ${key ?? admin}` }, body: body && JSON.stringify(body) });
  const text = await r.text();
  assert.ok(r.ok, `${method} ${path}: ${r.status} ${text}`);
  return text ? JSON.parse(text) : undefined;
}

before(async () => {
  data = mkdtempSync(join(tmpdir(), "usher-widget-"));
  server = spawn(binary, ["serve", "--data", data, "--addr", "127.0.0.1:0", "--admin-addr", "off", "--store-sync", "normal"], {
    env: { ...process.env, USHER_BOOTSTRAP_KEY: admin },
    stdio: ["ignore", "pipe", "ignore"],
  });
  base = await new Promise((done, fail) => {
    let out = "";
    server.stdout.on("data", (d) => {
      out += d;
      const ready = /usher ready (\S+)/.exec(out);
      if (ready) done(ready[1]);
    });
    server.on("exit", (code) => fail(new Error(`usher ended with ${code}: ${out}`)));
  });
  key = (await api("POST", "/v1/keys", { name: "smoke", scopes: ["admin"] })).secret;
  await api("PUT", "/v1/agents/lina", { name: "李娜", skills: [], languages: [{ tag: "zh", level: 5 }, { tag: "en", level: 4 }] });
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
});

after(async () => {
  await browser?.close();
  site?.close();
  server?.removeAllListeners("exit");
  server?.kill("SIGTERM");
  await new Promise((done) => server?.once("exit", done));
  rmSync(data, { recursive: true, force: true });
});

/** visit opens the chat page in a browser of its own and fails on any error in it. */
async function visit(options = {}, path = "/chat/web") {
  const context = await browser.newContext({ locale: "zh-CN", ...options });
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (e) => errors.push(String(e)));
  page.on("console", (m) => m.type() === "error" && !/ERR_INTERNET_DISCONNECTED|Failed to load resource/.test(m.text()) && errors.push(m.text()));
  await page.goto(path.startsWith("http") ? path : base + path);
  return { context, page, errors };
}

const say = async (page, text) => {
  await page.locator("textarea").fill(text);
  await page.keyboard.press("Enter");
};
const said = (page) => page.locator(".log .said").allTextContents();
const until = async (what, fn) => {
  for (const end = Date.now() + 15_000; ; ) {
    const v = await fn();
    if (v) return v;
    assert.ok(Date.now() < end, `timed out: ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
};
const shoot = async (page, name) => {
  if (!shots) return;
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: join(shots, `${name}.png`) });
};

test("a message, the queue, a reload, an agent, the end", async () => {
  const { context, page, errors } = await visit();
  await page.locator("textarea").waitFor();
  await until("connected", async () => (await page.locator(".status").getAttribute("data-state")) === "new");
  await say(page, "退款还没到账");
  await until("in the queue", async () => (await page.locator(".status").getAttribute("data-state")) === "queued");
  assert.equal(await page.locator(".status").textContent(), "客服暂时不在线，您的消息会保留");
  assert.deepEqual(await said(page), ["退款还没到账"]);

  // Markup is text.
  await say(page, '<img src=x onerror="window.hurt=1"><b>粗</b>');
  await until("second message", async () => (await said(page)).length === 2 && (await page.locator(".waiting").count()) === 0);
  assert.equal((await said(page))[1], '<img src=x onerror="window.hurt=1"><b>粗</b>');
  assert.equal(await page.locator(".log img, .log b").count(), 0);
  assert.equal(await page.evaluate(() => window.hurt), undefined);

  // A draft and the conversation survive a reload; nothing is sent twice.
  await page.locator("textarea").fill("还没写完");
  await page.reload();
  await until("after reload", async () => (await page.locator(".status").getAttribute("data-state")) === "queued");
  assert.equal((await said(page)).length, 2);
  assert.equal(await page.locator("textarea").inputValue(), "还没写完");
  const convs = (await api("GET", "/v1/conversations")).data;
  assert.equal(convs.length, 1);

  // A second tab shows the same.
  const tab = await context.newPage();
  await tab.goto(`${base}/chat/web`);
  await until("second tab", async () => (await said(tab)).length === 2);

  await api("PUT", "/v1/agents/lina/presence", { presence: "online" });
  const offer = await until("an offer", async () => (await api("GET", "/v1/offers?state=pending")).data[0]);
  await api("POST", `/v1/offers/${offer.id}/accept`, {});
  await until("assigned", async () => (await page.locator(".status").textContent()) === "李娜 正在为您服务");
  await api("POST", `/v1/conversations/${convs[0].id}/messages`, { agent_id: "lina", text: "您好，我来<i>查一下</i>。" });
  for (const p of [page, tab]) await until("the answer", async () => (await said(p)).at(-1) === "您好，我来<i>查一下</i>。");
  assert.equal(await page.locator(".log .agent .who").last().textContent(), "李娜");
  await page.locator("textarea").fill("");
  await say(page, "谢谢");
  await until("in both tabs", async () => (await said(tab)).at(-1) === "谢谢");
  await shoot(page, "assigned");

  await api("POST", `/v1/conversations/${convs[0].id}/close`, { reason: "resolved" });
  await page.getByRole("button", { name: "非常满意" }).click();
  await until("thanks", async () => (await page.locator(".foot").textContent()) === "谢谢您的评价");
  assert.deepEqual(errors, []);
  await context.close();
});

test("Enter that ends a composition does not send", async () => {
  const { context, page, errors } = await visit();
  const input = page.locator("textarea");
  await input.click();
  await until("connected", async () => (await page.locator(".status").getAttribute("data-state")) === "new");
  const cdp = await context.newCDPSession(page);
  await cdp.send("Input.imeSetComposition", { text: "tuikuan", selectionStart: 7, selectionEnd: 7 });
  await cdp.send("Input.dispatchKeyEvent", { type: "rawKeyDown", key: "Enter", code: "Enter", windowsVirtualKeyCode: 229 });
  await page.keyboard.press("Enter");
  // Safari: the composition is over before the key, which says 229.
  await input.evaluate((e) => {
    e.dispatchEvent(new CompositionEvent("compositionend", { bubbles: true }));
    e.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", keyCode: 229, bubbles: true, cancelable: true }));
  });
  assert.deepEqual(await said(page), []);
  await cdp.send("Input.insertText", { text: "退款" });
  await input.fill("退款");
  await page.keyboard.press("Shift+Enter");
  assert.deepEqual(await said(page), []);
  await input.fill("退款");
  await page.keyboard.press("Enter");
  await until("sent", async () => (await said(page))[0] === "退款");
  assert.deepEqual(errors, []);
  await context.close();
});

test("the button on another site: its origin alone, keyboard, offline and back", async () => {
  let html = "";
  site = createServer((req, res) => res.setHeader("Content-Type", "text/html; charset=utf-8").end(req.url.startsWith("/favicon") ? "" : html.replace('data-lang="en"', req.url.endsWith("?zh") ? 'data-lang="zh"' : 'data-lang="en"')));
  await new Promise((done) => site.listen(0, "127.0.0.1", done));
  const origin = `http://127.0.0.1:${site.address().port}`;
  const pk = (await api("POST", "/v1/keys", { name: "shop", scopes: ["visitor"], channel: "web", origins: [origin] })).secret;
  html = `<!doctype html><html lang="en"><title>Shop</title><h1>Shop</h1><p>Kettles.</p><script src="${base}/widget.js" data-key="${pk}" data-lang="en" async></script>`;
  const { context, page, errors } = await visit({}, origin);
  const launch = page.getByRole("button", { name: "Open chat" });
  await launch.focus();
  await page.keyboard.press("Enter");
  const input = page.getByRole("textbox", { name: "Message" });
  assert.ok(await input.evaluate((e) => e.getRootNode().activeElement === e), "focus is in the message");
  await until("connected", async () => (await page.locator(".status").getAttribute("data-state")) === "new");
  await say(page, "Where is my parcel?");
  await until("taken", async () => (await said(page)).length === 1 && (await page.locator(".waiting").count()) === 0);

  await context.setOffline(true);
  await until("offline", async () => (await page.locator(".status").getAttribute("data-state")) === "offline");
  await say(page, "It was due on Monday.");
  assert.equal(await page.locator(".waiting").count(), 1);
  await context.setOffline(false);
  await until("sent once back", async () => (await page.locator(".waiting").count()) === 0);
  await until("online", async () => ["queued", "assigned", "clarifying"].includes(await page.locator(".status").getAttribute("data-state")));
  assert.deepEqual(await said(page), ["Where is my parcel?", "It was due on Monday."]);
  await page.keyboard.press("Escape");
  assert.equal(await page.locator(".panel").isVisible(), false);
  await context.close();
  assert.deepEqual(errors, []);

  // The same page elsewhere gets nothing.
  const other = await visit({}, origin.replace("127.0.0.1", "localhost"));
  await other.page.getByRole("button", { name: "Open chat" }).click();
  await until("refused", async () => /Connecting|Reconnecting|no chat/.test(await other.page.locator(".status").textContent()));
  await say(other.page, "hello");
  await new Promise((done) => setTimeout(done, 500));
  assert.equal(await other.page.locator(".waiting").count(), 1);
  await other.context.close();
});

test("choices are buttons, and say which one it was", async () => {
  const context = await browser.newContext({ locale: "zh-CN", viewport: { width: 390, height: 844 } });
  const page = await context.newPage();
  const conversation = {
    id: "conv_1", state: "clarifying", opened_at: "2026-03-02T09:00:00Z", answered: false, estimated_wait_s: null, agent: null, invitation: null,
    choices: [{ id: "refund", label: "退款", text: "" }, { id: "human", label: "转人工", text: "" }],
  };
  const message = (id, author, text, more) => ({ id, conversation_id: "conv_1", author, text, attachments: [], at: "2026-03-02T09:00:00Z", ...more });
  const posted = [];
  await page.route("**/v1/web/**", async (route) => {
    const call = route.request();
    const path = new URL(call.url()).pathname;
    if (path.endsWith("/session"))
      return route.fulfill({ json: { session: "uvs_x", known: false, resumed: false, expires_at: "2027-01-01T00:00:00Z", channel: { id: "web", name: "Web" }, conversation, last_event_id: "1-0" } });
    if (path.endsWith("/events"))
      return route.fulfill({ contentType: "text/event-stream", body: `id: 1-0\nevent: ready\ndata: ${JSON.stringify({ conversation, reset: false })}\n\n` });
    if (call.method() === "POST") {
      posted.push(call.postDataJSON());
      return route.fulfill({ status: 201, json: { message: message("m3", "customer", posted[0].text, { client_msg_id: posted[0].client_msg_id }), conversation: { ...conversation, choices: [] } } });
    }
    return route.fulfill({ json: { data: [message("m1", "customer", "钱的事"), message("m2", "bot", "您想办理哪一项？")], more: false, conversation, last_event_id: "1-0" } });
  });
  await page.goto(`${base}/chat/web`);
  await page.getByRole("button", { name: "退款" }).waitFor();
  await shoot(page, "choices");
  await page.getByRole("button", { name: "退款" }).click();
  await until("posted", () => posted.length === 1);
  assert.deepEqual([posted[0].text, posted[0].choice], ["退款", "refund"]);
  await context.close();
});

// Nasty case 38: whoever signed in is still here when his session runs out with a
// message under way, or somebody else is.
for (const [who, customer, arrives] of [["the same", "cust_1", true], ["somebody else", "cust_2", false], ["nobody", undefined, false]])
  test(`a session runs out before a message is sent: ${who} goes on`, async () => {
    const context = await browser.newContext({ locale: "zh-CN" });
    const page = await context.newPage();
    const conversation = { id: "conv_1", state: "queued", opened_at: "2026-03-02T09:00:00Z", answered: false, estimated_wait_s: null, agent: null, invitation: null, choices: [] };
    const taken = [];
    let begun = 0;
    let followed = false;
    let over = false;
    await page.route("**/v1/web/**", async (route) => {
      const call = route.request();
      const path = new URL(call.url()).pathname;
      const first = call.headers()["authorization"] === "Bearer uvs_1";
      if (path.endsWith("/session")) {
        const again = begun++ > 0;
        return route.fulfill({
          status: 201,
          json: {
            session: again ? "uvs_2" : "uvs_1", known: !again || customer !== undefined, resumed: false, customer_id: again ? customer : "cust_1",
            expires_at: "2027-01-01T00:00:00Z", channel: { id: "web", name: "Web" }, conversation: null, last_event_id: "1-0",
          },
        });
      }
      if (first && over) return route.fulfill({ status: 401, json: {} });
      if (path.endsWith("/events") && (followed = true))
        return route.fulfill({ contentType: "text/event-stream", body: `id: 1-0\nevent: ready\ndata: ${JSON.stringify({ conversation: null, reset: false })}\n\n` });
      if (call.method() === "POST") {
        const m = call.postDataJSON();
        taken.push(m.text);
        return route.fulfill({ status: 201, json: { message: { id: "m1", conversation_id: "conv_1", author: "customer", text: m.text, attachments: [], at: "2026-03-02T09:00:00Z", client_msg_id: m.client_msg_id }, conversation } });
      }
      return route.fulfill({ json: { data: [], more: false, conversation: null, last_event_id: "1-0" } });
    });
    await page.goto(`${base}/chat/web`);
    await until("connected", () => followed);
    over = true;
    await say(page, "我的卡号写错了");
    await page.locator("textarea").fill("还没写完");
    await until("a session anew", () => begun > 1);
    if (arrives) {
      await until("taken", () => taken.length === 1);
      assert.equal(await page.locator("textarea").inputValue(), "还没写完");
    } else {
      await until("gone", async () => (await page.locator(".waiting").count()) === 0);
      await say(page, "你好");
      await until("his own", () => taken.length === 1);
    }
    assert.deepEqual(taken, [arrives ? "我的卡号写错了" : "你好"]);
    await context.close();
  });

test("an answer that comes late does not undo what was told since", async () => {
  const context = await browser.newContext({ locale: "zh-CN" });
  const page = await context.newPage();
  const conversation = (state) => ({ id: "conv_1", state, opened_at: "2026-03-02T09:00:00Z", answered: true, estimated_wait_s: null, agent: state === "assigned" ? { name: "李娜" } : null, invitation: null, choices: [] });
  let posted, told;
  let streams = 0;
  const sent = new Promise((done) => (posted = done));
  const closed = new Promise((done) => (told = done));
  await page.route("**/v1/web/**", async (route) => {
    const call = route.request();
    const path = new URL(call.url()).pathname;
    if (path.endsWith("/session"))
      return route.fulfill({ status: 201, json: { session: "uvs_x", known: false, resumed: false, expires_at: "2027-01-01T00:00:00Z", channel: { id: "web", name: "Web" }, conversation: null, last_event_id: "1-0" } });
    if (path.endsWith("/events")) {
      if (streams++ > 0) return; // it says nothing more
      await sent;
      await route.fulfill({ contentType: "text/event-stream", body: `id: 2-0\nevent: ready\ndata: ${JSON.stringify({ conversation: conversation("closed"), reset: false })}\n\n` });
      return setTimeout(told, 500);
    }
    if (call.method() === "POST") {
      const m = call.postDataJSON();
      posted();
      await closed;
      return route.fulfill({ status: 201, json: { message: { id: "m1", conversation_id: "conv_1", author: "customer", text: m.text, attachments: [], at: "2026-03-02T09:00:00Z", client_msg_id: m.client_msg_id }, conversation: conversation("assigned") } });
    }
    return route.fulfill({ json: { data: [], more: false, conversation: null, last_event_id: "1-0" } });
  });
  await page.goto(`${base}/chat/web`);
  await page.locator("textarea").waitFor();
  await say(page, "谢谢");
  await closed;
  await until("taken", async () => (await said(page)).length === 1 && (await page.locator(".waiting").count()) === 0);
  await page.getByRole("button", { name: "非常满意" }).waitFor({ timeout: 5000 });
  await context.close();
});

test("a link goes on with the conversation, once", async () => {
  await api("PUT", "/v1/agents/lina/presence", { presence: "offline" });
  await api("PUT", "/v1/channels/wx", { kind: "wechat", name: "微信" });
  const now = await fetch(`${base}/v1/policy`, { headers: { Authorization: `Bearer ${key}` } });
  const doc = (await now.json()).document;
  doc.overflow = [{ channel: "wechat", when: "nobody_online", do: "invite", to: "web" }];
  const put = (method, path, body, tag) =>
    fetch(base + path, { method, headers: { Authorization: `Bearer ${key}`, "If-Match": tag }, body: JSON.stringify(body) });
  const draft = await put("PUT", "/v1/policy/draft", doc, now.headers.get("ETag"));
  assert.ok(draft.ok, await draft.text());
  const published = await put("POST", "/v1/policy/publish", { note: "invite" }, draft.headers.get("ETag"));
  assert.ok(published.ok, await published.text());
  const first = await api("POST", "/v1/messages", { channel: "wx", text: "水壶坏了，型号 K7", customer: { identities: [{ kind: "openid", value: "o-1", verified: true, channel: "wx" }] } });
  const url = await until("an invitation", async () => (await api("GET", `/v1/conversations/${first.conversation.id}`)).routing.invitation?.url);
  assert.ok(url.startsWith(`${base}/chat/web#continue=`), url);
  const { context, page, errors } = await visit({}, url);
  await until("moved", async () => (await page.locator(".notice").textContent()) === "已接续您之前的对话，不用重复说明。");
  assert.ok(!page.url().includes("continue"), "the link stays in the address");
  await say(page, "我在网页上了");
  await until("taken", async () => (await said(page)).includes("我在网页上了") && (await page.locator(".waiting").count()) === 0);
  assert.ok(!(await said(page)).includes("水壶坏了，型号 K7"), "what was written before is shown");
  assert.equal((await api("GET", `/v1/conversations/${first.conversation.id}`)).channel, "web");
  await shoot(page, "moved");
  await page.reload();
  await until("still there", async () => (await said(page)).includes("我在网页上了"));
  assert.deepEqual(errors, []);
  await context.close();
  const again = await visit({}, url);
  await until("used", async () => /已经用过或已过期/.test(await again.page.locator(".notice").textContent()));
  assert.deepEqual(await said(again.page), []);
  await shoot(again.page, "used");
  await again.context.close();
});

test("how it looks", { skip: !shots }, async () => {
  await api("PUT", "/v1/agents/lina/presence", { presence: "offline" });
  for (const [lang, locale] of [["zh", "zh-CN"], ["en", "en-GB"]])
    for (const colorScheme of ["light", "dark"])
      for (const width of [390, 1440]) {
        const { context, page } = await visit({ locale, colorScheme, viewport: { width, height: width === 390 ? 844 : 900 } });
        await until("connected", async () => (await page.locator(".status").getAttribute("data-state")) === "new");
        await say(page, lang === "zh" ? "我上周退的水壶，钱怎么还没到账？订单号 20260301-8842" : "I returned the kettle last week, and the money is not back yet. Order 20260301-8842");
        await until("queued", async () => (await page.locator(".status").getAttribute("data-state")) === "queued");
        await say(page, lang === "zh" ? "麻烦尽快看一下" : "Could you have a look?\nThanks!");
        await until("both", async () => (await page.locator(".waiting").count()) === 0 && (await said(page)).length === 2);
        await shoot(page, `page-${lang}-${colorScheme}-${width}`);
        await page.goto(site.address() ? `http://127.0.0.1:${site.address().port}/?${lang}` : "about:blank");
        await page.locator(".launch").click();
        await say(page, lang === "zh" ? "发货到哪里了？" : "Where is my parcel?");
        await until("sent", async () => (await page.locator(".waiting").count()) === 0 && (await said(page)).length === 1);
        await shoot(page, `widget-${lang}-${colorScheme}-${width}`);
        await context.close();
      }
});
