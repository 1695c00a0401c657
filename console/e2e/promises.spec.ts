// The promises through the browser: a manager, a customer at the chat page and
// an agent at the desk, each in a browser of their own.
import { expect, signIn, test, type Usher } from "./usher";
import type { Browser, Page } from "@playwright/test";

const languages = [{ tag: "zh", level: 5 }, { tag: "en", level: 5 }];
const queue = { target_s: 60, max_wait_s: 240, require: [], relax: [], selection: "best_fit", overflow: [] };
const none = { units: 0, interruptible_units: 0, per_channel: {} };
const room = { units: 4, interruptible_units: 4, per_channel: {} };

/** other is a browser of somebody else. */
async function other(browser: Browser, options = {}): Promise<Page> {
  return (await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: "en-GB", ...options })).newPage();
}

/** sit brings an agent to the desk; the desk shows that he is online. */
async function sit(page: Page, usher: Usher, id: string): Promise<void> {
  await signIn(page, usher, await usher.account("agent", id), "/desk");
  await expect(page.getByLabel("Your presence")).toHaveValue("online");
}

const chat = (page: Page) => page.getByRole("log");
const status = (page: Page) => page.locator(".status");

async function say(page: Page, text: string): Promise<void> {
  await page.locator("textarea").fill(text);
  await page.keyboard.press("Enter");
}

test("words to a queue, told to a customer at the chat page who is answered from the desk", async ({ page, usher, browser }) => {
  test.setTimeout(120_000);
  await usher.agent("chen", { name: "陈会计", skills: [{ name: "invoices", level: 4 }], languages, capacity: { ...room, units: 1 } });
  const billing = { ...queue, id: "billing", name: "Billing", require: [{ name: "invoices", level: 3 }] };
  await usher.publish({ queues: [{ ...queue, id: "general", name: "General" }, billing] });
  const before = await usher.message("我要发票", { customer: { id: "before" } });
  expect(before.routing.queue).toBe("general");
  const desk = await other(browser);
  await sit(desk, usher, "chen");
  await desk.getByRole("button", { name: "Accept" }).click();
  await expect(desk.getByLabel("Your answer")).toBeVisible();

  // The manager publishes the rule.
  await signIn(page, usher, await usher.account("manager"), "/policy");
  await page.getByRole("button", { name: "+ Add a list" }).click();
  await page.getByRole("textbox", { name: /: Phrases$/ }).fill("发票、invoice");
  await page.getByRole("button", { name: "+ Add a rule" }).click();
  await page.locator("#policy-rules").getByLabel("send to queue", { exact: true }).selectOption({ label: "Billing" });
  await expect(page.getByText("Draft saved")).toBeVisible();
  await page.getByRole("button", { name: "Publish…" }).click();
  const dialog = page.getByRole("dialog", { name: "Publish the draft" });
  await dialog.getByLabel("What is it for?").fill("invoices to billing");
  await dialog.getByRole("button", { name: "Publish", exact: true }).click();
  await expect(page.getByRole("heading", { level: 1 })).toContainText("is published");

  // Two customers write at the chat page: the second is the second in the queue.
  const first = await other(browser, { locale: "zh-CN" });
  const second = await other(browser);
  await first.goto(`${usher.url}/chat/web`);
  await say(first, "你好，发票还没收到");
  await expect(status(first)).toContainText("排在第 1 位");
  await second.goto(`${usher.url}/chat/web`);
  await say(second, "Where is my invoice?");
  await expect(status(second)).toContainText("number 2 in the queue");
  const waiting = await usher.call<{ data: { queue: string }[] }>("GET", "/v1/conversations?queue=billing&status=queued");
  expect(waiting.data).toHaveLength(2);

  // The agent has room for one: the first gets her, the second moves up.
  await desk.getByRole("button", { name: "Close", exact: true }).click();
  await expect(desk.getByText("你好，发票还没收到").first()).toBeVisible();
  await desk.getByRole("button", { name: "Accept" }).click();
  await expect(status(first)).toContainText("陈会计 正在为您服务");
  await expect(status(second)).toContainText("number 1 in the queue");
  await desk.getByLabel("Your answer").fill("马上为您查 <b>发票</b>");
  await desk.getByLabel("Your answer").press("Enter");
  await expect(chat(first).getByText("马上为您查 <b>发票</b>")).toBeVisible();
  await say(first, "谢谢！");
  await expect(desk.getByRole("log").getByText("谢谢！")).toBeVisible();
  await first.context().close();
  await second.context().close();
  await desk.context().close();
});

