import type { Locator, Page } from "@playwright/test";
import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { expect, signIn, test, type Usher } from "./usher";

const saved = (page: Page) => expect(page.getByText("Draft saved")).toBeVisible();
const rules = (page: Page) => page.locator("#policy-rules");
const row = (page: Page, name: string) => rules(page).getByRole("listitem").filter({ has: page.locator(".sentence .name", { hasText: name }) });

async function publish(page: Page, note: string): Promise<void> {
  await saved(page);
  await page.getByRole("button", { name: "Publish…" }).click();
  const dialog = page.getByRole("dialog", { name: "Publish the draft" });
  await dialog.getByLabel("What is it for?").fill(note);
  await dialog.getByRole("button", { name: "Publish", exact: true }).click();
  await expect(page.getByRole("heading", { level: 1 })).toContainText("is published");
}

const skilled = { require: [], relax: [], selection: "best_fit", overflow: [] };
const general = { id: "general", name: "General", target_s: 60, max_wait_s: 240, ...skilled };

/** add opens a list to add from, goes down to a label and takes it. */
async function add(page: Page, select: Locator, label: string): Promise<void> {
  const options = await select.locator("option").allTextContents();
  const want = options.findIndex((o) => o.trim() === label);
  expect(want, `${label} among ${options.join(", ")}`).toBeGreaterThan(0);
  await select.focus();
  await page.keyboard.press("ArrowDown");
  for (let i = 0; i < want; i++) await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
}

/** choose goes through a list to a label, with the keyboard alone. */
async function choose(page: Page, select: Locator, label: string): Promise<void> {
  await select.focus();
  const options = await select.locator("option").allTextContents();
  const now = await select.evaluate((s: HTMLSelectElement) => s.selectedIndex);
  const want = options.findIndex((o) => o.trim() === label);
  expect(want, `${label} among ${options.join(", ")}`).toBeGreaterThanOrEqual(0);
  for (let i = now; i < want; i++) await page.keyboard.press("ArrowDown");
  for (let i = now; i > want; i--) await page.keyboard.press("ArrowUp");
}

test("from an empty workspace, words to a queue: the next message follows", async ({ page, usher }) => {
  await signIn(page, usher, usher.logins["admin"]!, "/policy");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("The starter policy serves");
  await page.getByRole("button", { name: "+ Add a list" }).click();
  await page.locator("#policy-keyword_lists").getByLabel("Name").fill("invoices");
  await page.locator("#policy-keyword_lists").getByLabel("Name").press("Tab");
  const phrases = page.getByRole("textbox", { name: "invoices: Phrases" });
  await phrases.fill("发票、invoice");
  await phrases.press("Enter");
  await page.getByRole("button", { name: "+ Add a queue" }).click();
  const queue = page.locator("#policy-queues").getByLabel("Queue", { exact: true });
  await queue.fill("Billing");
  await queue.press("Tab");
  await page.getByRole("button", { name: "+ Add a rule" }).click();
  await rules(page).getByLabel("send to queue", { exact: true }).selectOption({ label: "Billing" });
  await expect(row(page, "New rule")).toContainText("If the message mentions the list “invoices”, then send to Billing.");
  await publish(page, "invoices to billing");
  const answer = await usher.message("发票还没收到");
  expect(answer.routing.queue).toBe("billing");
  expect((await usher.message("hello there, a question")).routing.queue).not.toBe("billing");
});

