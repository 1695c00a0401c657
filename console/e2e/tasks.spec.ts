// Four tasks of a manager from a cold start: the sign-in page of a server with a
// small team. Clicks are counted by the hand that makes them, twelve at most,
// and each is proven by what the server does next.
import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { Hand } from "./hand";
import { expect, test, type Login, type Usher } from "./usher";
import type { Page } from "@playwright/test";

const most = 12;
const english = [{ tag: "en", level: 5 }, { tag: "zh", level: 5 }];
const queue = { target_s: 60, max_wait_s: 240, require: [], relax: [], selection: "best_fit", overflow: [] };

/** cold opens the sign-in page and signs in. */
async function cold(page: Page, usher: Usher, who: Login): Promise<Hand> {
  await page.goto(usher.url);
  const hand = new Hand(page);
  await hand.type(page.getByLabel("Login"), who.login);
  await hand.key("Tab");
  await hand.type(page.getByLabel("Password"), who.password);
  await hand.key("Enter");
  await expect(page.getByRole("navigation", { name: "Screens" })).toBeVisible();
  return hand;
}

const goTo = (hand: Hand, screen: string) => hand.press(hand.page.getByRole("navigation", { name: "Screens" }).getByRole("link", { name: screen }), screen);

async function publish(hand: Hand, note: string): Promise<void> {
  await expect(hand.page.getByText("Draft saved")).toBeVisible();
  await hand.press(hand.page.getByRole("button", { name: "Publish…" }), "Publish…");
  const dialog = hand.page.getByRole("dialog", { name: "Publish the draft" });
  await hand.type(dialog.getByLabel("What is it for?"), note);
  await hand.press(dialog.getByRole("button", { name: "Publish", exact: true }), "Publish");
  await expect(hand.page.getByRole("heading", { level: 1 })).toContainText("is published");
}

function within(hand: Hand, task: string): void {
  console.log(`${task}: ${hand.count} (${hand.did.join(", ")})`);
  test.info().annotations.push({ type: "clicks", description: `${task}: ${hand.count}` });
  expect(hand.count, hand.did.join(", ")).toBeLessThanOrEqual(most);
}

test("technical words go to support", async ({ page, usher }) => {
  await usher.agent("support-1", { languages: english });
  await usher.publish({ queues: [{ id: "general", name: "General", ...queue }, { id: "support", name: "Support", ...queue }] });
  expect((await usher.message("我的应用一直闪退")).routing.queue).toBe("general");

  const hand = await cold(page, usher, await usher.account("manager"));
  await goTo(hand, "Policy");
  const lists = page.locator("#policy-keyword_lists");
  await hand.press(lists.getByRole("button", { name: "+ Add a list" }), "+ Add a list");
  await hand.type(lists.getByLabel("Name"), "technical words");
  await hand.type(lists.getByRole("textbox", { name: /: Phrases$/ }), "crash, error code, 闪退、报错");
  const rules = page.locator("#policy-rules");
  await hand.press(page.getByRole("button", { name: "+ Add a rule" }), "+ Add a rule");
  await hand.type(rules.getByLabel("Name"), "Technical words to support");
  await hand.choose(rules.getByLabel("send to queue", { exact: true }), "Support");
  await expect(rules.locator(".sentence").first()).toContainText("If the message mentions the list “technical words”, then send to Support.");
  await publish(hand, "technical words to support");
  within(hand, "technical words go to support");

  expect((await usher.message("我的应用一直闪 退")).routing.queue).toBe("support");
  expect((await usher.message("The app shows error code 17")).routing.queue).toBe("support");
  expect((await usher.message("When do you open?")).routing.queue).toBe("general");
});

test("a VIP from the App goes to the dedicated agent", async ({ page, usher }) => {
  // The queue gives to whoever is least loaded, and Mary is always the more loaded:
  // only her being somebody's own agent brings anybody to her.
  await usher.agent("lin", { name: "Lin", languages: english, capacity: { units: 50, interruptible_units: 50, per_channel: {} } });
  await usher.agent("mary", { name: "Mary", languages: english, capacity: { units: 4, interruptible_units: 4, per_channel: {} } });
  const p = await usher.call<{ document: { tiers: Record<string, unknown>[] } }>("GET", "/v1/policy");
  await usher.publish({
    tiers: p.document.tiers.map((t) => (t["name"] === "vip" ? { ...t, service: "normal" } : t)),
    queues: [{ id: "general", name: "General", ...queue, selection: "least_loaded" }],
  });
  const other = await usher.message("a long matter", { customer: { id: "other" } });
  await usher.call("POST", `/v1/conversations/${other.conversation.id}/assign`, { agent_id: "mary" });
  const writes = async (id: string, channel = "app", tier = "vip") => {
    await usher.call("PUT", `/v1/customers/${id}`, { name: id, tier, attributes: { dedicated_agent: "mary" } });
    return usher.message("hello, a question about my order", { channel, customer: { id } });
  };
  expect((await writes("vip-1")).routing.agent?.id).toBe("lin");

  const hand = await cold(page, usher, await usher.account("manager"));
  await goTo(hand, "Policy");
  const rules = page.locator("#policy-rules");
  await hand.press(page.getByRole("button", { name: "+ Add a rule" }), "+ Add a rule");
  await hand.type(rules.getByLabel("Name"), "VIP from the App");
  const channels = rules.getByRole("group", { name: "Value" }).first();
  await hand.press(channels.getByRole("button", { name: "Remove Web" }), "take Web away");
  await hand.choose(channels.getByRole("combobox"), "App");
  await hand.press(rules.getByRole("button", { name: "+ Add a condition" }), "+ Add a condition");
  await hand.choose(rules.getByLabel("Add an effect"), "dedicated agent first");
  await expect(rules.locator(".sentence").first()).toContainText("If channel is App and tier is VIP, then");
  await publish(hand, "VIPs of the App to their own agent");
  within(hand, "a VIP from the App goes to the dedicated agent");

  expect((await writes("vip-2")).routing).toMatchObject({ reason: "dedicated", agent: { id: "mary" } });
  expect((await writes("vip-3", "web")).routing.agent?.id).toBe("lin"); // not from the App
  expect((await writes("ordinary", "app", "regular")).routing.agent?.id).toBe("lin"); // no VIP
});