test("markup stays text at the chat page, the desk, the floor, the conversation and the decision", async ({ page, usher, browser }) => {
  test.setTimeout(120_000);
  const bad = `<img src=x onerror="window.hurt=1"><script>window.hurt=1</script><b>bold</b>`;
  await usher.agent("marked", { name: `${bad} Agent`, languages });
  await usher.publish({
    queues: [{ ...queue, id: "general", name: `${bad} Queue` }],
    rules: [{ id: "r", name: bad, when: { field: "channel.kind", op: "eq", value: "web" }, then: { tags: [bad] } }],
    keyword_lists: [{ name: bad, phrases: [bad], except: [] }],
  });
  await usher.call("PUT", "/v1/channels/odd", { kind: "web", name: `${bad} Channel` });
  await usher.call("PUT", "/v1/faq/odd", { titles: { en: bad }, answers: { en: bad }, questions: [], tags: [], enabled: true });
  await usher.call("PUT", "/v1/customers/c1", { name: `${bad} Customer`, tags: [bad], attributes: { note: bad } });
  const m = await usher.message(`${bad} Message`, { customer: { id: "c1" } });

  const clean = async (p: Page, where: string) => {
    expect(await p.evaluate(() => (window as { hurt?: number }).hurt), where).toBeUndefined();
    await expect(p.locator("img[src=x], main b, main script, .log b, .log img"), where).toHaveCount(0);
  };
  const customer = await other(browser);
  await customer.goto(`${usher.url}/chat/web`);
  await say(customer, `${bad} Visitor`);
  await expect(chat(customer).getByText(`${bad} Visitor`)).toBeVisible();
  await clean(customer, "chat page");
  const desk = await other(browser);
  await sit(desk, usher, "marked");
  await expect(desk.getByText(`${bad} Message`).first()).toBeVisible();
  await desk.getByRole("listitem").filter({ hasText: `${bad} Message` }).getByRole("button", { name: "Accept" }).click();
  await expect(desk.getByRole("log").getByText(`${bad} Message`)).toBeVisible();
  await desk.getByLabel("Your answer").fill(`${bad} Answer`);
  await desk.getByLabel("Your answer").press("Enter");
  await expect(desk.getByRole("log").getByText(`${bad} Answer`)).toBeVisible();
  await clean(desk, "desk");

  await signIn(page, usher, usher.logins["admin"]!);
  for (const [path, told] of [
    ["/live", `${bad} Agent`], [`/conversations/${m.conversation.id}`, `${bad} Answer`], [`/conversations?queue=general`, `${bad} Queue`], [`/why/${m.routing.decision_id}`, `${bad} Agent`],
    ["/policy?rule=r", bad], ["/faq", bad], ["/channels", `${bad} Channel`], ["/reports/assignment?group=agent", ""],
  ] as const) {
    await page.goto(usher.url + path);
    if (told) await expect(page.locator("main").getByText(told).first(), path).toBeAttached();
    else await expect(page.locator("main h1")).toBeVisible();
    await clean(page, path);
  }
  await customer.context().close();
  await desk.context().close();
});