test("the sentence of the design is built by keyboard alone", async ({ page, usher }) => {
  await usher.publish({
    queues: [general, { ...general, id: "vip", name: "VIP care" }],
    skills: [{ name: "Refunds", aliases: [], intents: [] }],
  });
  await signIn(page, usher, usher.logins["admin"]!, "/policy");
  await page.getByRole("button", { name: "+ Add a rule" }).focus();
  await page.keyboard.press("Enter");
  const name = rules(page).getByLabel("Name");
  await expect(name).toBeFocused();
  await page.keyboard.press("ControlOrMeta+A");
  await page.keyboard.type("VIP from the App");
  await page.keyboard.press("Tab");
  const first = rules(page).getByLabel("Field").first();
  await choose(page, first, "channel");
  await expect(rules(page).getByLabel("Comparison").first()).toHaveValue("in");
  const value = rules(page).getByRole("group", { name: "Value" });
  await value.getByRole("button", { name: "Remove Web" }).focus();
  await page.keyboard.press("Enter");
  await add(page, value.getByRole("combobox"), "App");
  await rules(page).getByRole("button", { name: "+ Add a condition" }).focus();
  await page.keyboard.press("Enter");
  await choose(page, rules(page).getByLabel("Field").nth(1), "tier");
  await choose(page, rules(page).getByLabel("Comparison").nth(1), "is at least");
  await choose(page, rules(page).getByLabel("Value").last(), "VIP");
  await choose(page, rules(page).getByLabel("send to queue", { exact: true }), "VIP care");
  await add(page, rules(page).getByLabel("Add an effect"), "head start");
  await add(page, rules(page).getByLabel("Add an effect"), "only agents with");
  await rules(page).getByRole("button", { name: "+ Add a skill" }).focus();
  await page.keyboard.press("Enter");
  await choose(page, rules(page).getByLabel("Refunds: Level"), "4+");
  await expect(row(page, "VIP from the App")).toContainText(
    "If channel is App and tier is VIP or above, then send to VIP care, with a 5 min head start, only to agents with Refunds 4+.",
  );
  await saved(page);
});

test("an any inside an all survives a reload", async ({ page, usher }) => {
  await usher.publish({ rules: [{ id: "a", name: "A", when: { all: [{ field: "channel.kind", op: "eq", value: "web" }] }, then: { queue: "general" } }] });
  await signIn(page, usher, usher.logins["admin"]!, "/policy?rule=a");
  await rules(page).getByRole("button", { name: "+ Add a group" }).click();
  await rules(page).locator("fieldset.inner").getByRole("button", { name: "+ Add a condition" }).click();
  const group = rules(page).locator("fieldset.inner");
  await expect(group.getByLabel("If")).toHaveValue("any");
  await group.getByLabel("Field").first().selectOption("message.attachments");
  await group.getByLabel("Field").nth(1).selectOption("customer.known");
  const sentence = "If channel is Web and (something is attached or the customer is known), then send to General.";
  await expect(row(page, "A")).toContainText(sentence);
  await saved(page);
  await page.reload();
  await expect(row(page, "A")).toContainText(sentence);
});

test("a row that is never reached is flagged, and F8 goes there", async ({ page, usher }) => {
  await usher.publish({
    queues: [general, { ...general, id: "b", name: "B" }],
    rules: [
      { id: "wide", name: "Wide", when: { field: "channel.kind", op: "in", value: ["web", "app"] }, then: { queue: "general" } },
      { id: "narrow", name: "Narrow", when: { field: "channel.kind", op: "eq", value: "app" }, then: { queue: "b" } },
    ],
  });
  await signIn(page, usher, usher.logins["admin"]!, "/policy");
  await expect(row(page, "Narrow")).toContainText("Has nothing left to do");
  await expect(page.getByRole("button", { name: /warning/ })).toBeVisible();
  await page.keyboard.press("F8");
  await expect(row(page, "Narrow").getByLabel("Name")).toBeVisible();
  await expect.poll(() => page.evaluate(() => document.activeElement?.closest("li")?.id)).toBe("rule-narrow");
});