test("WeChat that waits over 60 s invites to the web", async ({ page, usher }) => {
  test.setTimeout(180_000);
  await usher.call("PUT", "/v1/channels/wx", { kind: "wechat", name: "WeChat" });
  await usher.agent("full", { languages: english, capacity: { units: 0, interruptible_units: 0, per_channel: {} } });

  const hand = await cold(page, usher, await usher.account("manager"));
  await goTo(hand, "Policy");
  await hand.press(page.getByRole("button", { name: /^WeChat, Waited too long/ }), "the cell WeChat × too long");
  const dialog = page.getByRole("dialog", { name: "WeChat, Waited too long" });
  await hand.press(dialog.getByRole("button", { name: "+ Add a move" }), "+ Add a move");
  await hand.choose(dialog.getByLabel("What is done"), "invite to the channel");
  await hand.press(dialog.getByRole("button", { name: "Done" }), "Done");
  await publish(hand, "WeChat over a minute: the web");
  within(hand, "WeChat that waits over 60 s invites to the web");

  const identity = { kind: "openid", value: "o-1", verified: true, channel: "wx" };
  const wrote = Date.now();
  const m = await usher.message("我的退款还没到账", { channel: "wx", customer: { identities: [identity] } });
  expect(m.routing.state).toBe("queued");
  const invited = async () => (await usher.call<{ routing: { invitation?: { url: string; to: string } } }>("GET", `/v1/conversations/${m.conversation.id}`)).routing.invitation;
  expect(await invited()).toBeUndefined();
  await expect.poll(invited, { timeout: 90_000, intervals: [1000] }).toBeTruthy();
  expect(Date.now() - wrote).toBeGreaterThan(58_000);
  const url = (await invited())!.url;
  expect(url).toContain("/chat/web#continue=");
  // The customer follows it, and goes on where he was.
  await page.goto(url);
  await page.getByRole("textbox").fill("I am at the web now");
  await page.keyboard.press("Enter");
  await expect.poll(async () => (await usher.call<{ channel: string }>("GET", `/v1/conversations/${m.conversation.id}`)).channel).toBe("web");
});

/** a week of work: some conversations, some of them passed on. */
async function week(usher: Usher, name: string, n: number, passed: number): Promise<void> {
  for (const id of ["wang-fang", "li-lei"]) await usher.agent(id, { capacity: { units: 100, interruptible_units: 9, per_channel: {} } });
  for (let i = 0; i < n; i++) {
    const m = await usher.message(`matter ${i}`, { customer: { id: `${name}-${i}` } });
    const id = m.conversation.id;
    await usher.call("POST", `/v1/conversations/${id}/assign`, { agent_id: "wang-fang" });
    if (i < passed) await usher.call("POST", `/v1/conversations/${id}/transfer`, { to_agent: "li-lei", reason: "test" });
    await usher.call("POST", `/v1/conversations/${id}/close`, { reason: "resolved" });
  }
}

test.describe(() => {
  // A zone in which it is day: the week does not end while this runs.
  const hour = new Date().getUTCHours();
  test.use({ timezoneId: hour >= 4 && hour < 20 ? "UTC" : "Pacific/Auckland" });

  test("did transfers fall since last week", async ({ page, usher }) => {
    test.setTimeout(180_000);
    await week(usher, "then", 24, 12);
    await usher.end();
    await promisify(execFile)("go", ["run", "./tool/past", usher.data, "168h"], { cwd: resolve("..") });
    await usher.restart();
    await week(usher, "now", 24, 6);

    const hand = await cold(page, usher, await usher.account("manager"));
    await goTo(hand, "Reports");
    await hand.press(page.getByRole("navigation", { name: "Reports" }).getByRole("link", { name: "Transfers" }), "Transfers");
    await expect(page.getByRole("heading", { level: 1 })).toHaveText("Transfer rate fell to 25.0%: −25.0 pt, better than the period before");
    await expect(page.locator('[data-metric="transfer_rate"]')).toHaveText(/^25\.0% of 24$/);
    within(hand, "did transfers fall since last week");
  });
});