test("an answer that meets an expired sign-in is kept and sent after the next one", async ({ page, usher, context }) => {
  await usher.agent("wang-fang", { languages });
  await sit(page, usher, "wang-fang");
  const m = await usher.message("where is my refund");
  await page.getByRole("button", { name: "Accept" }).click();
  await page.getByLabel("Your answer").fill("a whole answer");
  await context.clearCookies();
  await page.getByLabel("Your answer").press("Enter");
  const again = page.getByRole("dialog", { name: "Your sign-in has run out" });
  await expect(again.getByLabel("Login")).toHaveValue("wang-fang");
  await again.getByLabel("Password").fill((await usher.account("agent", "wang-fang")).password);
  await again.getByRole("button", { name: "Sign in" }).click();
  await expect(again).toBeHidden();
  // The desk may have asked for the sign-in by itself before Enter came: then the words are still in the box.
  const box = page.getByLabel("Your answer");
  if ((await box.inputValue()) !== "") await box.press("Enter");
  await expect(page.getByRole("log").getByText("a whole answer")).toHaveCount(1);
  await expect.poll(async () => (await usher.call<{ data: { author: string; text: string }[] }>("GET", `/v1/conversations/${m.conversation.id}/messages`)).data.filter((x) => x.author === "agent").map((x) => x.text)).toEqual(["a whole answer"]);
});

test("a form of the FAQ keeps what was typed over an expired sign-in", async ({ page, usher, context }) => {
  await signIn(page, usher, await usher.account("manager"), "/faq");
  await page.getByRole("button", { name: "New answer" }).click();
  const form = page.getByRole("dialog", { name: "New answer" });
  await form.getByLabel("Question (en)").fill("Where is my parcel?");
  await form.getByLabel("Answer (en)").fill("It is on its way.");
  await context.clearCookies();
  await form.getByRole("button", { name: "Save" }).dispatchEvent("click"); // also when the page has asked for the sign-in before
  const again = page.getByRole("dialog", { name: "Your sign-in has run out" });
  await again.getByLabel("Password").fill((await usher.account("manager")).password);
  await again.getByRole("button", { name: "Sign in" }).click();
  await expect(again).toBeHidden();
  await expect.poll(async () => (await usher.call<{ data: unknown[] }>("GET", "/v1/faq")).data.length).toBe(1);
  await expect(page.getByRole("row", { name: /Where is my parcel/ })).toBeVisible();
});

test("a viewer has no button that the server would refuse", async ({ page, usher }) => {
  test.setTimeout(120_000);
  await usher.agent("wang-fang", { languages });
  await usher.agent("full", { languages, capacity: none });
  await usher.publish({ rules: [{ id: "r", name: "R", when: { field: "channel.kind", op: "eq", value: "web" }, then: { head_start_s: 60 } }] });
  const m = await usher.message("hello");
  await usher.message("waits", { customer: { id: "waits" } });
  const viewer = await usher.account("viewer");
  await signIn(page, usher, viewer);
  const refused: string[] = [];
  page.on("response", (r) => {
    if (r.status() === 401 || r.status() === 403) refused.push(`${r.request().method()} ${new URL(r.url()).pathname}`);
  });
  const links = await page.getByRole("navigation", { name: "Screens" }).getByRole("link").evaluateAll((as) => as.map((a) => a.getAttribute("href")!));
  expect(links.length).toBeGreaterThan(3);
  for (const path of [...links, `/conversations/${m.conversation.id}`, `/why/${m.routing.decision_id}`, "/policy/history?version=2", "/policy?rule=r"]) {
    await page.goto(usher.url + path);
    await expect(page.locator("main h1")).toBeVisible();
    await expect(page.locator("[aria-busy=true]")).toHaveCount(0);
    const buttons = page.locator("main button:visible");
    const n = await buttons.count();
    for (let i = 0; i < n; i++) {
      const b = buttons.nth(i);
      if (!(await b.isVisible().catch(() => false))) continue;
      const name = (await b.getAttribute("aria-label")) ?? (await b.innerText());
      expect(name, `${path}: a dead button`).not.toMatch(/^(\+ )?(Add|Publish|Remove|Save|Restore|Import|Edit|Delete|Discard|Acknowledge|Assign|Close conversation|Snooze|Make|Disable|Move)\b/);
      if (await b.isDisabled()) continue;
      await b.click({ timeout: 10_000 });
      await page.keyboard.press("Escape"); // whatever it opened
      if (new URL(page.url()).pathname !== new URL(usher.url + path).pathname) await page.goto(usher.url + path);
    }
  }
  expect(refused).toEqual([]);
});