test("the test box finds what the router finds", async ({ page, usher }) => {
  await usher.publish({
    keyword_lists: [
      { name: "human", phrases: ["人工", "真人"], except: ["人工智能"] },
      { name: "complaint", phrases: ["投诉", "complain"], except: ["不想投诉"] },
      { name: "refund", phrases: ["退款", "退钱", "refund"], except: [] },
    ],
  });
  await signIn(page, usher, usher.logins["admin"]!, "/policy");
  for (const [list, text, held] of [
    ["human", "转人工", true],
    ["human", "人工智能怎么收费", false],
    ["human", "人工智能太差，转人工", true],
    ["complaint", "我要投 诉你们", true],
    ["complaint", "不想投诉只想退款", false],
    ["refund", "ｒｅｆｕｎｄ 还没到", true],
    ["refund", "Is it non-refundable?", false],
  ] as const) {
    const box = page.locator("#policy-keyword_lists .list").filter({ has: page.locator(`input`).and(page.locator(`[value="${list}"], input`)) }).nth(["human", "complaint", "refund"].indexOf(list));
    await box.getByLabel("Try a text").fill(text);
    await expect(box.getByRole("status"), `${list}: ${text}`).toContainText(held ? "The list holds." : "The list does not hold.");
  }
});

test("what a try says is what the router does", async ({ page, usher }) => {
  await usher.agent("ada", { languages: [{ tag: "en", level: 5 }] });
  await usher.publish({
    queues: [general, { ...general, id: "billing", name: "Billing" }],
    keyword_lists: [{ name: "invoices", phrases: ["invoice"], except: [] }],
    rules: [{ id: "inv", name: "Invoices", when: { field: "message.text", op: "list_any", value: "invoices" }, then: { queue: "billing" } }],
  });
  await signIn(page, usher, usher.logins["admin"]!, "/policy?try=1");
  const box = page.getByRole("region", { name: "Try a message" });
  await box.getByLabel("A customer's message").fill("my invoice is wrong");
  await box.getByRole("button", { name: "Try", exact: true }).click();
  await expect(box).toContainText("It would go to ada.");
  await expect(box).toContainText("Row 1");
  await expect(box).toContainText("Billing");
  const real = await usher.message("my invoice is wrong");
  expect(real.routing).toMatchObject({ queue: "billing", agent: { id: "ada" } });
});

test("publishing needs a note, and the next conversation follows", async ({ page, usher }) => {
  await usher.publish({ queues: [general, { ...general, id: "b", name: "B" }] });
  await signIn(page, usher, await usher.account("manager"), "/policy");
  await page.locator("#policy-rules").getByLabel("Everyone else").selectOption("b");
  await saved(page);
  expect((await usher.message("before")).routing.queue).toBe("general");
  await page.getByRole("button", { name: "Publish…" }).click();
  const dialog = page.getByRole("dialog", { name: "Publish the draft" });
  await expect(dialog).toContainText("Everyone else goes to General.");
  await expect(dialog).toContainText("Everyone else goes to B.");
  await dialog.getByRole("button", { name: "Publish", exact: true }).click();
  await expect(dialog).toContainText("A note is needed.");
  await dialog.getByLabel("What is it for?").fill("all to b");
  await dialog.getByRole("button", { name: "Publish", exact: true }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Version 3 is published");
  await expect.poll(async () => (await usher.message("after")).routing.queue).toBe("b");
});

async function twoTabs(page: Page, usher: Usher): Promise<Page> {
  await usher.publish({
    rules: [
      { id: "one", name: "One", when: { field: "channel.kind", op: "eq", value: "web" }, then: { head_start_s: 60 } },
      { id: "two", name: "Two", when: { field: "channel.kind", op: "eq", value: "app" }, then: { head_start_s: 60 } },
    ],
  });
  await signIn(page, usher, usher.logins["admin"]!, "/policy");
  const other = await page.context().newPage();
  await other.goto(`${usher.url}/policy`);
  await expect(row(other, "One")).toBeVisible();
  return other;
}

async function headStart(page: Page, rule: string, minutes: string): Promise<void> {
  const r = row(page, rule);
  if (!(await r.getByLabel("head start", { exact: true }).isVisible())) await r.locator(".sentence").click();
  await r.getByLabel("head start", { exact: true }).fill(minutes);
  await r.getByLabel("head start", { exact: true }).press("Tab");
}

test("changes of different rules in two tabs are both kept", async ({ page, usher }) => {
  const other = await twoTabs(page, usher);
  await headStart(page, "One", "5");
  await saved(page);
  await headStart(other, "Two", "7");
  await saved(other);
  await expect(other.getByText(/Somebody else changed this meanwhile/)).toContainText("One");
  await expect(row(other, "One")).toContainText("5 min head start");
  await expect(row(other, "Two")).toContainText("7 min head start");
  const draft = await usher.call<{ document: { rules: { then: { head_start_s: number } }[] } }>("GET", "/v1/policy/draft");
  expect(draft.document.rules.map((r) => r.then.head_start_s)).toEqual([300, 420]);
});

test("changes of one field are asked about; a third save keeps the answers", async ({ page, usher }) => {
  const other = await twoTabs(page, usher);
  await headStart(page, "One", "5");
  await saved(page);
  await headStart(page, "Two", "6");
  await saved(page);
  // The second tab changes both before it hears of the first.
  await other.route("**/v1/policy/draft", (r) => (r.request().method() === "PUT" ? r.abort() : r.continue()));
  await headStart(other, "One", "8");
  await headStart(other, "Two", "9");
  await other.unroute("**/v1/policy/draft");
  const dialog = other.getByRole("dialog", { name: "Two people changed the same thing" });
  await expect(dialog).toBeVisible();
  const one = dialog.getByRole("group", { name: "Route: One" });
  await expect(one).toContainText("with a 1 min head start");
  await expect(one).toContainText("with a 8 min head start");
  await expect(one).toContainText("with a 5 min head start");
  await one.getByLabel("Keep yours").check();
  await expect(dialog).toContainText("1 still to choose");
  // Somebody saves a third time, elsewhere, while this is open.
  const draft = await usher.answer("GET", "/v1/policy/draft");
  const doc = (draft.body as { document: { reserve: { units: number } } }).document;
  doc.reserve.units = 2;
  await usher.call("PUT", "/v1/policy/draft", doc, { "If-Match": draft.etag });
  await dialog.getByRole("group", { name: "Route: Two" }).getByLabel("Take theirs").check();
  await dialog.getByRole("button", { name: "Go on" }).click();
  await expect(dialog).toBeHidden();
  await saved(other);
  await expect(row(other, "One")).toContainText("8 min head start");
  await expect(row(other, "Two")).toContainText("6 min head start");
  await expect(other.getByLabel("Units kept free")).toHaveValue("2");
});

test("an old version can be restored, and routes again", async ({ page, usher }) => {
  await usher.publish({ queues: [general, { ...general, id: "b", name: "B" }] }, "two queues");
  await usher.publish({ fallback: { queue: "b" } }, "all to b");
  expect((await usher.message("now")).routing.queue).toBe("b");
  await signIn(page, usher, usher.logins["admin"]!, "/policy/history");
  await page.getByRole("row", { name: /all to b/ }).click();
  await expect(page.getByText("Everyone else goes to B.")).toBeVisible();
  await page.getByRole("button", { name: "Restore… 2" }).click();
  const dialog = page.getByRole("dialog", { name: "Restore version 2" });
  await dialog.getByLabel("What is it for?").fill("back to general");
  await dialog.getByRole("button", { name: "Restore", exact: true }).click();
  await expect(page.getByRole("row", { name: /back to general/ })).toContainText("serves");
  expect((await usher.message("again")).routing.queue).toBe("general");
});

test("the timeline moves by arrow keys", async ({ page, usher }) => {
  await usher.publish({ queues: [{ ...general, relax: [{ after_s: 30, require: [] }, { after_s: 60, require: [] }], require: [{ name: "Refunds", level: 3 }] }] });
  await signIn(page, usher, usher.logins["admin"]!, "/policy");
  await page.locator("#queue-general .sentence").click();
  const first = page.getByRole("slider", { name: /Step 1/ });
  await first.focus();
  await page.keyboard.press("ArrowRight");
  await expect(first).toHaveAttribute("aria-valuenow", "35");
  await page.keyboard.press("Shift+ArrowRight");
  await expect(first).toHaveAttribute("aria-valuenow", "59"); // never past the next step
  await page.keyboard.press("ArrowLeft");
  await expect(first).toHaveAttribute("aria-valuetext", "54 s");
  await saved(page);
  await expect(page.locator("#queue-general .sentence")).toContainText("after 54 s");
});

test("queues that overflow in a circle cannot be published", async ({ page, usher }) => {
  await usher.publish({
    queues: [{ ...general, overflow: [{ when: "busy", do: "queue", queue: "b" }] }, { ...general, id: "b", name: "B" }],
  });
  await signIn(page, usher, usher.logins["admin"]!, "/policy");
  await page.getByRole("button", { name: /Any channel, All full/ }).click();
  const dialog = page.getByRole("dialog", { name: "Any channel, All full" });
  await dialog.getByRole("button", { name: "+ Add a move" }).click();
  await dialog.getByLabel("What is done").selectOption("queue");
  await dialog.getByLabel("Queue").selectOption("general");
  await dialog.getByRole("button", { name: "Done" }).click();
  await expect(page.getByText("Not saved: errors below")).toBeVisible();
  await expect(page.getByRole("button", { name: "Publish…" })).toBeDisabled();
  await expect(page.locator("#policy-overflow")).toContainText(/circle|loop/i);
});

test("hours go past midnight and a Saturday can be worked", async ({ page, usher }) => {
  await signIn(page, usher, usher.logins["admin"]!, "/policy");
  await page.getByRole("button", { name: "+ Add hours" }).click();
  const hours = page.locator("#policy-calendars");
  await hours.getByLabel("Zone").selectOption("Asia/Shanghai");
  await hours.getByLabel("hours Fri to").fill("02:00");
  await hours.getByLabel("hours Fri to").press("Tab");
  await hours.getByRole("button", { name: "+ Add a date" }).click();
  await hours.getByLabel("Date", { exact: true }).fill("2027-10-09"); // a Saturday
  await hours.getByLabel("Why").fill("调休");
  await hours.getByRole("button", { name: "Add a range: 2027-10-09" }).click();
  await page.locator("#queue-general .sentence").click();
  await page.locator("#policy-queues").getByLabel("Hours").selectOption("hours");
  await saved(page);
  const open = async (at: string) =>
    (await usher.call<{ hours: { open: boolean } }>("POST", "/v1/policy/try", { text: "hello", at })).hours.open;
  expect(await open("2027-10-08T17:30:00Z")).toBe(true); // Saturday 01:30 in Shanghai: Friday goes on
  expect(await open("2027-10-08T18:30:00Z")).toBe(false);
  expect(await open("2027-10-09T02:00:00Z")).toBe(true); // the worked Saturday, 10:00
  expect(await open("2027-10-16T02:00:00Z")).toBe(false); // an ordinary one
});

test("when the sign-in runs out, what was typed stays and is saved", async ({ page, usher, context }) => {
  const manager = await usher.account("manager");
  await signIn(page, usher, manager, "/policy");
  await page.getByRole("button", { name: "+ Add a rule" }).click();
  await saved(page);
  await context.clearCookies();
  await rules(page).getByLabel("Name").fill("Typed while signed out");
  await rules(page).getByLabel("Name").press("Tab");
  const dialog = page.getByRole("dialog", { name: "Your sign-in has run out" });
  await dialog.getByLabel("Password").fill(manager.password);
  await dialog.getByRole("button", { name: "Sign in" }).click();
  await expect(dialog).toBeHidden();
  await expect(row(page, "Typed while signed out")).toBeVisible();
  await saved(page);
  const draft = await usher.call<{ document: { rules: { name: string }[] } }>("GET", "/v1/policy/draft");
  expect(draft.document.rules.map((r) => r.name)).toEqual(["Typed while signed out"]);
});

test("markup in a name stays text; a viewer reads and changes nothing", async ({ page, usher }) => {
  await usher.publish({ rules: [{ id: "x", name: "<img src=x onerror=alert(1)>", then: { tags: ["<b>"] } }] });
  await signIn(page, usher, await usher.account("viewer"), "/policy");
  await expect(row(page, "<img src=x onerror=alert(1)>")).toContainText("tagged “<b>”");
  await expect(page.getByRole("button", { name: /Add a|Publish|Remove/ })).toHaveCount(0);
});

test("a replay of the last days shows what would change, and can be cancelled", async ({ page, usher }) => {
  test.setTimeout(180_000);
  for (let day = 0; day < 4; day++) {
    for (let i = 0; i < 6; i++) await usher.message(i < 2 ? "我的发票在哪里" : "the app crashes when I open my orders");
    await usher.end();
    await promisify(execFile)("go", ["run", "./tool/past", usher.data, "24h"], { cwd: resolve("..") });
    await usher.restart();
  }
  const { body, etag } = await usher.answer("GET", "/v1/policy");
  const draft = {
    ...(body as { document: object }).document,
    queues: [general, { ...general, id: "billing", name: "Billing" }],
    rules: [{ id: "invoices", name: "Invoices", when: { field: "message.text", op: "contains_any", value: ["发票"] }, then: { queue: "billing" } }],
  };
  await usher.answer("PUT", "/v1/policy/draft", draft, { "If-Match": etag });
  await signIn(page, usher, await usher.account("manager"), "/policy");
  const open = page.getByRole("button", { name: "Replay", exact: true });
  await open.focus();
  await page.keyboard.press("Enter");
  await expect(open).toHaveAttribute("aria-expanded", "true");
  const replay = page.getByRole("region", { name: "Replay past conversations" });
  await expect(replay).toContainText("Held as they were");
  await expect(replay).toContainText("transfers, waits and service level are not predicted");

  // The request is held back until it is given up.
  let held = 0;
  await page.route("**/v1/policy/replay", async () => void held++);
  const run = replay.getByRole("button", { name: "Run" });
  await run.focus();
  await page.keyboard.press("Enter");
  await expect(replay.getByRole("status")).toHaveText("Replaying…");
  await expect.poll(() => held).toBe(1);
  const given = page.waitForEvent("requestfailed");
  await replay.getByRole("button", { name: "Cancel" }).focus();
  await page.keyboard.press("Enter");
  await given;
  await expect(replay.getByRole("status")).toHaveText("Cancelled.");
  await expect(replay.getByRole("button", { name: "Cancel" })).toHaveCount(0);
  await expect(run).toBeFocused();
  await expect(replay.getByRole("table")).toHaveCount(0);
  await page.unroute("**/v1/policy/replay");

  await page.keyboard.press("Enter");
  await expect(replay.getByRole("status")).toHaveText("8 of 24 would go elsewhere");
  const figure = (name: string) => replay.getByRole("row", { name });
  await expect(figure("Billing")).toContainText(/0 0\.0%.*8 33\.3%.*\+33\.3 pt \+33\.3 to \+33\.3/);
  await expect(figure("General")).toContainText(/24 100\.0%.*16 66\.7%.*−33\.3 pt/);
  await expect(figure("refused")).toContainText("no clear change");
  await expect(replay.getByRole("listitem")).toHaveCount(8);

  // Under three days there is no interval. What a day holds, an older one does not.
  await replay.getByLabel("Period").selectOption({ label: "The last day" });
  await run.click();
  await expect(replay.getByRole("status")).toHaveText(/^(\d of \d+ would go elsewhere|No conversation began then\.)$/);
  await replay.getByLabel("Period").selectOption({ label: "The last 30 days" });
  await run.click();
  await expect(replay.getByRole("status")).toHaveText("8 of 24 would go elsewhere");

  const row = replay.getByRole("listitem").first();
  await expect(row).toContainText("General → Billing");
  await row.getByRole("link").click();
  await expect(page).toHaveURL(/\/conversations\/conv_/);
  await expect(page.getByText("我的发票在哪里").first()).toBeVisible();
});

test("who may not change the policy has no replay", async ({ page, usher }) => {
  await signIn(page, usher, await usher.account("supervisor"), "/policy?replay=1");
  await expect(page.getByRole("button", { name: "Try a message" })).toBeVisible();
  await expect(page.getByRole("button", { name: "Replay", exact: true })).toHaveCount(0);
  await expect(page.getByRole("region", { name: "Replay past conversations" })).toHaveCount(0);
});