test("a supervisor and an agent take the same conversation at once: one has it, the other is told", async ({ page, usher, browser }) => {
  await usher.agent("wang-fang", { name: "Wang Fang", languages });
  await usher.agent("li-lei", { name: "Li Lei", languages });
  await usher.call("PUT", "/v1/agents/li-lei/presence", { presence: "away" });
  const desk = await other(browser);
  await sit(desk, usher, "wang-fang");
  await signIn(page, usher, await usher.account("supervisor"), "/live");
  for (const n of [1, 2, 3]) {
    const m = await usher.message(`matter ${n}`, { customer: { id: `c${n}` } });
    const accept = desk.getByRole("button", { name: "Accept" });
    await expect(accept).toHaveCount(1);
    await page.goto(`${usher.url}/conversations/${m.conversation.id}`);
    await page.getByRole("button", { name: "Assign" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Assign although it exceeds the limits").check();
    await dialog.getByLabel("Reason", { exact: true }).fill("she is away, but knows him");
    const choose = dialog.getByRole("button", { name: "Choose Li Lei" });
    await expect(choose).toBeEnabled();
    await Promise.all([accept.click(), choose.click()]);
    await expect(accept).toHaveCount(0);
    await expect(dialog.getByText("Too late: it is already with Wang Fang.").or(page.getByText("Li Lei").nth(0)).first()).toBeVisible();
    const c = await usher.call<{ status: string; agent_id: string }>("GET", `/v1/conversations/${m.conversation.id}`);
    expect(c.status).toBe("assigned");
    const has = c.agent_id;
    for (const id of ["wang-fang", "li-lei"]) {
      const load = await usher.call<{ conversations: { id: string }[]; used_units: number }>("GET", `/v1/agents/${id}/load`);
      expect(load.conversations.filter((x) => x.id === m.conversation.id), `${id} beside ${has}`).toHaveLength(id === has ? 1 : 0);
    }
    if (has === "li-lei") await expect(desk.getByText("Already with Li Lei.").or(desk.getByText("This conversation is not with you any more.")).first()).toBeVisible();
    else await expect(dialog.getByText("Too late: it is already with Wang Fang.")).toBeVisible();
    await usher.call("POST", `/v1/conversations/${m.conversation.id}/close`, { reason: "resolved" });
  }
  await desk.context().close();
});

/** Texts that stick out of what holds them, or lie on one another. */
async function faults(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const out: string[] = [];
    const root = document.documentElement;
    if (root.scrollWidth > root.clientWidth) {
      const wide = [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > root.clientWidth + 1 && !e.closest(".scroll, .visually-hidden"));
      out.push(`the page is ${root.scrollWidth} wide in ${root.clientWidth}: ${wide.slice(0, 3).map((e) => `${e.tagName.toLowerCase()}.${e.className}`).join(", ")}`);
    }
    const seen = (e: Element) => {
      const r = e.getBoundingClientRect();
      const s = getComputedStyle(e);
      return r.width > 1 && r.height > 1 && s.visibility !== "hidden" && !e.closest(".visually-hidden, [aria-hidden=true]");
    };
    const name = (e: Element) => `${e.tagName.toLowerCase()} “${(e.textContent ?? "").trim().slice(0, 30)}”`;
    for (const e of document.querySelectorAll("button, a, label, h1, h2, th, .pill, summary")) {
      if (!seen(e)) continue;
      const s = getComputedStyle(e);
      if (s.overflowX === "visible" && s.display !== "inline" && e.scrollWidth > e.clientWidth + 2 && e.clientWidth > 0) out.push(`${name(e)} sticks out: ${e.scrollWidth} in ${e.clientWidth}`);
    }
    const controls = [...document.querySelectorAll("main button, main select, main input, main a, header button, header select, header input, header a, nav a")].filter(seen);
    for (let i = 0; i < controls.length; i++) {
      const a = controls[i]!.getBoundingClientRect();
      for (let j = i + 1; j < controls.length; j++) {
        if (controls[i]!.contains(controls[j]!) || controls[j]!.contains(controls[i]!)) continue;
        if (controls[i]!.closest(".timeline .line") && controls[j]!.closest(".timeline .line")) continue; // handles may stand close
        const clips = (e: Element) => e.closest(".scroll, .top");
        if (clips(controls[i]!) !== clips(controls[j]!)) continue; // what is scrolled away lies under others
        const b = controls[j]!.getBoundingClientRect();
        if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2) out.push(`${name(controls[i]!)} lies on ${name(controls[j]!)}`);
      }
    }
    return out;
  });
}

for (const [zoom, size] of [["1280 px", { width: 1280, height: 800 }], ["200 % of 1280 px", { width: 640, height: 400 }]] as const) {
  for (const lang of ["zh", "en"] as const) {
    test(`nothing overlaps or sticks out: ${zoom}, ${lang}`, async ({ usher, browser }) => {
      test.setTimeout(120_000);
      await usher.agent("wang-fang", { name: "王芳 Wang Fang", languages });
      await usher.agent("full", { languages, capacity: none });
      await usher.publish({
        keyword_lists: [{ name: "technical words 技术词", phrases: ["闪退", "报错", "crash", "error code"], except: ["no error"] }],
        calendars: [{ name: "shop", zone: "Asia/Shanghai", days: { mon: [{ from: "09:00", to: "18:00" }] }, exceptions: [] }],
        queues: [{ ...queue, id: "general", name: "General 通用", require: [{ name: "Refunds 退款", level: 3 }], relax: [{ after_s: 30, require: [] }] }],
        overflow: [{ channel: "web", when: "too_long", after_s: 60, do: "leave_message" }],
        rules: [{ id: "r", name: "Technical words to support 技术词去技术支持", when: { all: [{ field: "message.text", op: "list_any", value: "technical words 技术词" }, { field: "customer.tier", op: "at_least", value: "vip" }] }, then: { queue: "general", head_start_s: 300 } }],
      });
      const m = await usher.message("hello, where is my refund? 我的退款还没有到账，麻烦尽快看一下", { customer: { id: "c1", name: "A customer of a long name 名字很长的客户" } });
      for (let i = 0; i < 3; i++) await usher.message("waits", { customer: { id: `waits-${i}` } });
      const page = await other(browser, { viewport: size, deviceScaleFactor: size.width < 1000 ? 2 : 1, locale: lang === "zh" ? "zh-CN" : "en-GB" });
      await page.goto(usher.url);
      await page.locator("input[name=username]").fill(usher.logins["admin"]!.login);
      await page.locator("input[name=password]").fill(usher.logins["admin"]!.password);
      await page.keyboard.press("Enter");
      await page.locator("#rail").waitFor({ state: "attached" });
      const links = await page.locator("#rail a").evaluateAll((as) => as.map((a) => a.getAttribute("href")!));
      const found: string[] = [];
      for (const path of [...links, "/policy?rule=r&try=1", "/policy/history?version=2", `/conversations/${m.conversation.id}`, `/why/${m.routing.decision_id}`, "/reports/transfers", "/reports/tiers", "/settings/keys", "/settings/audit"]) {
        await page.goto(usher.url + path);
        await expect(page.locator("main h1")).toBeVisible();
        await expect(page.locator("main [aria-busy=true]")).toHaveCount(0);
        found.push(...(await faults(page)).map((f) => `${path}: ${f}`));
      }
      expect(found).toEqual([]);
      await page.context().close();
    });
  }
}
